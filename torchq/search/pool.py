"""``Pool``: the points that a model-based searcher chooses a batch from, and how it narrows them down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from torchq.search.batch_choice import Gain, choose, directions, heights
from torchq.search.breeding import Breeder, Key

Array = NDArray[np.float64]

WIDE, BRED, FINAL = 700, 700, 320
"""Points drawn at random, points bred from good ones, and points that the batch is chosen from."""

PROMISING, PROVEN = 100, 20
"""How many of the points that promise most, and of the best trials so far, have children."""

ROUGH, FINE, RAYS = 32, 64, 48
"""Samples of the model for narrowing down, samples for choosing, and directions of the hypervolume."""


@dataclass(frozen=True)
class Belief:
    """What a model believes, in units of its own, all objectives maximised.

    Args:
        marginals: points ``(count, knobs)`` to means and standard deviations ``(count, outputs)``.
        joint: points and standard normal numbers ``(samples, count, outputs)`` to samples of that shape.
        objectives: samples ``(..., outputs)`` to objectives ``(..., objectives)``.
        corner: of the hypervolume, shape ``(objectives,)``.
        lacks: samples to how far they are beyond limits, shape ``(...)``.
        floors: which objectives have a threshold as their corner, shape ``(objectives,)``.
    """

    marginals: Callable[[Array], tuple[Array, Array]]
    joint: Callable[[Array, Array], Array]
    objectives: Callable[[Array], Array]
    corner: Array
    lacks: Callable[[Array], Array]
    floors: NDArray[np.bool_]


class Pool:
    """Narrows many points down to a batch.

    Args:
        sizes: the number of options of every knob.
        best: the best points so far, the best one first.
        there: all points that count as tried, those with open outcomes as well.
        fresh: whether a point may be proposed; asked of all that the batch is chosen from.
        generator: of all dice.
        final: how many points the batch is chosen from at last.
        admits: whether a point may be proposed, where that takes time to say; asked of those only that would
            be in the batch.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        best: Sequence[Key],
        there: Sequence[Key],
        fresh: Callable[[Key], bool],
        generator: np.random.Generator,
        final: int = FINAL,
        admits: Callable[[Key], bool] | None = None,
    ) -> None:
        self._final = final
        self._sizes = np.array(sizes)
        self._best = list(best)
        self._there = np.array(there, dtype=np.float64)
        self._tried = set(there)
        self._fresh, self._admits = fresh, admits
        self._generator = generator
        self._breeder = Breeder(sizes)

    def batch(self, belief: Belief, count: int) -> list[Key]:
        """The points to try next, at most so many."""
        along = directions(len(belief.corner), RAYS, self._generator)
        base = _base(belief, belief.marginals(self._there)[0][None], along)
        keys = self._wide()
        worth = self._worth(keys, belief, along, base)
        good = [keys[place] for place in np.argsort(-worth, kind="stable")[:PROMISING].tolist()]
        more = self._bred([*good, *self._best[:PROVEN]], set(keys))
        keys += more
        worth = np.append(worth, self._worth(more, belief, along, base))
        order = [keys[place] for place in np.argsort(-worth, kind="stable").tolist()]
        fresh = filter(self._fresh, order)
        chosen: list[Key] = []
        while len(chosen) < count and (final := [*islice(fresh, max(self._final, 2 * count))]):
            chosen += self._chosen(final, chosen, belief, along, count - len(chosen))
        return chosen

    def _wide(self) -> list[Key]:
        drawn = self._generator.integers(self._sizes, size=(WIDE, len(self._sizes))).tolist()
        found = dict.fromkeys(tuple(key) for key in drawn)
        for key in [*found]:
            if key in self._tried:
                del found[key]
        if self._best:
            found |= dict.fromkeys(self._bred(self._best, set(found)))
        return [*found]

    def _bred(self, parents: Sequence[Key], known: set[Key]) -> list[Key]:
        bred = (self._breeder.child(parents, self._generator) for _ in range(BRED))
        return [*dict.fromkeys(key for key in bred if key not in known and key not in self._tried)]

    def _worth(self, keys: Sequence[Key], belief: Belief, along: Array, base: Array) -> Array:
        """What each point by itself would gain; a lack counts against it where nothing gains."""
        if not keys:
            return np.zeros(0)
        points = np.array(keys, dtype=np.float64)
        means, deviations = belief.marginals(points)
        dice = self._generator.standard_normal((ROUGH, 1, means.shape[1]))
        samples = means + deviations * dice
        gains = Gain(np.broadcast_to(base, (ROUGH, base.shape[1]))).of(_heights(belief, samples, along))
        return np.asarray(gains - 1e-9 * _lacks(belief, samples).mean(axis=0))

    def _chosen(
        self, keys: Sequence[Key], before: Sequence[Key], belief: Belief, along: Array, count: int
    ) -> list[Key]:
        """The best of these points beside those that are there and those chosen before."""
        before_ = np.array(before, dtype=np.float64).reshape(-1, len(self._sizes))
        points = np.concatenate([np.array(keys, dtype=np.float64), self._there, before_])
        outputs = belief.marginals(points[:1])[0].shape[1]
        dice = self._generator.standard_normal((FINE, len(points), outputs))
        samples = belief.joint(points, dice)
        new, old = samples[:, : len(keys)], samples[:, len(keys) :]
        heights_of, base = _heights(belief, new, along), _base(belief, old, along)
        admits = self._admits
        asked = None if admits is None else lambda place: admits(keys[place])
        return [keys[place] for place in choose(heights_of, _lacks(belief, new), base, count, asked)]


def _heights(belief: Belief, samples: Array, along: Array) -> Array:
    """Heights of what keeps the limits; the lowest there is of what does not."""
    found = heights(belief.objectives(samples), belief.corner, along)
    broken = belief.lacks(samples) > 0
    found[broken] = 0.0 if len(belief.corner) > 1 else -np.inf
    return found


def _base(belief: Belief, samples: Array, along: Array) -> Array:
    base = _heights(belief, samples, along).max(axis=1)
    lowest = heights(belief.objectives(samples), belief.corner, along).min(axis=1)
    return np.asarray(np.where(np.isfinite(base), base, lowest))


def _lacks(belief: Belief, samples: Array) -> Array:
    """How far samples are beyond limits and thresholds."""
    short = np.maximum(belief.corner - belief.objectives(samples), 0.0) * belief.floors
    return np.asarray(belief.lacks(samples) + short.sum(axis=-1))
