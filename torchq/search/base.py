"""``Searcher``: ask for points to try, tell what came out. One file a searcher, over this base."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from torchq.errors import SearchError
from torchq.registry import Registry
from torchq.search.goal import Goal
from torchq.search.space import Point, Position, Space

SEARCHERS: Registry[type[Searcher]] = Registry("searcher")
"""Searchers by the name that a recipe calls them."""


@dataclass(frozen=True)
class Proposal:
    """A point to try, and the number that its outcome is told under."""

    number: int
    point: dict[str, int]


@dataclass(frozen=True)
class Outcome:
    """What a trial was worth: the values of the goal's objectives (all maximised) and its score."""

    values: tuple[float, ...]
    score: float


class Searcher(ABC):
    """Proposes points of a space, each at most once, and learns from their outcomes.

    Numbers count up from 0. A proposal that was tried before, or is being tried, is moved to the nearest
    point that was not, so no point is ever proposed twice; when none is left, :meth:`ask` returns fewer
    points than asked for. What a searcher proposes depends on its arguments and on what it was told, and on
    nothing else.

    Args:
        space: where to search.
        goal: what is maximised.
        seed: where all randomness comes from.
        start: points that are proposed before all others.

    Raises:
        SearchError: a start point that is not in the space, or a seed below 0.
    """

    def __init__(self, space: Space, goal: Goal, *, seed: int = 0, start: Sequence[Point] = ()) -> None:
        if seed < 0:
            raise SearchError(f"seed must be at least 0, got {seed}")
        self.space = space
        self.goal = goal
        self.seed = seed
        self.notes: list[str] = []
        self._start = [dict(point) for point in start]
        for point in self._start:
            space.check(point)
        self._taken: dict[tuple[int, ...], int] = {}
        self._open: dict[int, dict[str, int]] = {}
        self._next = 0

    def ask(self, count: int = 1) -> list[Proposal]:
        """Up to ``count`` new points to try; fewer, or none, when the space has no more."""
        proposals: list[Proposal] = []
        for given in self._start:
            if len(proposals) < count and self.space.key(given) not in self._taken:
                proposals.append(self._accept(given))
        wanted = min(count - len(proposals), self.space.cardinality - len(self._taken))
        if wanted > 0:
            for position in self._propose(wanted):
                point = self.space.nearest(position, self._taken.keys())
                if point is not None:
                    proposals.append(self._accept(point))
        return proposals

    def tell(self, number: int, outcome: Outcome) -> None:
        """What came out of the proposal of this number."""
        self._close(number)
        self._observe(number, outcome)

    def fail(self, number: int, reason: str) -> None:
        """The proposal of this number could not be tried; ``reason`` says why."""
        self._close(number)
        self._reject(number, reason)

    def restore(self, number: int, point: Point, outcome: Outcome | None, reason: str = "") -> None:
        """Replay a trial of an earlier session; ``outcome`` is None if it failed.

        Raises:
            SearchError: a number or a point that was there already, or a point that is not in the space.
        """
        self.space.check(point)
        key = self.space.key(point)
        if number in self._taken.values():
            raise SearchError(f"trial {number} is there already")
        if key in self._taken:
            raise SearchError(f"trial {number} repeats the point of trial {self._taken[key]}")
        self._take(number, dict(point))
        if outcome is None:
            self.fail(number, reason)
        else:
            self.tell(number, outcome)

    @property
    def exhausted(self) -> bool:
        """Whether every point of the space was proposed."""
        return len(self._taken) >= self.space.cardinality

    def _accept(self, point: Point) -> Proposal:
        proposal = Proposal(self._next, dict(point))
        self._take(proposal.number, proposal.point)
        return proposal

    def _take(self, number: int, point: dict[str, int]) -> None:
        self._taken[self.space.key(point)] = number
        self._open[number] = point
        self._next = max(self._next, number + 1)
        self._begin(number, point)

    def _close(self, number: int) -> None:
        if self._open.pop(number, None) is None:
            raise SearchError(f"trial {number} is not open", hint="tell each proposal's outcome once")

    @abstractmethod
    def _propose(self, count: int) -> Sequence[Position]:
        """``count`` positions to try next; the base moves each to the nearest point that was not tried."""

    @abstractmethod
    def _begin(self, number: int, point: Point) -> None:
        """A point is being tried from now on."""

    @abstractmethod
    def _observe(self, number: int, outcome: Outcome) -> None:
        """An open trial was completed."""

    @abstractmethod
    def _reject(self, number: int, reason: str) -> None:
        """An open trial failed."""
