"""``pick``: the most accurate trials that are cheap enough, or the nearest one and what it lacks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from torchq.errors import SearchError
from torchq.search.trial import Trial


@dataclass(frozen=True)
class Limit:
    """Something that the picked trial must keep; made by :meth:`times_lower`, :meth:`lost` and the like.

    Args:
        metric: which metric is limited.
        bound: the value that it may not pass.
        at_most: whether the metric must be at most the bound, or at least.
        reference: the value that sentences compare with, if there is one.
    """

    metric: str
    bound: float
    at_most: bool
    reference: float | None = None

    def __post_init__(self) -> None:
        if not math.isfinite(self.bound):
            raise SearchError(f"limit on {self.metric}: the bound must be a number, got {self.bound}")

    @classmethod
    def times_lower(cls, metric: str, reference: float, times: float) -> Limit:
        """The metric must be at least ``times`` times lower than the reference.

        Raises:
            SearchError: a reference or a factor that is not above 0.
        """
        for name, value in (("reference", reference), ("factor", times)):
            if not (math.isfinite(value) and value > 0):
                raise SearchError(f"limit on {metric}: the {name} must be above 0, got {value:g}")
        return cls(metric, reference / times, at_most=True, reference=reference)

    @classmethod
    def lost(cls, metric: str, reference: float, at_most: float) -> Limit:
        """The metric (such as accuracy) may be lower than the reference by ``at_most``, no more."""
        return cls(metric, reference - at_most, at_most=False, reference=reference)

    def met(self, metrics: Mapping[str, float]) -> bool:
        """Whether these metrics keep the limit.

        Raises:
            SearchError: the metric is not among them.
        """
        value = self._value(metrics)
        return value <= self.bound if self.at_most else value >= self.bound

    def excess(self, metrics: Mapping[str, float]) -> float:
        """How far the metric is beyond the bound, as a fraction of the bound; 0 if the limit is met."""
        if self.met(metrics):
            return 0.0
        return abs(self._value(metrics) - self.bound) / (abs(self.bound) or 1.0)

    def sentence(self, metrics: Mapping[str, float]) -> str:
        """What the metric is and what it should be."""
        value = self._value(metrics)
        if self.reference is None:
            which = "at most" if self.at_most else "at least"
            return f"{self.metric} {value:.6g}, {which} {self.bound:.6g} is needed"
        if self.at_most:
            times = math.inf if value == 0 else self.reference / value
            return (
                f"{self.metric} {value:.6g}, {times:.3g} times lower than {self.reference:.6g}; "
                f"{self.reference / self.bound:.3g} times is needed"
            )
        return (
            f"{self.metric} {value:.6g}, {self.reference - value:.3g} lower than {self.reference:.6g}; "
            f"at most {self.reference - self.bound:.3g} is allowed"
        )

    def _value(self, metrics: Mapping[str, float]) -> float:
        if self.metric not in metrics:
            raise SearchError(
                f"no trial reports {self.metric!r}, which is limited",
                hint=f"Known: {', '.join(sorted(metrics))}",
            )
        return metrics[self.metric]


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
        trials: completed and failed ones; failed ones are passed over.
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
    complete = [trial for trial in trials if trial.complete]
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
