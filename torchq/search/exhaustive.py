"""``ExhaustiveSearcher``: every point of a small space, the cheapest first."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence

from torchq.search.base import SEARCHERS, Searcher
from torchq.search.space import Point, Position

MOST_ORDERED = 20_000
"""Spaces of more points are not priced as a whole, only to be ordered."""


@SEARCHERS.register("exhaustive")
class ExhaustiveSearcher(Searcher):
    """All points: in the order of their costs where these are known, and in that of the knobs where not.

    Points whose price alone breaks a limit are passed over. What it is told changes nothing.

    Example:
        >>> from torchq.search import Knob, MultiObjective, Space
        >>> space = Space((Knob.units("fc1", [16, 32]), Knob.units("fc2", [8, 16])))
        >>> [tuple(p.point.values()) for p in ExhaustiveSearcher(space, MultiObjective("bits")).ask(9)]
        [(0, 0), (0, 1), (1, 0), (1, 1)]
    """

    _walk: Iterator[dict[str, int]] | None = None
    _done = False

    def know(self, price: Callable[[Point], Mapping[str, float]]) -> None:
        """As :meth:`Searcher.know`; a space that is not too large is ordered by its costs."""
        super().know(price)
        if self.space.cardinality > MOST_ORDERED:
            self.notes.append(
                f"{self.space.cardinality:,} points are too many to be ordered by cost (at most "
                f"{MOST_ORDERED:,}): they are tried in the order of the knobs"
            )

    def _propose(self, count: int) -> Sequence[Position]:
        if self._walk is None:
            self._walk = self._ordered()
        found: list[Position] = []
        for point in self._walk:
            if self._fresh(point):
                found.append(point)
            elif self.space.key(point) not in self._taken:
                self.refused += 1
            if len(found) == count:
                return found
        self._done = True
        return found

    @property
    def exhausted(self) -> bool:
        """Whether every point was proposed or passed over."""
        return self._done or super().exhausted

    def _ordered(self) -> Iterator[dict[str, int]]:
        names = [knob.name for knob in self.space.knobs]
        keys = itertools.product(*(range(len(knob.options)) for knob in self.space.knobs))
        points = (dict(zip(names, key, strict=True)) for key in keys)
        if self._screen is None or self.space.cardinality > MOST_ORDERED:
            return points
        return iter(sorted(points, key=self._dear))

    def _dear(self, point: Point) -> float:
        """The logarithms of all known costs of the goal together; what cannot be priced comes last."""
        known = self._screen.costs(point) if self._screen is not None else {}
        costs = [known[name] for name in self.goal.costs if name in known]
        return sum(math.log(cost) for cost in costs) if costs and min(costs) > 0 else math.inf
