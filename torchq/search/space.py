"""``Knob`` and ``Space``: what a search may change, and the schemes that its points stand for."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from typing import Any

from torchq.errors import SearchError
from torchq.scheme import Scheme

SLOTS = ("weight", "bias", "output", "units", "input")
"""What a knob can turn: a layer's quantizers, its number of neurons, or the quantizer of the input."""

Point = Mapping[str, int]
"""A choice for every knob: knob name -> index into its options."""

Position = Mapping[str, float]
"""A place between points: knob name -> index that need not be whole."""


@dataclass(frozen=True)
class Knob:
    """One thing that a search may change: a slot and its options, ordered from cheap to dear.

    The order matters: searchers take neighbouring options to behave alike.

    Args:
        name: how points and journals call it; ``"fc1.weight"`` by the constructors below.
        layer: the layer's name or glob; ignored where ``slot`` is ``"input"``.
        slot: one of :data:`SLOTS`.
        options: quantizer texts, or numbers of neurons where ``slot`` is ``"units"``.

    Raises:
        SearchError: an unknown slot, no options, the same option twice, or an option of the wrong sort.

    Example:
        >>> Knob.units("fc1", [64, 16, 32])
        Knob(name='fc1.units', layer='fc1', slot='units', options=(16, 32, 64))
    """

    name: str
    layer: str
    slot: str
    options: tuple[str | int, ...]

    def __post_init__(self) -> None:
        if self.slot not in SLOTS:
            raise SearchError(
                f"knob {self.name}: unknown slot {self.slot!r}", hint=f"Known: {', '.join(SLOTS)}"
            )
        object.__setattr__(self, "options", tuple(self.options))
        if not self.options:
            raise SearchError(
                f"knob {self.name}: has no options", hint="give at least one, or leave the knob out"
            )
        for option in self.options:
            self._check(option)
        for option in self.options:
            if self.options.count(option) > 1:
                raise SearchError(f"knob {self.name}: the option {option} stands twice", hint="remove one")

    def _check(self, option: Any) -> None:
        if self.slot != "units":
            if not isinstance(option, str):
                raise SearchError(f"knob {self.name}: got {option!r}, the text of a quantizer is needed")
        elif isinstance(option, bool) or not isinstance(option, int) or option < 1:
            raise SearchError(f"knob {self.name}: got {option!r}, a whole number of at least 1 is needed")

    @classmethod
    def quantizer(cls, layer: str, slot: str, texts: Iterable[str]) -> Knob:
        """A knob for the quantizer of a slot; the texts are made canonical and ordered by width.

        Texts of equal width keep the order they came in.

        Raises:
            SearchError: as :class:`Knob`.
            QuantizerError: a text that is no quantizer.
        """
        from torchq.quantizers import parse

        quantizers = sorted((parse(text) for text in texts), key=lambda quantizer: quantizer.bits)
        return cls(_name(layer, slot), layer, slot, tuple(str(quantizer) for quantizer in quantizers))

    @classmethod
    def input(cls, texts: Iterable[str]) -> Knob:
        """A knob for the quantizer of the model's input, ordered as in :meth:`quantizer`."""
        return cls.quantizer("", "input", texts)

    @classmethod
    def units(cls, layer: str, counts: Iterable[int]) -> Knob:
        """A knob for the number of neurons of a layer, ordered from few to many."""
        return cls(_name(layer, "units"), layer, "units", tuple(sorted(counts)))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"name": self.name, "layer": self.layer, "slot": self.slot, "options": list(self.options)}


def _name(layer: str, slot: str) -> str:
    return "input" if slot == "input" else f"{layer}.{slot}"


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
            target = ("" if knob.slot == "input" else knob.layer, knob.slot)
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
            option = knob.options[point[knob.name]]
            if isinstance(option, int):
                scheme = scheme.with_units(knob.layer, option)
            elif knob.slot == "input":
                scheme = scheme.with_input(option)
            else:
                scheme = scheme.with_slot(knob.layer, knob.slot, option)
        return scheme

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


def _ranked(value: float, count: int) -> list[tuple[float, int]]:
    """(squared distance, index) of every option, nearest first."""
    reach = max(count - 1, 1)
    return sorted((((index - value) / reach) ** 2, index) for index in range(count))


def _entry(
    ranked: list[list[tuple[float, int]]], ranks: tuple[int, ...]
) -> tuple[float, tuple[int, ...], tuple[int, ...]]:
    chosen = [options[rank] for options, rank in zip(ranked, ranks, strict=True)]
    return sum(distance for distance, _ in chosen), tuple(index for _, index in chosen), ranks
