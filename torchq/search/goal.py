"""``Goal``: what a search maximises, and what it must keep. One file a goal, over this base."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torchq.errors import SearchError
from torchq.registry import Registry
from torchq.search.limits import Limit

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


@dataclass(frozen=True)
class Outcome:
    """What a trial was worth.

    Args:
        values: of the goal's objectives, all maximised.
        score: what trials are ranked by.
        margins: of the goal's limits; below 0 where one is broken.
    """

    values: tuple[float, ...]
    score: float
    margins: tuple[float, ...] = ()

    @classmethod
    def lowest(cls, outcomes: Iterable[Outcome]) -> Outcome:
        """As bad as the worst of them in everything: what a failed trial counts as.

        Args:
            outcomes: one or more.
        """
        seen = tuple(outcomes)
        values = tuple(map(min, zip(*(outcome.values for outcome in seen), strict=True)))
        margins = tuple(map(min, zip(*(outcome.margins for outcome in seen), strict=True)))
        return cls(values, min(outcome.score for outcome in seen), margins)


class Goal(ABC):
    """Turns the metrics of a trial into what a searcher maximises, and says which limits it must keep.

    ``accuracy`` and ``cost`` name the metrics that it reads; ``limits`` are kept by what is found, if
    anything can keep them.
    """

    accuracy: str
    cost: str | tuple[str, ...]
    limits: tuple[Limit, ...] = ()

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

    @property
    def costs(self) -> tuple[str, ...]:
        """The metrics to make small."""
        return (self.cost,) if isinstance(self.cost, str) else self.cost

    @property
    def wanted(self) -> tuple[Limit, ...]:
        """Everything that a trial must keep to be of interest: the limits, and thresholds of objectives."""
        return self.limits

    @property
    def floor(self) -> tuple[float | None, ...]:
        """The corner of :meth:`trade` that hypervolumes are measured from; None where there is none."""
        return (None,) * (1 + len(self.costs))

    def outcome(self, metrics: Mapping[str, float]) -> Outcome:
        """Values, score and margins. The metrics must be free of :meth:`fault`."""
        margins = tuple(limit.margin(metrics) for limit in self.limits)
        return Outcome(self.values(metrics), self.score(metrics), margins)

    def fault(self, metrics: Mapping[str, float]) -> str | None:
        """Why these metrics cannot be judged, as the reason of a failed trial; None if they can.

        Raises:
            SearchError: a metric that the goal reads is not there at all, which no other trial would mend.
        """
        for name in (self.accuracy, *self.costs, *(limit.metric for limit in self.limits)):
            if name not in metrics:
                raise SearchError(
                    f"the goal reads {name!r}, which no trial reports",
                    hint=f"Known: {', '.join(sorted(metrics))}",
                )
        for name, value in metrics.items():
            if not math.isfinite(value):
                return f"{name} is {value}"
        for name in self.costs:
            if metrics[name] <= 0:
                return f"{name} must be above 0, got {metrics[name]:g}"
        return None

    def trade(self, metrics: Mapping[str, float]) -> tuple[float, ...]:
        """Accuracy and minus the natural logarithm of every cost: where Pareto sets and hypervolumes live."""
        return metrics[self.accuracy], *(-math.log(metrics[name]) for name in self.costs)


def above(name: str, value: float, limit: float) -> None:
    """Raise SearchError unless the value is a number above the limit."""
    if not (math.isfinite(value) and value > limit):
        raise SearchError(f"goal: {name} must be a number above {limit:g}, got {value:g}")


def each(
    name: str, value: float | tuple[float | None, ...] | None, costs: tuple[str, ...]
) -> tuple[float | None, ...]:
    """A number for every cost.

    Raises:
        SearchError: more or fewer numbers than costs.
    """
    given = value if isinstance(value, tuple) else (value,)
    if len(given) != len(costs):
        raise SearchError(
            f"goal: {len(costs)} costs ({', '.join(costs)}) need as many numbers as {name}, got {len(given)}"
        )
    return given


def costs_given(cost: str | tuple[str, ...] | list[str]) -> str | tuple[str, ...]:
    """The cost, or the costs as a tuple.

    Raises:
        SearchError: no cost, or the same cost twice.
    """
    if isinstance(cost, str):
        return cost
    if not cost or len(set(cost)) < len(cost):
        raise SearchError(f"goal: needs at least one cost, and none twice; got {list(cost)}")
    return tuple(cost)
