"""What a search maximises: the forgiving factor, or accuracy and cost side by side."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from torchq.errors import SearchError
from torchq.registry import Registry

GOALS: Registry[type[Goal]] = Registry("goal")
"""Goals by the name that a recipe calls them."""


@dataclass(frozen=True)
class Objective:
    """One number that a searcher maximises.

    Args:
        name: what it is, for people.
        threshold: values below it are of no interest; None if there is no such limit.
    """

    name: str
    threshold: float | None = None


class Goal(ABC):
    """Turns the metrics of a trial into what a searcher maximises.

    ``accuracy`` and ``cost`` name the metrics that it reads.
    """

    accuracy: str
    cost: str

    @property
    @abstractmethod
    def objectives(self) -> tuple[Objective, ...]:
        """What is maximised, in the order of :meth:`values`."""

    @abstractmethod
    def values(self, metrics: Mapping[str, float]) -> tuple[float, ...]:
        """The value of every objective; more is better. The metrics must be free of :meth:`fault`."""

    @abstractmethod
    def score(self, metrics: Mapping[str, float]) -> float:
        """One number that ranks trials; more is better. The metrics must be free of :meth:`fault`."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; two goals are the same if their data are."""

    def fault(self, metrics: Mapping[str, float]) -> str | None:
        """Why these metrics cannot be judged, as the reason of a failed trial; None if they can.

        Raises:
            SearchError: a metric that the goal reads is not there at all, which no other trial would mend.
        """
        for name in (self.accuracy, self.cost):
            if name not in metrics:
                raise SearchError(
                    f"the goal reads {name!r}, which no trial reports",
                    hint=f"Known: {', '.join(sorted(metrics))}",
                )
        for name, value in metrics.items():
            if not math.isfinite(value):
                return f"{name} is {value}"
        if metrics[self.cost] <= 0:
            return f"{self.cost} must be above 0, got {metrics[self.cost]:g}"
        return None

    def trade(self, metrics: Mapping[str, float]) -> tuple[float, float]:
        """Accuracy and minus the natural logarithm of the cost: the plane of Pareto sets and hypervolumes."""
        return metrics[self.accuracy], -math.log(metrics[self.cost])


@GOALS.register("forgiving_factor")
@dataclass(frozen=True)
class ForgivingFactor(Goal):
    """AutoQKeras's goal: accuracy, with so much of it forgiven for every factor in cost.

    With ``t`` the trial's cost and ``r = stress * reference``::

        delta = (delta_p if t < r else delta_n) / 100 * log(r / t) / log(rate)
        score = accuracy * (1 + delta)

    (QKeras, ``autoqkeras/forgiving_metrics``; Coelho et al., Nature Machine Intelligence 3, 675 (2021).)
    With the defaults, 8 percent of the accuracy may be lost for every halving of the cost. Unlike in QKeras,
    ``stress`` acts on every cost.

    Args:
        cost: the metric to make small, such as ``"energy_pj"`` or ``"bits"``.
        reference: the cost of the reference network, in the unit of the metric.
        delta_p: percent gained for every factor ``rate`` below the reference.
        delta_n: percent lost for every factor ``rate`` above it.
        rate: the factor in cost that the percentages are for.
        stress: moves the reference; below 1 asks for more than the reference.
        accuracy: the metric to make large.

    Raises:
        SearchError: a number out of range.

    Example:
        >>> goal = ForgivingFactor("bits", reference=36176.0)
        >>> round(goal.delta(36176.0 / 2), 12)
        0.08
        >>> round(goal.score({"accuracy": 0.75, "bits": 36176.0 / 2}), 12)
        0.81
    """

    cost: str
    reference: float
    delta_p: float = 8.0
    delta_n: float = 8.0
    rate: float = 2.0
    stress: float = 1.0
    accuracy: str = "accuracy"

    def __post_init__(self) -> None:
        for name in ("reference", "stress"):
            _above(name, getattr(self, name), 0.0)
        _above("rate", self.rate, 1.0)
        for name in ("delta_p", "delta_n"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise SearchError(f"goal: {name} must be a number of at least 0, got {value:g}")

    def delta(self, cost: float) -> float:
        """The bonus (above 0) or malus for a trial of this cost, as a fraction of the accuracy."""
        stressed = self.stress * self.reference
        percent = self.delta_p if cost < stressed else self.delta_n
        return percent / 100.0 * math.log(stressed / cost) / math.log(self.rate)

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """The score alone."""
        return (Objective("score"),)

    def values(self, metrics: Mapping[str, float]) -> tuple[float, ...]:
        """The score alone."""
        return (self.score(metrics),)

    def score(self, metrics: Mapping[str, float]) -> float:
        """The accuracy times ``1 + delta``."""
        return metrics[self.accuracy] * (1.0 + self.delta(metrics[self.cost]))

    def to_dict(self) -> dict[str, Any]:
        """Kind and arguments."""
        return {"kind": "forgiving_factor", **asdict(self)}


@GOALS.register("multi_objective")
@dataclass(frozen=True)
class MultiObjective(Goal):
    """Accuracy and cost side by side: the search looks for the whole front of best trades.

    The objectives are the accuracy and minus the natural logarithm of the cost, so that equal steps are equal
    factors. A trial's score is the area between it and the thresholds in that plane (0 if it misses one of
    them); without both thresholds it is the accuracy, or 0 where it misses the one that is given.

    Args:
        cost: the metric to make small.
        least_accuracy: trials below it are of no interest.
        most_cost: trials above it are of no interest, in the unit of the metric.
        accuracy: the metric to make large.

    Raises:
        SearchError: a number out of range.

    Example:
        >>> goal = MultiObjective("bits", least_accuracy=0.5, most_cost=100.0)
        >>> round(goal.score({"accuracy": 0.75, "bits": 50.0}), 6)
        0.173287
        >>> goal.score({"accuracy": 0.75, "bits": 200.0})
        0.0
    """

    cost: str
    least_accuracy: float | None = None
    most_cost: float | None = None
    accuracy: str = "accuracy"

    def __post_init__(self) -> None:
        if self.least_accuracy is not None and not math.isfinite(self.least_accuracy):
            raise SearchError(f"goal: least_accuracy must be a number, got {self.least_accuracy:g}")
        if self.most_cost is not None:
            _above("most_cost", self.most_cost, 0.0)

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """The accuracy and minus the logarithm of the cost, with their thresholds."""
        most = None if self.most_cost is None else -math.log(self.most_cost)
        return (Objective(self.accuracy, self.least_accuracy), Objective(f"-log({self.cost})", most))

    def values(self, metrics: Mapping[str, float]) -> tuple[float, ...]:
        """The accuracy and minus the logarithm of the cost."""
        return self.trade(metrics)

    def score(self, metrics: Mapping[str, float]) -> float:
        """The area between the trial and the thresholds."""
        gains = [
            value - objective.threshold
            for value, objective in zip(self.values(metrics), self.objectives, strict=True)
            if objective.threshold is not None
        ]
        if any(gain < 0 for gain in gains):
            return 0.0
        return gains[0] * gains[1] if len(gains) == 2 else metrics[self.accuracy]

    def to_dict(self) -> dict[str, Any]:
        """Kind and arguments."""
        return {"kind": "multi_objective", **asdict(self)}


def _above(name: str, value: float, limit: float) -> None:
    if not (math.isfinite(value) and value > limit):
        raise SearchError(f"goal: {name} must be a number above {limit:g}, got {value:g}")
