"""``Searcher``: ask for points to try, tell what came out. One file a searcher, over this base."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

from torchq.errors import SearchError
from torchq.registry import Registry
from torchq.search.goal import Goal, Outcome
from torchq.search.screen import Screen
from torchq.search.space import Point, Position, Space
from torchq.search.trial import Proposal

SEARCHERS: Registry[type[Searcher]] = Registry("searcher")
"""Searchers by the name that a recipe calls them."""


class Searcher(ABC):
    """Proposes points of a space, each at most once at each fidelity, and learns from their outcomes.

    Numbers count up from 0. A proposal that was tried before, or is being tried, is moved to the nearest
    point that was not, so no point is ever proposed twice; when none is left, :meth:`ask` returns fewer
    points than asked for. What a searcher proposes depends on its arguments and on what it was told, in that
    order, and on nothing else.

    Args:
        space: where to search.
        goal: what is maximised.
        seed: where all randomness comes from.
        start: points that are proposed before all others.

    Raises:
        SearchError: a start point that is not in the space, or a seed below 0.

    Attributes:
        notes: sentences about what was worked around.
        refused: how many candidates were replaced because their price alone broke a limit.
    """

    def __init__(self, space: Space, goal: Goal, *, seed: int = 0, start: Sequence[Point] = ()) -> None:
        if seed < 0:
            raise SearchError(f"seed must be at least 0, got {seed}")
        self.space = space
        self.goal = goal
        self.seed = seed
        self.notes: list[str] = []
        self.refused = 0
        self._start = [dict(point) for point in start]
        for point in self._start:
            space.check(point)
        self._taken: dict[tuple[int, ...], int] = {}
        self._tried: dict[tuple[tuple[int, ...], float], int] = {}
        self._open: dict[int, Proposal] = {}
        self._next = 0
        self._planned: int | None = None
        self._screen: Screen | None = None

    def plan(self, trials: int) -> None:
        """How many trials there will be in all, for searchers that share them out."""
        self._planned = trials

    def know(self, price: Callable[[Point], Mapping[str, float]]) -> None:
        """Costs are known before training: what breaks one of the goal's limits by them is not proposed.

        If not even the cheapest point keeps the limits, no searcher can, and all points may be proposed.
        """
        self._screen = Screen(self.space, self.goal, price)
        self.notes += self._screen.notes

    @property
    def name(self) -> str:
        """What a recipe calls this searcher; the name of its class if it is not registered."""
        names = (name for name, kind in SEARCHERS.items() if kind is type(self))
        return next(names, type(self).__name__)

    @property
    def learns(self) -> bool:
        """Whether it can use what another search found out."""
        return type(self)._study is not Searcher._study

    def learn(self, point: Point, outcome: Outcome) -> None:
        """What another search found out; the point may still be proposed.

        Raises:
            SearchError: this searcher has no use for it (:attr:`learns`), or the point is not in the space.
        """
        if not self.learns:
            able = (name for name, kind in SEARCHERS.items() if kind._study is not Searcher._study)
            raise SearchError(
                f"transfer: the searcher {self.name} proposes the same whatever another search found",
                hint=f"leave transfer out, or choose a searcher that learns: {', '.join(able)}",
            )
        self.space.check(point)
        self._study(point, outcome)

    def ask(self, count: int = 1) -> list[Proposal]:
        """Up to ``count`` new points to try.

        Fewer, or none, when the space has no more, or as long as nothing can be said before an open proposal
        is told.
        """
        proposals: list[Proposal] = []
        for given in self._start:
            if len(proposals) < count and self.space.key(given) not in self._taken:
                proposals.append(self._accept(given, self._fidelity()))
        for point, fidelity in self._promoted(count - len(proposals)):
            proposals.append(self._accept(point, fidelity))
        wanted = min(count - len(proposals), self.space.cardinality - len(self._taken))
        if wanted > 0:
            for position in self._propose(wanted):
                fresh = self._settled(position)
                if fresh is not None:
                    proposals.append(self._accept(fresh, self._fidelity()))
        return proposals

    def tell(self, number: int, outcome: Outcome) -> None:
        """What came out of the proposal of this number."""
        self._observe(self._close(number), outcome)

    def fail(self, number: int, reason: str) -> None:
        """The proposal of this number could not be tried; ``reason`` says why."""
        self._reject(self._close(number), reason)

    def reopen(self, proposal: Proposal) -> None:
        """Replay an ask of an earlier session: the proposal is open again under its number.

        Raises:
            SearchError: a number, or a point at its fidelity, that was there already; or a point that is not
                in the space.
        """
        self.space.check(proposal.point)
        tried = self.space.key(proposal.point), proposal.fidelity
        if proposal.number in self._tried.values():
            raise SearchError(f"trial {proposal.number} is there already")
        if tried in self._tried:
            raise SearchError(f"trial {proposal.number} repeats the point of trial {self._tried[tried]}")
        self._take(proposal)

    def restore(
        self, number: int, point: Point, outcome: Outcome | None, reason: str = "", fidelity: float = 1.0
    ) -> None:
        """Replay a trial of an earlier session; ``outcome`` is None if it failed.

        Raises:
            SearchError: as :meth:`reopen`, unless the proposal is open.
        """
        if number not in self._open:
            self.reopen(Proposal(number, dict(point), fidelity))
        if outcome is None:
            self.fail(number, reason)
        else:
            self.tell(number, outcome)

    @property
    def exhausted(self) -> bool:
        """Whether every point of the space was proposed."""
        return len(self._taken) >= self.space.cardinality

    def _settled(self, position: Position) -> dict[str, int] | None:
        """The nearest point that was not tried and may be; None if there is none."""
        if self._screen is None:
            return self.space.nearest(position, self._taken.keys())
        point, refused = self._screen.nearest(position, self._taken.keys())
        self.refused += refused
        return point

    def _admits(self, point: Point) -> bool:
        """Whether the point's price alone breaks no limit."""
        return self._screen is None or self._screen.admits(point)

    def _fresh(self, point: Point) -> bool:
        """Whether the point was not tried, and its price alone breaks no limit."""
        return self.space.key(point) not in self._taken and self._admits(point)

    def _accept(self, point: Point, fidelity: float) -> Proposal:
        proposal = Proposal(self._next, dict(point), fidelity)
        self._take(proposal)
        return proposal

    def _take(self, proposal: Proposal) -> None:
        key = self.space.key(proposal.point)
        self._taken.setdefault(key, proposal.number)
        self._tried[key, proposal.fidelity] = proposal.number
        self._open[proposal.number] = proposal
        self._next = max(self._next, proposal.number + 1)
        self._begin(proposal)

    def _close(self, number: int) -> Proposal:
        proposal = self._open.pop(number, None)
        if proposal is None:
            raise SearchError(f"trial {number} is not open", hint="tell each proposal's outcome once")
        return proposal

    @abstractmethod
    def _propose(self, count: int) -> Sequence[Position]:
        """Up to ``count`` positions to try next; the base moves each to the nearest point not tried."""

    def _promoted(self, count: int) -> Sequence[tuple[Point, float]]:  # noqa: ARG002
        """Up to ``count`` points that were tried before, each with the higher fidelity to try it at now."""
        return ()

    def _fidelity(self) -> float:
        """What the next new point is tried at."""
        return 1.0

    def _begin(self, proposal: Proposal) -> None:  # noqa: B027
        """A point is being tried from now on."""

    def _observe(self, proposal: Proposal, outcome: Outcome) -> None:  # noqa: B027
        """An open trial was completed."""

    def _reject(self, proposal: Proposal, reason: str) -> None:  # noqa: B027
        """An open trial failed."""

    def _study(self, point: Point, outcome: Outcome) -> None:  # noqa: B027
        """Another search completed this point."""
