"""``SearchResult``: what a search found, all of it derived from the journal's trials."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torchq.errors import SearchError
from torchq.search.goal import Goal
from torchq.search.pareto import hypervolume, non_dominated
from torchq.search.pick import pick
from torchq.search.trial import Trial


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Args:
        trials: all of them, completed and failed, restored ones first.
        best: the completed trial with the highest score among those that keep the goal's limits; the nearest
            one if none does. Only trials of the whole training length count, here and in ``pareto``.
        pareto: completed trials that no other one beats in accuracy and costs, cheapest first; those that
            keep the limits, if any does.
        restored: how many trials came from the journal.
        exhausted: whether the search ended because there was nothing left to try.
        notes: sentences about what was mended or worked around.
        unmet: a sentence for every limit or threshold that ``best`` breaks; empty if it keeps them all.
        reached: after so many trials (one batch more each time), which hypervolume of accuracy and minus the
            logarithm of the costs lay over the corner; over the thresholds where the goal has them, and over
            the worst that was seen where not.
    """

    trials: tuple[Trial, ...]
    best: Trial
    pareto: tuple[Trial, ...]
    restored: int = 0
    exhausted: bool = False
    notes: tuple[str, ...] = ()
    unmet: tuple[str, ...] = ()
    reached: tuple[tuple[int, float], ...] = ()

    @property
    def ask_s(self) -> float:
        """Seconds that searchers took to propose all trials and to learn from them."""
        return math.fsum(trial.ask_s for trial in self.trials)

    @property
    def trained_s(self) -> float:
        """Seconds that all evaluations took together, on however many workers."""
        return math.fsum(trial.wall_s for trial in self.trials)

    @property
    def ask_share(self) -> float:
        """Which part of the search's wall time went into asking, if no worker ever waited for another."""
        workers = len({trial.worker for trial in self.trials}) or 1
        whole = self.ask_s + self.trained_s / workers
        return self.ask_s / whole if whole > 0 else 0.0

    @property
    def hypervolume(self) -> float:
        """The last of ``reached``."""
        return self.reached[-1][1] if self.reached else 0.0


def result_of(
    trials: Sequence[Trial], goal: Goal, *, restored: int, exhausted: bool, notes: Sequence[str], batch: int
) -> SearchResult:
    """What these trials amount to.

    Raises:
        SearchError: none of them was completed at the whole training length.
    """
    complete = [trial for trial in trials if trial.final]
    if not complete:
        raise SearchError(
            f"none of {len(trials)} trials was trained for the whole length and completed",
            hint="run more trials",
        )
    kept = [trial for trial in complete if all(limit.met(trial.metrics) for limit in goal.wanted)]
    unmet: tuple[str, ...] = ()
    if kept:
        best = max(kept, key=lambda trial: (trial.score, -trial.number))
    else:
        nearest = pick(complete, goal.wanted, by=goal.accuracy)
        best, unmet = nearest.best, nearest.unmet
    several = kept or complete
    front = non_dominated([goal.trade(trial.metrics) for trial in several])
    pareto = [trial for trial, chosen in zip(several, front, strict=True) if chosen]
    pareto.sort(key=lambda trial: tuple(trial.metrics[name] for name in goal.costs))
    return SearchResult(
        tuple(trials),
        best,
        tuple(pareto),
        restored,
        exhausted,
        tuple(notes),
        unmet,
        reached(trials, goal, batch),
    )


def corner_of(goal: Goal, trials: Sequence[Trial]) -> list[float]:
    """Where hypervolumes are measured from: thresholds, and the worst that was seen where there are none."""
    trades = [goal.trade(trial.metrics) for trial in trials]
    worst = [min(column) for column in zip(*trades, strict=True)]
    given = goal.floor
    return [low if floor is None else floor for low, floor in zip(worst, given, strict=True)]


def reached(trials: Sequence[Trial], goal: Goal, every: int) -> tuple[tuple[int, float], ...]:
    """``(trials so far, hypervolume)`` after every so many trials, and after the last one.

    Trials that break one of the goal's limits, failed ones and briefly trained ones add nothing.

    Example:
        >>> from torchq.search import MultiObjective
        >>> metrics = [{"accuracy": 0.6, "bits": 50.0}, {"accuracy": 0.7, "bits": 50.0}]
        >>> trials = [Trial(i, {}, {}, 0, "complete", m, (1.0,), 1.0) for i, m in enumerate(metrics)]
        >>> [(n, round(v, 4)) for n, v in reached(trials, MultiObjective("bits", 0.5, 100.0), 1)]
        [(1, 0.0693), (2, 0.1386)]
    """
    final = [trial for trial in trials if trial.final]
    if not final:
        return ()
    corner = corner_of(goal, final)
    curve = []
    for count in [*range(every, len(trials), every), len(trials)]:
        inside = [
            goal.trade(trial.metrics)
            for trial in trials[:count]
            if trial.final and all(limit.met(trial.metrics) for limit in goal.limits)
        ]
        curve.append((count, hypervolume(inside, corner)))
    return tuple(curve)
