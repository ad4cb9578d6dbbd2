"""``Screen``: which points are not worth a training, because their price alone breaks a limit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set

from torchq.errors import TorchqError
from torchq.search.goal import Goal
from torchq.search.space import Point, Position, Space

STEPS = 20
"""Places that are looked at on the straight way from a refused position to the cheapest point."""

AROUND = 200
"""Points that are looked at around the cheapest one after that."""


class Screen:
    """Knows what points cost before they are trained.

    Args:
        space: of the points; its options are ordered from cheap to dear.
        goal: whose upper limits on known costs are kept.
        price: what is known of a point; a point whose price raises a domain error is let through, so that the
            trial fails with the reason.

    Raises:
        SearchError: the goal reads a cost that is not among those known, and no limit does.
    """

    def __init__(self, space: Space, goal: Goal, price: Callable[[Point], Mapping[str, float]]) -> None:
        self._space = space
        self._price = price
        self._known: dict[tuple[int, ...], Mapping[str, float]] = {}
        self.notes: list[str] = []
        cheapest = space.at(0.0)
        known = self.costs(cheapest)
        self._limits = [limit for limit in goal.wanted if limit.at_most and limit.metric in known]
        broken = [limit for limit in self._limits if not limit.met(known)]
        if broken:
            self.notes.append(
                "not even the cheapest scheme keeps the limits on cost: "
                + "; ".join(limit.sentence(known) for limit in broken)
            )
            self._limits = []

    def costs(self, point: Point) -> Mapping[str, float]:
        """What is known of the point; nothing if it cannot be priced."""
        key = self._space.key(point)
        if key not in self._known:
            try:
                self._known[key] = dict(self._price(point))
            except TorchqError:
                self._known[key] = {}
        return self._known[key]

    def admits(self, point: Point) -> bool:
        """Whether the point may keep the limits."""
        known = self.costs(point) if self._limits else {}
        return all(limit.met(known) for limit in self._limits if limit.metric in known)

    def nearest(self, position: Position, taken: Set[tuple[int, ...]]) -> tuple[dict[str, int] | None, int]:
        """A point near the position that is not taken and may keep the limits, and how many were refused.

        From a refused point the way leads straight to the cheapest one.
        """
        out = set(taken)
        refused: dict[tuple[int, ...], None] = {}
        for step in range(STEPS + 1 + AROUND):
            share = max(1.0 - step / STEPS, 0.0)
            near = {name: share * value for name, value in position.items()}
            point = self._space.nearest(near, out)
            if point is None:
                return None, 1
            if self.admits(point):
                return point, int(bool(refused))
            key = self._space.key(point)
            refused[key] = None
            out.add(key)
        return None, 1
