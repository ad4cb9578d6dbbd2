"""``ForgivingFactor``: accuracy, with so much of it forgiven for every factor in cost."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from torchq.errors import SearchError
from torchq.search.goal import GOALS, Goal, Objective, above, costs_given, each
from torchq.search.limits import Limit


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

    Several costs are forgiven each by itself, ``delta`` being the sum; or they are one cost, their sum, if
    they have the same unit and ``together`` says so.

    Args:
        cost: the metric to make small, such as ``"energy_pj"`` or ``"bits"``; or several.
        reference: the cost of the reference network, in the unit of the metric; one for each cost.
        delta_p: percent gained for every factor ``rate`` below the reference.
        delta_n: percent lost for every factor ``rate`` above it.
        rate: the factor in cost that the percentages are for.
        stress: moves the reference; below 1 asks for more than the reference.
        accuracy: the metric to make large.
        limits: what the best trial must keep besides.
        together: ``"each"`` or ``"sum"``, of several costs.

    Raises:
        SearchError: a number out of range, or other than one reference for each cost.

    Example:
        >>> goal = ForgivingFactor("bits", reference=36176.0)
        >>> round(goal.delta(36176.0 / 2), 12)
        0.08
        >>> round(goal.score({"accuracy": 0.75, "bits": 36176.0 / 2}), 12)
        0.81
        >>> both = ForgivingFactor(("bits", "macs"), (36176.0, 4256.0), delta_p=2.0)
        >>> round(both.score({"accuracy": 0.75, "bits": 36176.0 / 2, "macs": 4256.0 / 4}), 12)
        0.795
    """

    cost: str | tuple[str, ...]
    reference: float | tuple[float, ...]
    delta_p: float = 8.0
    delta_n: float = 8.0
    rate: float = 2.0
    stress: float = 1.0
    accuracy: str = "accuracy"
    limits: tuple[Limit, ...] = ()
    together: Literal["each", "sum"] = "each"

    def __post_init__(self) -> None:
        object.__setattr__(self, "cost", costs_given(self.cost))
        object.__setattr__(self, "limits", tuple(self.limits))
        if not isinstance(self.reference, (int, float)):
            object.__setattr__(self, "reference", tuple(self.reference))
        for reference in each("reference", self.reference, self.costs):
            above("reference", reference or 0.0, 0.0)
        above("stress", self.stress, 0.0)
        above("rate", self.rate, 1.0)
        for name in ("delta_p", "delta_n"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise SearchError(f"goal: {name} must be a number of at least 0, got {value:g}")
        if self.together not in ("each", "sum"):
            raise SearchError(f"goal: together must be 'each' or 'sum', got {self.together!r}")

    def delta(self, *costs: float) -> float:
        """The bonus (above 0) or malus for a trial of these costs, as a fraction of the accuracy."""
        references = [float(value or 0.0) for value in each("reference", self.reference, self.costs)]
        if self.together == "sum":
            return self._delta(math.fsum(costs), math.fsum(references))
        return math.fsum(map(self._delta, costs, references))

    def _delta(self, cost: float, reference: float) -> float:
        stressed = self.stress * reference
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
        return metrics[self.accuracy] * (1.0 + self.delta(*(metrics[name] for name in self.costs)))

    def to_dict(self) -> dict[str, Any]:
        """Kind and arguments; limits and ``together`` where they say something."""
        data = {"kind": "forgiving_factor", **asdict(self)}
        if not self.limits:
            del data["limits"]
        if self.together == "each":
            del data["together"]
        return data
