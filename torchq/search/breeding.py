"""New points from good ones: crossed and mutated, where options are ordered."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Key = tuple[int, ...]
"""A point as option indices in the order of the knobs."""


class Breeder:
    """Makes children; a knob mutates with probability ``1 / knobs``, and at least one does.

    Mostly by one or two steps, as options are ordered, and now and then to any option.

    Args:
        sizes: the number of options of every knob.
        crossing: the probability that a child has two parents.

    Example:
        >>> breeder = Breeder([5, 5, 1])
        >>> breeder.mutated((2, 2, 0), np.random.default_rng(0)) != (2, 2, 0)
        True
    """

    def __init__(self, sizes: Sequence[int], crossing: float = 0.7) -> None:
        self._sizes = list(sizes)
        self._free = [place for place, size in enumerate(sizes) if size > 1]
        self._crossing = crossing

    def child(self, parents: Sequence[Key], generator: np.random.Generator) -> Key:
        """A child of one or two of the parents; the best parents come first and are chosen more often."""
        child = _picked(parents, generator)
        if generator.random() < self._crossing:
            other = _picked(parents, generator)
            own = generator.random(len(child)) < 0.5
            child = tuple(a if first else b for a, b, first in zip(child, other, own, strict=True))
        return self.mutated(child, generator)

    def mutated(self, key: Key, generator: np.random.Generator) -> Key:
        """A neighbour of the point; the point itself only if no knob has two options."""
        if not self._free:
            return key
        turned = [place for place in self._free if generator.random() < 1.0 / len(self._free)]
        changed = list(key)
        for place in turned or [int(generator.choice(self._free))]:
            changed[place] = self._turned(key[place], self._sizes[place], generator)
        return tuple(changed)

    def _turned(self, index: int, size: int, generator: np.random.Generator) -> int:
        """Another option: a neighbour, the one behind it, or now and then any."""
        if generator.random() < 0.2:
            return int((index + generator.integers(1, size)) % size)
        step = int(generator.choice([-2, -1, 1, 2], p=[0.15, 0.35, 0.35, 0.15]))
        for way in (step, -step):
            if 0 <= index + way < size:
                return index + way
        return index + 1 if index == 0 else index - 1


def _picked(parents: Sequence[Key], generator: np.random.Generator) -> Key:
    """The better one of two parents drawn at random."""
    places: list[int] = generator.integers(len(parents), size=2).tolist()
    return parents[min(places)]
