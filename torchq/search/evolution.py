"""``EvolutionSearcher``: generations of mutated and crossed points, for cheap trials and wide batches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from torchq.errors import SearchError
from torchq.search.base import SEARCHERS, Searcher
from torchq.search.breeding import Breeder, Key
from torchq.search.goal import Goal, Outcome
from torchq.search.ranking import ranked
from torchq.search.sampling import sobol_points
from torchq.search.space import Point, Position, Space
from torchq.search.trial import Proposal

TRIES = 60
"""Children that are bred before one that was tried already is handed on, to be moved to a neighbour."""


@SEARCHERS.register("evolution")
class EvolutionSearcher(Searcher):
    """Crosses and mutates the best points so far, each proposal by itself, so that it never waits.

    With several objectives the parents are the best of all trials by constrained fronts and crowding
    (NSGA-II: Deb et al., IEEE Trans. Evol. Comput. 6, 182 (2002)). With one objective they are the most
    recent trials, the old ones dying whatever they were worth (regularized evolution: Real et al., AAAI 33,
    4780 (2019)); the best trial ever lives on.

    Args:
        space: where to search.
        goal: what is maximised; its limits and thresholds are kept first.
        seed: of the first points and of all dice.
        start: points that are proposed before all others.
        initial: how many evenly spread points, ``start`` included, are tried before the first child.
        population: how many trials may become parents.
        crossing: the probability that a child has two parents.

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
        initial: int = 12,
        population: int = 8,
        crossing: float = 0.8,
    ) -> None:
        super().__init__(space, goal, seed=seed, start=start)
        for name, value in (("initial", initial), ("population", population)):
            if value < 1:
                raise SearchError(f"evolution: {name} must be at least 1, got {value}")
        if not 0.0 <= crossing <= 1.0:
            raise SearchError(f"evolution: crossing must be from 0 to 1, got {crossing:g}")
        self._initial = initial
        self._population = population
        self._breeder = Breeder([len(knob.options) for knob in space.knobs], crossing)
        self._told: list[tuple[Key, Outcome]] = []

    def _propose(self, count: int) -> Sequence[Position]:
        tried = len(self._taken)
        first = count if len(self._told) < 2 else max(min(self._initial - tried, count), 0)
        positions = sobol_points(self.space, self.seed, tried, first)
        parents = self._parents() if first < count else []
        bred: set[Key] = set()
        for index in range(first, count):
            generator = np.random.default_rng([self.seed, self._next + index])
            child = self._child(parents, generator, bred)
            bred.add(child)
            positions.append(self.space.point(child))
        return positions

    def _parents(self) -> list[Key]:
        """The best first."""
        told = self._told
        if len(self.goal.objectives) == 1 and len(told) > self._population:
            best = ranked([outcome for _, outcome in told], self.goal)[0]
            recent = told[-self._population :]
            told = recent if best >= len(told) - self._population else [told[best], *recent[1:]]
        order = ranked([outcome for _, outcome in told], self.goal)[: self._population]
        return [told[place][0] for place in order]

    def _child(self, parents: Sequence[Key], generator: np.random.Generator, bred: set[Key]) -> Key:
        for _ in range(TRIES):
            child = self._breeder.child(parents, generator)
            if child not in bred and self._fresh(self.space.point(child)):
                break
        return child

    def _observe(self, proposal: Proposal, outcome: Outcome) -> None:
        self._told.append((self.space.key(proposal.point), outcome))

    def _study(self, point: Point, outcome: Outcome) -> None:
        self._told.append((self.space.key(point), outcome))
