"""``Space``: what a search may change, and the schemes and settings that its points stand for."""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from torchq.errors import SearchError
from torchq.scheme import Scheme
from torchq.search.space_knob import Knob, Option
from torchq.search.space_settings import ACTIVATIONS, Settings, activation_of

Point = Mapping[str, int]
"""A choice for every knob: knob name -> index into its options."""

Position = Mapping[str, float]
"""A place between points: knob name -> index that need not be whole."""


@dataclass(frozen=True)
class Space:
    """All schemes that a search may try: every choice of options, on top of a base scheme.

    Args:
        knobs: what may change.
        base: the scheme that holds wherever no knob stands.

    Raises:
        SearchError: no knobs, two of the same name, or two for the same slot.

    Example:
        >>> space = Space((Knob.units("fc1", [16, 32, 64]), Knob.units("fc2", [8, 32])))
        >>> space.cardinality
        6
        >>> space.at(1.0)
        {'fc1.units': 2, 'fc2.units': 1}
        >>> dict(space.scheme({"fc1.units": 2, "fc2.units": 0}).units)
        {'fc1': 64, 'fc2': 8}
    """

    knobs: tuple[Knob, ...]
    base: Scheme = field(default_factory=Scheme)

    def __post_init__(self) -> None:
        object.__setattr__(self, "knobs", tuple(self.knobs))
        if not self.knobs:
            raise SearchError("the search space has no knobs", hint="name at least one slot that may change")
        names: set[str] = set()
        targets: dict[tuple[str, str], str] = {}
        for knob in self.knobs:
            if knob.name in names:
                raise SearchError(f"two knobs are called {knob.name}", hint="rename or remove one")
            names.add(knob.name)
            for target in _targets(knob):
                if target in targets:
                    raise SearchError(
                        f"the knobs {targets[target]} and {knob.name} turn the same thing", hint="remove one"
                    )
                targets[target] = knob.name

    @property
    def cardinality(self) -> int:
        """The number of points."""
        return math.prod(len(knob.options) for knob in self.knobs)

    def scheme(self, point: Point) -> Scheme:
        """The scheme that a point stands for.

        Raises:
            SearchError: a knob left out, one that the space does not have, or an index out of range.
        """
        self.check(point)
        scheme = self.base
        for knob in self.knobs:
            scheme = _turned(scheme, knob, knob.options[point[knob.name]])
        return scheme

    def settings(self, point: Point) -> Settings:
        """What a point says beside its scheme: learning rate, pruning, folding, activations.

        Raises:
            SearchError: as :meth:`scheme`.

        Example:
            >>> space = Space((Knob.learning_rate([1e-3, 1e-2]), Knob.pruning("*", [0.0, 0.5])))
            >>> space.settings({"learning_rate": 1, "*.pruning": 0}).to_dict()
            {'learning_rate': 0.01, 'pruning': {'*': 0.5}}
        """
        self.check(point)
        chosen: dict[str, dict[str, Any]] = {"pruning": {}, "activation": {}}
        whole: dict[str, Any] = {"learning_rate": None, "fold": None}
        for knob in self.knobs:
            option = knob.options[point[knob.name]]
            if knob.slot in whole:
                whole[knob.slot] = option
            elif knob.slot in chosen:
                value = activation_of(str(option)) if knob.slot == "activation" else option
                chosen[knob.slot] |= dict.fromkeys(knob.layers, value)
        return Settings(whole["learning_rate"], chosen["pruning"], whole["fold"], chosen["activation"])

    def check(self, point: Point) -> None:
        """Raise SearchError unless the point has one existing option for every knob."""
        names = {knob.name for knob in self.knobs}
        for name in point:
            if name not in names:
                raise SearchError(
                    f"the space has no knob {name!r}", hint=f"Known: {', '.join(sorted(names))}"
                )
        for knob in self.knobs:
            if knob.name not in point:
                raise SearchError(f"the point says nothing about knob {knob.name}")
            index, last = point[knob.name], len(knob.options) - 1
            if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index <= last:
                raise SearchError(
                    f"knob {knob.name}: option must be a whole number from 0 to {last}, got {index!r}"
                )

    def at(self, share: float) -> dict[str, int]:
        """The point where every knob stands at this share of its way from cheap (0.0) to dear (1.0)."""
        return {knob.name: round(share * (len(knob.options) - 1)) for knob in self.knobs}

    def key(self, point: Point) -> tuple[int, ...]:
        """The point as a hashable value, in the order of the knobs."""
        return tuple(point[knob.name] for knob in self.knobs)

    def point(self, key: Sequence[int]) -> dict[str, int]:
        """The point that a key (:meth:`key`) stands for."""
        return {knob.name: index for knob, index in zip(self.knobs, key, strict=True)}

    def nearest(self, position: Position, taken: Set[tuple[int, ...]] = frozenset()) -> dict[str, int] | None:
        """The point nearest to a position that is not taken; None if all points are.

        Distance is Euclidean with every knob's range scaled to 1; ties go to the cheaper point.

        Args:
            position: a number for every knob, whole or not, inside its range or not.
            taken: keys (:meth:`key`) of the points that are out of the question.
        """
        ranked = [_ranked(position[knob.name], len(knob.options)) for knob in self.knobs]
        start = (0,) * len(ranked)
        heap = [_entry(ranked, start)]
        seen = {start}
        while heap:
            _, key, ranks = heapq.heappop(heap)
            if key not in taken:
                return {knob.name: index for knob, index in zip(self.knobs, key, strict=True)}
            for place, options in enumerate(ranked):
                step = (*ranks[:place], ranks[place] + 1, *ranks[place + 1 :])
                if step[place] < len(options) and step not in seen:
                    seen.add(step)
                    heapq.heappush(heap, _entry(ranked, step))
        return None

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; two spaces are the same if their data are."""
        return {"knobs": [knob.to_dict() for knob in self.knobs], "base": self.base.to_dict()}


def _targets(knob: Knob) -> list[tuple[str, str]]:
    """(layer, slot) of all that a knob turns; a quantizer in an activation's place is its output as well."""
    found = [(layer, knob.slot) for layer in knob.layers or ("",)]
    if knob.slot == "activation" and any(option not in ACTIVATIONS for option in knob.options):
        found += [(layer, "output") for layer in knob.layers]
    return found


def _turned(scheme: Scheme, knob: Knob, option: Option) -> Scheme:
    """The scheme with one choice made; choices that are no part of a scheme leave it as it is."""
    if knob.slot == "units":
        counts = option if isinstance(option, tuple) else (option,) * len(knob.layers)
        for layer, count in zip(knob.layers, counts, strict=True):
            scheme = scheme.with_units(layer, int(count))
    elif knob.slot == "input":
        scheme = scheme.with_input(str(option))
    elif knob.slot not in ("learning_rate", "pruning", "fold") and option not in ACTIVATIONS:
        slot = "output" if knob.slot == "activation" else knob.slot
        for layer in knob.layers:
            scheme = scheme.with_slot(layer, slot, str(option))
    return scheme


def _ranked(value: float, count: int) -> list[tuple[float, int]]:
    """(squared distance, index) of every option, nearest first."""
    reach = max(count - 1, 1)
    return sorted((((index - value) / reach) ** 2, index) for index in range(count))


def _entry(
    ranked: list[list[tuple[float, int]]], ranks: tuple[int, ...]
) -> tuple[float, tuple[int, ...], tuple[int, ...]]:
    chosen = [options[rank] for options, rank in zip(ranked, ranks, strict=True)]
    return sum(distance for distance, _ in chosen), tuple(index for _, index in chosen), ranks
