"""``MultiObjective``: accuracy and one or more costs side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from torchq.errors import SearchError
from torchq.search.goal import GOALS, Goal, Objective, above, costs_given, each
from torchq.search.limits import Limit


@GOALS.register("multi_objective")
@dataclass(frozen=True)
class MultiObjective(Goal):
    """Accuracy and cost side by side: the search looks for the whole front of best trades.

    The objectives are the accuracy and minus the natural logarithm of every cost, so that equal steps are
    equal factors. A trial's score is the area (the volume, with several costs) between it and the thresholds
    in that plane (0 if it misses one of them); without all thresholds it is the accuracy, or 0 where it
    misses one that is given.

    Args:
        cost: the metric to make small, or several.
        least_accuracy: trials below it are of no interest.
        most_cost: trials above it are of no interest, in the unit of the metric; one for each cost, None
            where there is none.
        accuracy: the metric to make large.
        limits: what every trial of the front must keep besides.

    Raises:
        SearchError: a number out of range, or other than one threshold for each cost.

    Example:
        >>> goal = MultiObjective("bits", least_accuracy=0.5, most_cost=100.0)
        >>> round(goal.score({"accuracy": 0.75, "bits": 50.0}), 6)
        0.173287
        >>> goal.score({"accuracy": 0.75, "bits": 200.0})
        0.0
        >>> [objective.name for objective in MultiObjective(("bits", "lut")).objectives]
        ['accuracy', '-log(bits)', '-log(lut)']
    """

    cost: str | tuple[str, ...]
    least_accuracy: float | None = None
    most_cost: float | tuple[float | None, ...] | None = None
    accuracy: str = "accuracy"
    limits: tuple[Limit, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "cost", costs_given(self.cost))
        object.__setattr__(self, "limits", tuple(self.limits))
        if self.least_accuracy is not None and not math.isfinite(self.least_accuracy):
            raise SearchError(f"goal: least_accuracy must be a number, got {self.least_accuracy:g}")
        for most in self._most:
            if most is not None:
                above("most_cost", most, 0.0)

    @property
    def _most(self) -> tuple[float | None, ...]:
        if self.most_cost is None:
            return (None,) * len(self.costs)
        most = self.most_cost if isinstance(self.most_cost, (int, float)) else tuple(self.most_cost)
        return each("most_cost", most, self.costs)

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """The accuracy and minus the logarithm of every cost, with their thresholds."""
        return (
            Objective(self.accuracy, self.least_accuracy),
            *(
                Objective(f"-log({name})", None if most is None else -math.log(most))
                for name, most in zip(self.costs, self._most, strict=True)
            ),
        )

    @property
    def wanted(self) -> tuple[Limit, ...]:
        """The limits, and the thresholds of the objectives."""
        least = (
            [] if self.least_accuracy is None else [Limit(self.accuracy, self.least_accuracy, at_most=False)]
        )
        most = [
            Limit(name, bound, at_most=True)
            for name, bound in zip(self.costs, self._most, strict=True)
            if bound is not None
        ]
        return (*self.limits, *least, *most)

    @property
    def floor(self) -> tuple[float | None, ...]:
        """The thresholds."""
        return tuple(objective.threshold for objective in self.objectives)

    def values(self, metrics: Mapping[str, float]) -> tuple[float, ...]:
        """The accuracy and minus the logarithm of every cost."""
        return self.trade(metrics)

    def score(self, metrics: Mapping[str, float]) -> float:
        """The area or volume between the trial and the thresholds."""
        gains = [
            value - objective.threshold
            for value, objective in zip(self.values(metrics), self.objectives, strict=True)
            if objective.threshold is not None
        ]
        if any(gain < 0 for gain in gains):
            return 0.0
        return math.prod(gains) if len(gains) == len(self.objectives) else metrics[self.accuracy]

    def to_dict(self) -> dict[str, Any]:
        """Kind and arguments; limits where there are any."""
        data = {"kind": "multi_objective", **asdict(self)}
        if not self.limits:
            del data["limits"]
        return data
