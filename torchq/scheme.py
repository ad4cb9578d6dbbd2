"""``Scheme``: which quantizer stands where, and how many neurons each layer keeps. A pure value.

A search changes nothing but the scheme; :func:`torchq.convert.quantize` applies it to a float model.
"""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from torchq.advice import advice
from torchq.errors import SchemeError, TorchqError
from torchq.formats import FixedPoint
from torchq.quantizers import Quantizer, make

SLOTS = ("weight", "bias", "output")
"""What a layer can have a quantizer for."""

ANY = "*"
"""The pattern of last resort; its ``output`` goes only where it is needed, see :class:`Scheme`."""

Spec = str | Quantizer | FixedPoint


@dataclass(frozen=True, repr=False)
class Scheme:
    """Quantizers by layer and slot, the quantizer of the input, and the number of neurons by layer.

    A key of ``layers`` is a layer's name (``"fc1"``, ``"block.fc1"``) or a glob (``"fc*"``). For each slot
    the most specific pattern that has the slot wins: the name itself, then the glob with the most literal
    characters; two globs that are equally specific and disagree are refused. The glob ``"*"`` alone is a
    default: every weight, bias and activation gets its quantizer, and a linear layer gets its ``output``
    only if it feeds another linear layer with no activation between.

    Args:
        layers: layer name or glob -> slot (``"weight"``, ``"bias"``, ``"output"``) -> quantizer, as text
            (``"quantized_bits(6,0)"``), a :class:`~torchq.quantizers.Quantizer` or a
            :class:`~torchq.formats.FixedPoint`. Kept as canonical text.
        input: the quantizer of the model's input.
        units: layer name -> how many of its neurons (output features) are kept.

    Raises:
        SchemeError: an unknown slot, a text that is no quantizer (the message names layer and slot), or a
            number of neurons below 1.

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

    def slot(self, layer: str, slot: str) -> str | None:
        """The quantizer text for a slot of a layer; None if no pattern has it.

        Raises:
            SchemeError: two globs that are equally specific disagree.
        """
        pattern = self.pattern(layer, slot)
        return None if pattern is None else self.layers[pattern][slot]

    def pattern(self, layer: str, slot: str) -> str | None:
        """The pattern that :meth:`slot` takes its answer from."""
        if slot in self.layers.get(layer, {}):
            return layer
        matching = [p for p, slots in self.layers.items() if slot in slots and fnmatch.fnmatchcase(layer, p)]
        if not matching:
            return None
        best = max(map(_specificity, matching))
        first, *rest = sorted(p for p in matching if _specificity(p) == best)
        for other in rest:
            if self.layers[other][slot] != self.layers[first][slot]:
                raise SchemeError(
                    f"{layer}.{slot}: {first!r} and {other!r} are equally specific and disagree",
                    hint=f"give {layer!r} its own entry",
                )
        return first

    def unused(self, names: Iterable[str]) -> tuple[str, ...]:
        """The patterns, and the names in ``units``, that match none of these layer names."""
        known = list(names)
        lost = [p for p in self.layers if p not in known and not fnmatch.filter(known, p)]
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


def _specificity(pattern: str) -> int:
    """The number of literal characters of a glob."""
    return sum(c not in "*?[]" for c in pattern)
