"""``HyperbandSearcher``: successive halving from several lengths at once."""

from __future__ import annotations

import math

from torchq.search.base import SEARCHERS
from torchq.search.halving import HalvingSearcher, Ladder


@SEARCHERS.register("hyperband")
class HyperbandSearcher(HalvingSearcher):
    """As ``halving``, but some points begin longer, in case brief trainings say little about whole ones.

    There is a ladder for every number of rungs from ``rungs`` down to one, which is trained to the end at
    once. Each gets about the same amount of training (Li et al., J. Mach. Learn. Res. 18, 185 (2018)).

    Args:
        space: where to search.
        goal: what is maximised.
        seed: of the points.
        start: points that are proposed before all others.
        eta: one in so many climbs, to so many times the length.
        rungs: how many lengths there are.

    Raises:
        SearchError: as :class:`HalvingSearcher`.
    """

    def _built(self, eta: int, rungs: int) -> tuple[list[Ladder], list[float]]:
        ladders = [Ladder.of(eta, count) for count in range(rungs, 0, -1)]
        firsts = [math.ceil(rungs / len(ladder.rungs)) * eta ** (len(ladder.rungs) - 1) for ladder in ladders]
        return ladders, [first / firsts[0] for first in firsts]
