"""``BlocksSearcher``: block of layers after block of layers, the best of each kept from then on."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from torchq.errors import SearchError
from torchq.search.base import SEARCHERS, Searcher
from torchq.search.goal import Goal, Outcome
from torchq.search.ranking import ranked
from torchq.search.space import Point, Position, Space
from torchq.search.space_knob import Knob
from torchq.search.trial import Proposal

LEAST_SHARE = 10
"""Trials that a block gets at least, if there are so many for each."""


@SEARCHERS.register("blocks")
class BlocksSearcher(Searcher):
    """Searches the knobs of one block at a time by another searcher, as AutoQKerasScheduler does.

    Knobs of blocks whose turn has not come stand as high as limits on known costs allow; those of blocks that
    are done stand where the best trial had them. A block's turn ends when it had its share of the trials.
    After the last block the first one has another turn, if trials are left, until no block has a point that
    is new; then all knobs are one block. Unlike in AutoQKeras, the best of a block really is frozen.

    Args:
        space: where to search.
        goal: what is maximised.
        seed: of the searchers of the blocks.
        start: whole points that are proposed before all others.
        blocks: regular expressions, matched from the start of the names of knobs (``fc1.weight``, ``input``);
            the first one that matches takes a knob, and knobs that none matches are a last block. By default
            every layer is a block, in the order of the knobs.
        order: ``"sequential"``, as the blocks are given; or ``"cost"``, those first that cost most, with
            shares in proportion to what they cost, which needs a price.
        inner: the searcher of the blocks, by name.

    Raises:
        SearchError: as :class:`Searcher`; an expression that is none or matches nothing, an unknown order, or
            an inner searcher that trains for part of the time.
    """

    def __init__(
        self,
        space: Space,
        goal: Goal,
        *,
        seed: int = 0,
        start: Sequence[Point] = (),
        blocks: Sequence[str] | None = None,
        order: str = "sequential",
        inner: str = "ax",
    ) -> None:
        super().__init__(space, goal, seed=seed, start=start)
        if order not in ("sequential", "cost"):
            raise SearchError(f"blocks: order must be 'sequential' or 'cost', got {order!r}")
        if inner in ("blocks", "halving", "hyperband"):
            raise SearchError(f"blocks: {inner} cannot search a block", hint="choose ax, evolution or random")
        self._kind = SEARCHERS.get(inner)
        self._order = order
        self._blocks = _by_layer(space.knobs) if blocks is None else _by_pattern(space.knobs, blocks)
        self._shares: list[int] | None = None
        self._context = space.at(1.0)
        self._whole = False
        self._turn = 0
        self._begun = 0
        self._searcher: Searcher | None = None
        self._done: dict[int, tuple[dict[str, int], Outcome | None, str]] = {}
        self._studied: list[tuple[dict[str, int], Outcome]] = []

    @property
    def learns(self) -> bool:
        """Whether the searcher of the blocks can use what another search found out."""
        return self._kind._study is not Searcher._study

    def _propose(self, count: int) -> Sequence[Position]:
        for _ in range(len(self._blocks) + 1):
            room = self._share - self._begun
            asked = self._inner.ask(min(count, room)) if room > 0 else []
            if asked or self._open:
                return [self._context | proposal.point for proposal in asked]
            self._advance()
        if self._whole:
            return []
        self._whole, self._searcher = True, None
        return [dict(proposal.point) for proposal in self._inner.ask(count)]

    @property
    def _block(self) -> list[Knob]:
        self._planned_shares()
        if self._whole:
            return [*self.space.knobs]
        return self._blocks[self._turn % len(self._blocks)]

    @property
    def _inner(self) -> Searcher:
        """The searcher of the current block, knowing every trial that its space holds."""
        if self._searcher is None:
            where = Space(tuple(self._block), self.space.base)
            searcher = self._kind(where, self.goal, seed=self.seed + self._turn)
            searcher.plan(self._share)
            if self._screen is not None:
                screen, context = self._screen, dict(self._context)
                searcher.know(lambda part: screen.costs(context | dict(part)))
            for point, learned in self._studied:
                if self._holds(point):
                    searcher.learn(self._part(point), learned)
            for point, outcome, reason in self._done.values():
                if self._holds(point):
                    searcher.restore(searcher._next, self._part(point), outcome, reason)
            self._searcher = searcher
        return self._searcher

    @property
    def _share(self) -> int:
        """Trials of the current turn."""
        if self._whole:
            return self.space.cardinality
        return self._planned_shares()[self._turn % len(self._blocks)]

    def _planned_shares(self) -> list[int]:
        """Trials of each block; the first call puts the blocks in order, and lays down where all begin."""
        if self._shares is None:
            levels = (self.space.at(1.0 - step / 20) for step in range(21))
            self._context = next((point for point in levels if self._admits(point)), self._context)
            weights = [1.0] * len(self._blocks)
            if self._order == "cost":
                self._blocks, weights = self._by_cost()
            trials = self._planned or 2 * LEAST_SHARE * len(self._blocks)
            least = min(LEAST_SHARE, max(trials // len(self._blocks), 1))
            spare = max(trials - least * len(self._blocks), 0)
            self._shares = [least + int(spare * weight / sum(weights)) for weight in weights]
        return self._shares

    def _by_cost(self) -> tuple[list[list[Knob]], list[float]]:
        """The blocks with what each costs beyond its cheapest options, dearest first."""
        if self._screen is None:
            raise SearchError("blocks: order 'cost' needs prices", hint="give price, or choose 'sequential'")
        dear, cheap = self.space.at(1.0), self.space.at(0.0)
        priced = []
        for place, block in enumerate(self._blocks):
            saved = dear | {knob.name: cheap[knob.name] for knob in block}
            priced.append((self._cost(dear) - self._cost(saved), -place))
        order = sorted(range(len(self._blocks)), key=lambda place: priced[place], reverse=True)
        return [self._blocks[i] for i in order], [max(priced[i][0], 0.0) + 1e-9 for i in order]

    def _cost(self, point: Mapping[str, int]) -> float:
        known = self._screen.costs(point) if self._screen is not None else {}
        return sum(known[name] for name in self.goal.costs if name in known)

    def _advance(self) -> None:
        """The best trial's options are kept, and the next block has its turn."""
        if self._whole:
            return
        told = [(point, outcome) for point, outcome, _ in self._done.values() if outcome is not None]
        if told:
            best = told[ranked([outcome for _, outcome in told], self.goal)[0]][0]
            self._context = dict(best)
        self._turn += 1
        self._begun = 0
        self._searcher = None

    def reopen(self, proposal: Proposal) -> None:
        """As :meth:`Searcher.reopen`; a point that the current block cannot have proposed ends its turn."""
        self.space.check(proposal.point)
        before = self._context, self._turn, self._begun, self._searcher
        done = 0
        for _ in range(len(self._blocks) + 1):
            if self._fits(proposal.point) or self._open or proposal.point in self._start:
                break
            done = done + 1 if self._inner.exhausted else 0
            self._advance()
        else:
            if done >= len(self._blocks):
                self._whole, self._searcher = True, None
            else:  # a point of no block, such as another searcher's
                self._context, self._turn, self._begun, self._searcher = before
        super().reopen(proposal)

    def _begin(self, proposal: Proposal) -> None:
        """Counts the trial to the current block, if it is one of its points."""
        if proposal.point in self._start or not self._holds(proposal.point):
            return
        part = self._part(proposal.point)
        if self._fits(proposal.point):
            self._inner.reopen(Proposal(self._inner._next, part))
        self._begun += 1

    def _observe(self, proposal: Proposal, outcome: Outcome) -> None:
        self._done[proposal.number] = proposal.point, outcome, ""
        number = self._inner_number(proposal)
        if number is not None:
            self._inner.tell(number, outcome)

    def _reject(self, proposal: Proposal, reason: str) -> None:
        self._done[proposal.number] = proposal.point, None, reason
        number = self._inner_number(proposal)
        if number is not None:
            self._inner.fail(number, reason)

    def _study(self, point: Point, outcome: Outcome) -> None:
        self._studied.append((dict(point), outcome))

    def _inner_number(self, proposal: Proposal) -> int | None:
        part = self._part(proposal.point)
        if self._searcher is not None and self._holds(proposal.point):
            for number, kept in self._searcher._open.items():
                if kept.point == part:
                    return number
        return None

    def _holds(self, point: Mapping[str, int]) -> bool:
        """Whether the point differs from the context in the current block only."""
        block = {knob.name for knob in self._block}
        return all(point[name] == index for name, index in self._context.items() if name not in block)

    def _fits(self, point: Mapping[str, int]) -> bool:
        """Whether the current block may propose the point, and has not yet."""
        inner = self._inner
        return self._holds(point) and inner.space.key(self._part(point)) not in inner._taken

    def _part(self, point: Mapping[str, int]) -> dict[str, int]:
        return {knob.name: point[knob.name] for knob in self._block}


def _by_layer(knobs: Sequence[Knob]) -> list[list[Knob]]:
    blocks: dict[str, list[Knob]] = {}
    for knob in knobs:
        blocks.setdefault(knob.name.rpartition(".")[0] or knob.name, []).append(knob)
    return [*blocks.values()]


def _by_pattern(knobs: Sequence[Knob], patterns: Sequence[str]) -> list[list[Knob]]:
    left = list(knobs)
    blocks = []
    for pattern in patterns:
        try:
            taken = [knob for knob in left if re.match(pattern, knob.name)]
        except re.error as fault:
            raise SearchError(f"blocks: {pattern!r} is no regular expression ({fault})") from fault
        if not taken:
            raise SearchError(
                f"blocks: {pattern!r} matches no knob that is left",
                hint=f"Left: {', '.join(knob.name for knob in left) or 'none'}",
            )
        blocks.append(taken)
        left = [knob for knob in left if knob not in taken]
    return blocks + ([left] if left else [])
