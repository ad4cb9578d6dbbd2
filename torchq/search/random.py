"""``RandomSearcher``: the baseline that every other searcher is compared with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from torchq.search.base import SEARCHERS, Searcher
from torchq.search.sampling import random_point
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
        return [
            random_point(self.space, np.random.default_rng([self.seed, self._next + index]), self._fresh)
            for index in range(count)
        ]
