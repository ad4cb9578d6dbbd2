"""``Limit``: what a trial must keep, such as "energy at least 4 times lower" or "at most 5 points lost"."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from torchq.errors import SearchError


@dataclass(frozen=True)
class Limit:
    """Something that a trial must keep; made by :meth:`times_lower`, :meth:`lost` and the like.

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

    def margin(self, metrics: Mapping[str, float]) -> float:
        """How far the metric is on the right side of the bound, below 0 if the limit is broken.

        For an upper bound above 0 it is the natural logarithm of the factor to spare, and else a difference.
        """
        value = self._value(metrics)
        if not self.at_most:
            return value - self.bound
        if self.bound > 0 and value > 0:
            return math.log(self.bound / value)
        return self.bound - value

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)

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
