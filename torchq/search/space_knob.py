"""``Knob``: one thing that a search may change, and its options from cheap to dear."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from torchq.advice import advice
from torchq.errors import SearchError
from torchq.scheme import SLOTS as QUANTIZER_SLOTS
from torchq.search.space_settings import FOLDS, check_activation

SLOTS = (*QUANTIZER_SLOTS, "units", "activation", "learning_rate", "pruning", "fold")
"""What a knob can turn: the quantizers of layers, the quantizer of the input, numbers of neurons or filters,
which activation a layer is, the learning rate, the share of weights that is pruned, and how batch norms are
folded."""

WHOLE = ("input", "learning_rate", "fold")
"""The slots that belong to no layer."""

Option = str | int | float | tuple[int, ...]
"""A quantizer text, a name, a number, or one number of neurons for each layer of the knob."""


@dataclass(frozen=True)
class Knob:
    """One thing that a search may change: a slot and its options, ordered from cheap to dear.

    The order matters: searchers take neighbouring options to behave alike.

    Args:
        name: how points and journals call it; ``"fc1.weight"`` by the constructors below.
        layer: the layer's name or glob; ignored where the slot is one of :data:`WHOLE`.
        slot: one of :data:`SLOTS`.
        options: quantizer texts; numbers of neurons where ``slot`` is ``"units"``; names of activations, or
            quantizers that take the activation's place, where it is ``"activation"``; numbers where it is
            ``"learning_rate"`` or ``"pruning"``; of ``"train"``, ``"now"`` and ``"apart"`` where it is
            ``"fold"``.
        also: more layers that the same choice is made for. An option of ``"units"`` may then be a tuple: one
            number for ``layer`` and one for each of these.

    Raises:
        SearchError: an unknown slot, no options, the same option twice, or an option of the wrong sort.

    Example:
        >>> Knob.units("fc1", [64, 16, 32]).options
        (16, 32, 64)
        >>> Knob.quantizer("fc1", "weight", ["ternary()"], also=("fc2",)).layers
        ('fc1', 'fc2')
    """

    name: str
    layer: str
    slot: str
    options: tuple[Option, ...]
    also: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.slot not in SLOTS:
            raise SearchError(f"knob {self.name}: unknown slot {self.slot!r}", hint=advice(self.slot, SLOTS))
        object.__setattr__(self, "options", tuple(self.options))
        object.__setattr__(self, "also", tuple(self.also))
        if not self.options:
            raise SearchError(
                f"knob {self.name}: has no options", hint="give at least one, or leave the knob out"
            )
        for option in self.options:
            self._check(option)
        for option in self.options:
            if self.options.count(option) > 1:
                raise SearchError(f"knob {self.name}: the option {option} stands twice", hint="remove one")

    @property
    def layers(self) -> tuple[str, ...]:
        """All layers that it turns; empty where the slot belongs to none."""
        return () if self.slot in WHOLE else (self.layer, *self.also)

    def _check(self, option: Any) -> None:
        needed = _needed(self.slot, option, len(self.layers))
        if needed is not None:
            raise SearchError(f"knob {self.name}: got {option!r}, {needed} is needed")
        if self.slot == "activation":
            check_activation(f"knob {self.name}", option)

    @classmethod
    def quantizer(cls, layer: str, slot: str, texts: Iterable[str], *, also: Sequence[str] = ()) -> Knob:
        """A knob for the quantizer of a slot; the texts are made canonical and ordered by width.

        Texts of equal width keep the order they came in.

        Raises:
            SearchError: as :class:`Knob`.
            QuantizerError: a text that is no quantizer.
        """
        return cls(_name(layer, slot), layer, slot, ordered(texts), tuple(also))

    @classmethod
    def input(cls, texts: Iterable[str]) -> Knob:
        """A knob for the quantizer of the model's input, ordered as in :meth:`quantizer`."""
        return cls.quantizer("", "input", texts)

    @classmethod
    def units(cls, layer: str, counts: Iterable[int]) -> Knob:
        """A knob for the number of neurons of a layer, ordered from few to many."""
        return cls(_name(layer, "units"), layer, "units", tuple(sorted(counts)))

    @classmethod
    def learning_rate(cls, rates: Iterable[float]) -> Knob:
        """A knob for the learning rate, ordered from low to high."""
        return cls("learning_rate", "", "learning_rate", tuple(sorted(map(float, rates))))

    @classmethod
    def pruning(cls, layer: str, shares: Iterable[float], *, also: Sequence[str] = ()) -> Knob:
        """A knob for the share of a layer's weights that is pruned, ordered from most to least.

        Args:
            layer: name or glob; ``"*"`` for all layers.
            shares: from 0 up to below 1.
            also: more layers.
        """
        options = tuple(sorted(map(float, shares), reverse=True))
        return cls(_name(layer, "pruning"), layer, "pruning", options, tuple(also))

    @classmethod
    def fold(cls, ways: Iterable[str]) -> Knob:
        """A knob for how batch norms are folded, in the order of :data:`FOLDS`."""
        given = tuple(ways)
        known = [way for way in FOLDS for one in given if one == way]
        return cls("fold", "", "fold", (*known, *(way for way in given if way not in FOLDS)))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        options = [list(option) if isinstance(option, tuple) else option for option in self.options]
        plain = {"name": self.name, "layer": self.layer, "slot": self.slot, "options": options}
        return {**plain, "also": list(self.also)} if self.also else plain


def ordered(texts: Iterable[str]) -> tuple[str, ...]:
    """Quantizers as canonical texts, by width; those of equal width keep the order they came in.

    Example:
        >>> ordered(["quantized_bits(4, 0)", "ternary()"])
        ('ternary()', 'quantized_bits(4,0)')
    """
    from torchq.quantizers import parse

    quantizers = sorted((parse(text) for text in texts), key=lambda quantizer: quantizer.bits)
    return tuple(str(quantizer) for quantizer in quantizers)


def _name(layer: str, slot: str) -> str:
    return slot if slot in WHOLE else f"{layer}.{slot}"


def _needed(slot: str, option: Any, layers: int) -> str | None:
    """What an option of this slot must be, if this one is not."""
    if slot == "units":
        counts = option if isinstance(option, tuple) and len(option) == layers else (option,)
        good = all(isinstance(n, int) and not isinstance(n, bool) and n >= 1 for n in counts)
        return None if good else "a whole number of at least 1"
    if slot in ("learning_rate", "pruning"):
        number = isinstance(option, float | int) and not isinstance(option, bool) and math.isfinite(option)
        if slot == "learning_rate":
            return None if number and option > 0 else "a number above 0"
        return None if number and 0 <= option < 1 else "a number from 0 up to below 1"
    if slot == "fold":
        return None if option in FOLDS else f"one of {', '.join(FOLDS)}"
    if slot == "activation":
        return None if isinstance(option, str) else "the name of an activation or the text of a quantizer"
    return None if isinstance(option, str) else "the text of a quantizer"
