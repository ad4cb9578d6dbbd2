"""``Scheme``: which quantizer stands where, and how many neurons each layer keeps. A pure value.

A search changes nothing but the scheme; :func:`torchq.convert.quantize` applies it to a float model.
"""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from torchq.advice import advice
from torchq.errors import SchemeError, TorchqError
from torchq.formats import FixedPoint
from torchq.quantizers import Quantizer, make

SLOTS = (
    "weight",
    "bias",
    "output",
    "input",
    "average",
    "recurrent",
    "state",
    "cell",
    "preactivation",
    "gate",
    "candidate",
    "out_weight",
    "out_bias",
    "query",
    "key",
    "value",
    "scores",
    "attention",
    "context",
    "exp",
    "sum",
    "inverse",
    "mean",
    "variance",
    "rsqrt",
    "scale",
    "shift",
)
"""What layers can have a quantizer for; which layer has which, its class says."""

ANY = "*"
"""The pattern of last resort; its ``output`` goes only where it is needed, see :class:`Scheme`."""

REGEX = "re:"
"""What a key that is a regular expression starts with."""

CLASS = "class:"
"""What a key that means all layers of a class starts with."""

Spec = str | Quantizer | FixedPoint


@dataclass(frozen=True, repr=False)
class Scheme:
    """Quantizers by layer and slot, the quantizer of the input, and the number of neurons by layer.

    A key of ``layers`` is a layer's name (``"fc1"``, ``"block.fc1"``), a glob (``"fc*"``), a regular
    expression (``"re:^fc[0-9]$"``, searched in the name) or a class (``"class:Conv2d"``, of the float or of
    the quantized layer). Entries merge: for each slot the most specific key that has the slot wins. That is
    the name itself, then the glob or expression with the most literal characters, then the nearest class,
    then ``"*"``; globs and expressions that are equally specific and disagree are refused. ``"*"`` is a
    default: every weight, bias and activation gets its quantizer, and a layer that sums (a linear one, an
    addition) gets its ``output`` only if it feeds another such layer with no activation between.

    Args:
        layers: key -> slot (``"weight"``, ``"bias"``, ``"output"``, ...) -> quantizer, as text
            (``"quantized_bits(6,0)"``), a :class:`~torchq.quantizers.Quantizer` or a
            :class:`~torchq.formats.FixedPoint`. Kept as canonical text.
        input: the quantizer of the model's input.
        units: layer name -> how many of its neurons (output features) are kept.

    Raises:
        SchemeError: an unknown slot, a text that is no quantizer (the message names layer and slot), a
            faulty regular expression, or a number of neurons below 1.

    Example:
        >>> six, four = "quantized_bits(6,0,alpha=1.0)", "quantized_bits(4,0,alpha=1.0)"
        >>> scheme = Scheme({"*": {"weight": six}, "fc1": {"weight": four}})
        >>> scheme.slot("fc1", "weight"), scheme.slot("fc2", "weight"), scheme.slot("fc2", "bias")
        ('quantized_bits(4,0,alpha=1.0)', 'quantized_bits(6,0,alpha=1.0)', None)
        >>> Scheme({"fc1": {"weights": six}})
        Traceback (most recent call last):
        ...
        torchq.errors.SchemeError: fc1: unknown slot 'weights'; did you mean 'weight'? Known: weight, ...
    """

    layers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    input: str | None = None
    units: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        layers = {str(name): _slots(str(name), slots) for name, slots in self.layers.items()}
        object.__setattr__(self, "layers", MappingProxyType(layers))
        if self.input is not None:
            object.__setattr__(self, "input", _canonical("input", self.input))
        units = {str(name): _neurons(str(name), count) for name, count in self.units.items()}
        object.__setattr__(self, "units", MappingProxyType(units))

    # ------------------------------------------------------------------ questions

    def slot(self, layer: str, slot: str, classes: Sequence[str] = ()) -> str | None:
        """The quantizer text for a slot of a layer; None if no key has it.

        Args:
            layer: the layer's name.
            slot: the slot.
            classes: the names of the layer's classes, the nearest first.

        Raises:
            SchemeError: two globs that are equally specific disagree.
        """
        pattern = self.pattern(layer, slot, classes)
        return None if pattern is None else self.layers[pattern][slot]

    def pattern(self, layer: str, slot: str, classes: Sequence[str] = ()) -> str | None:
        """The key that :meth:`slot` takes its answer from."""
        having = [key for key, slots in self.layers.items() if slot in slots]
        if layer in having:
            return layer
        matching = [key for key in having if not key.startswith(CLASS) and matches(key, layer)]
        named = [key for key in matching if key != ANY]
        if not named:
            for name in classes:
                if f"{CLASS}{name}" in having:
                    return f"{CLASS}{name}"
            return ANY if matching else None
        best = max(map(_specificity, named))
        first, *rest = sorted(key for key in named if _specificity(key) == best)
        for other in rest:
            if self.layers[other][slot] != self.layers[first][slot]:
                raise SchemeError(
                    f"{layer}.{slot}: {first!r} and {other!r} are equally specific and disagree",
                    hint=f"give {layer!r} its own entry",
                )
        return first

    def unused(self, names: Iterable[str], classes: Iterable[str] = ()) -> tuple[str, ...]:
        """The keys, and the names in ``units``, that match none of these layers.

        Args:
            names: of all layers.
            classes: of all layers.
        """
        known, kinds = list(names), {f"{CLASS}{name}" for name in classes}
        lost = [
            key
            for key in self.layers
            if key not in known and key not in kinds and not any(matches(key, name) for name in known)
        ]
        return tuple(dict.fromkeys([*lost, *(name for name in self.units if name not in known)]))

    # ------------------------------------------------------------------ changed copies

    def with_slot(self, layer: str, slot: str, spec: Spec) -> Scheme:
        """A copy in which this slot of this layer (or glob) has another quantizer."""
        slots = {**self.layers.get(layer, {}), slot: spec}
        return replace(self, layers={**self.layers, layer: slots})  # type: ignore[dict-item]

    def with_units(self, layer: str, count: int) -> Scheme:
        """A copy in which this layer keeps another number of neurons."""
        return replace(self, units={**self.units, layer: count})

    def with_input(self, spec: Spec | None) -> Scheme:
        """A copy in which the model's input has another quantizer."""
        return replace(self, input=spec)  # type: ignore[arg-type]

    @classmethod
    def uniform(
        cls,
        weight: Spec | None = None,
        bias: Spec | None = None,
        output: Spec | None = None,
        input: Spec | None = None,
    ) -> Scheme:
        """One quantizer per slot for all layers.

        Example:
            >>> scheme = Scheme.uniform(weight="quantized_bits(6,0)", output="quantized_relu(6)")
            >>> scheme.slot("relu1", "output")
            'quantized_relu(6,0)'
        """
        given = {"weight": weight, "bias": bias, "output": output}
        slots = {slot: spec for slot, spec in given.items() if spec is not None}
        return cls({ANY: slots} if slots else {}, input)  # type: ignore[dict-item, arg-type]

    # ------------------------------------------------------------------ as plain data

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; :meth:`from_dict` reads it, and equal schemes give equal data."""
        layers = {
            name: {s: slots[s] for s in SLOTS if s in slots} for name, slots in sorted(self.layers.items())
        }
        return {"layers": layers, "input": self.input, "units": dict(sorted(self.units.items()))}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Scheme:
        """The scheme that :meth:`to_dict` wrote; what is left out is empty.

        Raises:
            SchemeError: an unknown key, a part that is no mapping, or a scheme that cannot exist.
        """
        if not isinstance(data, Mapping):
            raise SchemeError(f"a scheme must be a mapping, got {data!r}")
        for key in data:
            if key not in ("layers", "input", "units"):
                raise SchemeError(
                    f"a scheme has no part {key!r}", hint=advice(str(key), ("layers", "input", "units"))
                )
        for key in ("layers", "units"):
            if not isinstance(data.get(key, {}), Mapping):
                raise SchemeError(f"{key} must be a mapping, got {data[key]!r}")
        return cls(data.get("layers", {}), data.get("input"), data.get("units", {}))

    def to_text(self) -> str:
        """The scheme as JSON text; :meth:`from_text` reads it.

        Example:
            >>> scheme = Scheme.uniform("ternary()", input="quantized_bits(8,0,alpha=1)")
            >>> Scheme.from_text(scheme.to_text()) == scheme
            True
        """
        return json.dumps(self.to_dict(), indent=2)

    @classmethod
    def from_text(cls, text: str) -> Scheme:
        """The scheme that :meth:`to_text` wrote.

        Raises:
            SchemeError: the text is no JSON, or no scheme.
        """
        try:
            data = json.loads(text)
        except ValueError as fault:
            raise SchemeError(f"a scheme must be JSON: {fault}") from None
        return cls.from_dict(data)

    def __repr__(self) -> str:
        data = self.to_dict()
        return f"Scheme({data['layers']}, input={self.input!r}, units={data['units']})"

    def __hash__(self) -> int:
        return hash(json.dumps(self.to_dict(), sort_keys=True))

    def __deepcopy__(self, memo: dict[int, Any]) -> Scheme:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return Scheme.from_dict, (self.to_dict(),)


# ---------------------------------------------------------------------- helpers


def _slots(layer: str, slots: Any) -> Mapping[str, str]:
    if layer.startswith(REGEX):
        try:
            re.compile(layer.removeprefix(REGEX))
        except re.error as fault:
            raise SchemeError(f"{layer!r} is no regular expression: {fault}") from None
    if not isinstance(slots, Mapping):
        raise SchemeError(
            f"{layer}: got {slots!r}, a mapping from slot to quantizer is needed",
            hint="write {'weight': 'quantized_bits(6,0)'}",
        )
    for slot in slots:
        if slot not in SLOTS:
            raise SchemeError(f"{layer}: unknown slot {slot!r}", hint=advice(str(slot), SLOTS))
    return MappingProxyType({slot: _canonical(f"{layer}.{slot}", spec) for slot, spec in slots.items()})


def _canonical(where: str, spec: Any) -> str:
    if not isinstance(spec, str | Quantizer | FixedPoint):
        raise SchemeError(
            f"{where}: got {spec!r}, a quantizer is needed", hint="write it as text: 'quantized_bits(6,0)'"
        )
    try:
        return _canonical_text(spec) if isinstance(spec, str) else str(make(spec))
    except TorchqError as fault:
        raise SchemeError(f"{where}: {fault.message}", hint=fault.hint) from fault


@lru_cache(maxsize=4096)
def _canonical_text(text: str) -> str:
    return str(make(text))


def _neurons(layer: str, count: Any) -> int:
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise SchemeError(f"units of {layer} must be a whole number of at least 1, got {count!r}")
    return count


def matches(key: str, layer: str) -> bool:
    """Whether a name, glob or regular expression means a layer of this name.

    Example:
        >>> matches("fc*", "fc1"), matches("re:^fc[0-9]$", "fc1"), matches("re:^fc[0-9]$", "block.fc1")
        (True, True, False)
    """
    if key.startswith(REGEX):
        return re.search(key.removeprefix(REGEX), layer) is not None
    return fnmatch.fnmatchcase(layer, key)


def _specificity(key: str) -> int:
    """The number of literal characters of a glob or a regular expression."""
    if key.startswith(REGEX):
        return len(re.findall(r"\w", re.sub(r"\[.*?\]|\{.*?\}|\\[a-zA-Z]", "", key.removeprefix(REGEX))))
    return sum(c not in "*?[]" for c in key)
