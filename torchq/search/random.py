"""``RandomSearcher``: the baseline that every other searcher is compared with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from torchq.search.base import SEARCHERS, Searcher
from torchq.search.space import Position


@SEARCHERS.register("random")
class RandomSearcher(Searcher):
    """Every point with the same probability, none twice; what it is told changes nothing.

    Example:
        >>> from torchq.search import Knob, MultiObjective, Space
        >>> space = Space((Knob.units("fc1", [16, 32]),))
        >>> searcher = RandomSearcher(space, MultiObjective("bits"), seed=1)
        >>> sorted(proposal.point["fc1.units"] for proposal in searcher.ask(5))
        [0, 1]
    """

    def _propose(self, count: int) -> Sequence[Position]:
        return [self._draw(len(self._taken) + index) for index in range(count)]

    def _draw(self, number: int) -> Position:
        """A random point that was not tried; after many misses any position, which the base moves."""
        generator = np.random.default_rng([self.seed, number])
        sizes = [len(knob.options) for knob in self.space.knobs]
        for _ in range(100):
            key = tuple(int(index) for index in generator.integers(sizes))
            if key not in self._taken:
                break
        return {knob.name: index for knob, index in zip(self.space.knobs, key, strict=True)}
