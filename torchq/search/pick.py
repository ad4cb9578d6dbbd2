"""``pick``: the most accurate trials that are cheap enough, or the nearest one and what it lacks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from torchq.errors import SearchError
from torchq.search.limits import Limit
from torchq.search.trial import Trial


@dataclass(frozen=True)
class Pick:
    """What was picked.

    Args:
        trials: the trials that keep every limit, best first; the nearest one alone if none does.
        unmet: a sentence for every limit that the first trial breaks; empty if it keeps them all.
    """

    trials: tuple[Trial, ...]
    unmet: tuple[str, ...] = ()

    @property
    def best(self) -> Trial:
        """The first trial."""
        return self.trials[0]

    @property
    def text(self) -> str:
        """One sentence about what was picked."""
        if not self.unmet:
            return f"trial {self.best.number} keeps every limit"
        lacks = ", and ".join(self.unmet)
        return f"no trial keeps every limit; the nearest is trial {self.best.number}: {lacks}"

    def require(self) -> Trial:
        """The first trial.

        Raises:
            SearchError: it breaks a limit; the message says which and by how much.
        """
        if self.unmet:
            raise SearchError(self.text, hint="run more trials, widen the space, or ask for less")
        return self.best


def pick(
    trials: Iterable[Trial], limits: Sequence[Limit] = (), *, by: str = "accuracy", count: int = 1
) -> Pick:
    """The trials with the highest metric among those that keep every limit.

    Equal ones go by score, then by number. If no trial keeps every limit, the one whose excesses add up to
    least is returned with what it lacks.

    Args:
        trials: completed, failed and briefly trained ones; only those trained for the whole length count.
        limits: what must be kept.
        by: the metric to make large.
        count: how many trials at most.

    Raises:
        SearchError: no completed trial, or a metric that the trials do not report.

    Example:
        >>> trials = [Trial(i, {}, {}, 0, "complete", {"accuracy": a, "bits": b}, (a,), a)
        ...           for i, (a, b) in enumerate([(0.76, 900.0), (0.75, 400.0), (0.70, 100.0)])]
        >>> pick(trials, [Limit.times_lower("bits", 1000.0, 2.0)]).best.number
        1
        >>> pick(trials, [Limit.times_lower("bits", 1000.0, 20.0)]).unmet
        ('bits 100, 10 times lower than 1000; 20 times is needed',)
    """
    complete = [trial for trial in trials if trial.final]
    if not complete:
        raise SearchError("there is no completed trial to pick from", hint="run the search first")
    if count < 1:
        raise SearchError(f"count must be at least 1, got {count}")
    for trial in complete:
        if by not in trial.metrics:
            raise SearchError(
                f"trial {trial.number} reports no {by!r}", hint=f"Known: {', '.join(sorted(trial.metrics))}"
            )
    kept = [trial for trial in complete if all(limit.met(trial.metrics) for limit in limits)]
    if kept:
        kept.sort(key=lambda trial: (-trial.metrics[by], -(trial.score or 0.0), trial.number))
        return Pick(tuple(kept[:count]))
    nearest = min(
        complete,
        key=lambda trial: (
            sum(limit.excess(trial.metrics) for limit in limits),
            -trial.metrics[by],
            trial.number,
        ),
    )
    unmet = tuple(limit.sentence(nearest.metrics) for limit in limits if not limit.met(nearest.metrics))
    return Pick((nearest,), unmet)
