"""``HalvingSearcher``: many points trained briefly, the best of them longer, the best of those to the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from torchq.errors import SearchError
from torchq.search.base import SEARCHERS, Searcher
from torchq.search.breeding import Key
from torchq.search.goal import Goal, Outcome
from torchq.search.ranking import ranked
from torchq.search.sampling import random_point
from torchq.search.space import Point, Position, Space
from torchq.search.trial import Proposal


@dataclass
class Rung:
    """All points that are tried at one fidelity of a ladder."""

    fidelity: float
    size: int | None = None
    begun: dict[Key, None] = field(default_factory=dict)
    told: dict[Key, Outcome | None] = field(default_factory=dict)

    @property
    def full(self) -> bool:
        """Whether no more points come, and all outcomes are there."""
        return self.size is not None and len(self.begun) >= self.size and len(self.told) == len(self.begun)


@dataclass
class Ladder:
    """Rungs from short trainings to whole ones; about one in ``eta`` climbs from each to the next."""

    eta: int
    rungs: list[Rung]

    @classmethod
    def of(cls, eta: int, count: int) -> Ladder:
        """So many rungs, the last one being the whole training."""
        return cls(eta, [Rung(float(eta) ** -(count - 1 - place)) for place in range(count)])

    def sizes(self, first: int) -> list[int]:
        """How many points stand on each rung if so many stand on the first."""
        return [max(first // self.eta**place, 1) for place in range(len(self.rungs))]

    def plan(self, first: int) -> None:
        """So many points begin on the first rung; 0 means that the ladder is not used."""
        for rung, size in zip(self.rungs, self.sizes(first), strict=True):
            rung.size = size if first else 0

    def climbing(self, goal: Goal) -> list[tuple[Key, float]]:
        """Who may climb now, the highest first: the best of those told, as many as a share allows."""
        found = []
        for rung, above in reversed(list(zip(self.rungs, self.rungs[1:], strict=False))):
            told = [(key, outcome) for key, outcome in rung.told.items() if outcome is not None]
            share = len(rung.told) // self.eta
            if rung.full and above.size is not None:
                share = above.size
            elif above.size is not None:
                share = min(share, above.size)
            order = ranked([outcome for _, outcome in told], goal)[:share] if share else []
            room = share - len(above.begun)
            climbers = [told[place][0] for place in order if told[place][0] not in above.begun]
            found += [(key, above.fidelity) for key in climbers[: max(room, 0)]]
        return found


@SEARCHERS.register("halving")
class HalvingSearcher(Searcher):
    """Asynchronous successive halving over the length of training, on random points.

    Every point begins with a fraction ``eta ** -(rungs - 1)`` of the whole training. The best of those told
    so far, one in ``eta``, are tried again at ``eta`` times the length, up to the whole of it; nothing waits
    for a rung to fill (Li et al., Proc. MLSys 2, 230 (2020)). Where it is known how many trials there will
    be, the rungs are sized so that some of them are trained to the end, and each rung is then used up.
    Outcomes are ranked as in evolution: limits first, then fronts. A trial at any length counts as a trial.
    Of what another search found, the best points begin first, one for every ``eta`` that begin in all: as
    many as can climb.

    Args:
        space: where to search.
        goal: what is maximised.
        seed: of the points.
        start: points that are proposed before all others.
        eta: one in so many climbs, to so many times the length.
        rungs: how many lengths there are.

    Raises:
        SearchError: as :class:`Searcher`, or a number out of range.
    """

    def __init__(
        self,
        space: Space,
        goal: Goal,
        *,
        seed: int = 0,
        start: Sequence[Point] = (),
        eta: int = 3,
        rungs: int = 3,
    ) -> None:
        super().__init__(space, goal, seed=seed, start=start)
        for name, value in (("eta", eta), ("rungs", rungs)):
            if value < 2:
                raise SearchError(f"{self.name}: {name} must be at least 2, got {value}")
        self._eta = eta
        self._studied: dict[Key, Outcome] = {}
        self._ladders, self._shares = self._built(eta, rungs)

    def _built(self, eta: int, rungs: int) -> tuple[list[Ladder], list[float]]:
        """The ladders, and how many points begin on each, in proportion."""
        return [Ladder.of(eta, rungs)], [1.0]

    def plan(self, trials: int) -> None:
        """Sizes the rungs for so many trials in all."""
        super().plan(trials)
        most = max(1, trials)
        for scale in range(most, 0, -1):
            firsts = [round(scale * share) for share in self._shares]
            sizes = [
                sum(ladder.sizes(first)) for ladder, first in zip(self._ladders, firsts, strict=True) if first
            ]
            if sum(sizes) <= trials:
                break
        else:  # fewer trials than rungs: all of them are trained to the end
            self._ladders, self._shares, firsts = [Ladder.of(2, 1)], [1.0], [trials]
        for ladder, first in zip(self._ladders, firsts, strict=True):
            ladder.plan(first)
        over = trials - sum(rung.size or 0 for ladder in self._ladders for rung in ladder.rungs)
        entry = next(ladder for ladder, first in zip(self._ladders, firsts, strict=True) if first).rungs[0]
        entry.size = (entry.size or 0) + over

    def _promoted(self, count: int) -> Sequence[tuple[Point, float]]:
        climbing = [climber for ladder in self._ladders for climber in ladder.climbing(self.goal)]
        climbing.sort(key=lambda climber: -climber[1])
        return [(self.space.point(key), fidelity) for key, fidelity in climbing[:count]]

    def _propose(self, count: int) -> Sequence[Position]:
        room = [
            count if ladder.rungs[0].size is None else ladder.rungs[0].size - len(ladder.rungs[0].begun)
            for ladder in self._ladders
        ]
        count = min(count, sum(max(free, 0) for free in room))
        known = [point for point in self._known() if self._fresh(point)][:count]
        return known + [
            random_point(self.space, np.random.default_rng([self.seed, self._next + index]), self._fresh)
            for index in range(len(known), count)
        ]

    def _known(self) -> list[dict[str, int]]:
        """The points of another search that begin before all others, the best one first."""
        entries = [ladder.rungs[0].size for ladder in self._ladders]
        begin = sum(size or 0 for size in entries) or len(self._studied)
        order = ranked([*self._studied.values()], self.goal) if self._studied else []
        keys = [*self._studied]
        return [self.space.point(keys[place]) for place in order[: max(begin // self._eta, 1)]]

    def _fidelity(self) -> float:
        return self._next_ladder().rungs[0].fidelity

    def _next_ladder(self) -> Ladder:
        """The ladder that is furthest behind its share."""
        behind = []
        for place, (ladder, share) in enumerate(zip(self._ladders, self._shares, strict=True)):
            first = ladder.rungs[0]
            if first.size is None or len(first.begun) < first.size:
                behind.append((len(first.begun) / (first.size or share), place))
        return self._ladders[min(behind)[1]] if behind else self._ladders[0]

    def _rung(self, key: Key, fidelity: float) -> Rung:
        """The rung of this fidelity on the ladder that the point began on."""
        for ladder in self._ladders:
            if key in ladder.rungs[0].begun:
                for rung in ladder.rungs:
                    if rung.fidelity == fidelity:
                        return rung
        for ladder in self._ladders:
            if ladder.rungs[0].fidelity == fidelity:
                return ladder.rungs[0]
        return self._ladders[0].rungs[-1]  # a trial of another searcher

    def _begin(self, proposal: Proposal) -> None:
        key = self.space.key(proposal.point)
        self._rung(key, proposal.fidelity).begun[key] = None

    def _observe(self, proposal: Proposal, outcome: Outcome) -> None:
        key = self.space.key(proposal.point)
        self._rung(key, proposal.fidelity).told[key] = outcome

    def _reject(self, proposal: Proposal, reason: str) -> None:  # noqa: ARG002
        key = self.space.key(proposal.point)
        self._rung(key, proposal.fidelity).told[key] = None

    def _study(self, point: Point, outcome: Outcome) -> None:
        self._studied[self.space.key(point)] = outcome

    @property
    def exhausted(self) -> bool:
        """Whether every point was proposed and nobody can climb any more."""
        return super().exhausted and not self._open and not self._promoted(1)
