"""AutoQKeras's ``limit``: which layers it means, in which groups, and which options it leaves them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torchq.advice import advice
from torchq.errors import SearchError, TorchqError
from torchq.search.autoqkeras_tables import CLASSES, DEFAULT_LIMIT, Table

Entry = int | Sequence[str]
"""The most bits, or the only options."""


@dataclass(frozen=True)
class Layer:
    """A layer of the float model.

    Args:
        name: its name.
        kind: the class of its module.
        keras: the names that a limit may call its class by.
    """

    name: str
    kind: str
    keras: tuple[str, ...]


@dataclass(frozen=True)
class Group:
    """Layers that a key of ``limit`` means.

    Args:
        key: the key.
        entries: its list: weight, bias, (recurrent,) activation.
        layers: what it means.
        shared: whether all layers of one class share each choice: the key is an expression for names.
    """

    key: str
    entries: tuple[Entry, ...]
    layers: tuple[Layer, ...]
    shared: bool


def layers_of(model: Any) -> tuple[Layer, ...]:
    """The layers of a model that AutoQKeras may quantize, in the order of the model."""
    found = []
    for name, module in model.named_modules():
        kind = type(module).__name__
        if name and kind in CLASSES:
            names = CLASSES[kind]
            if kind == "Conv2d" and module.groups > 1:
                names = ("DepthwiseConv2D",)
            found.append(Layer(name, kind, names))
    return tuple(found)


def groups_of(limit: Mapping[str, Any], layers: Sequence[Layer], chosen: Sequence[str]) -> list[Group]:
    """The groups of a limit; a layer belongs to the first expression that matches, else to its class.

    Raises:
        SearchError: a key that means nothing, or an entry of the wrong sort.
    """
    default = limit.get("default", DEFAULT_LIMIT)
    classes = {name for names in CLASSES.values() for name in names} | {"DepthwiseConv2D"}
    keys = [key for key in limit if key != "default"]
    owner = {layer.name: _owner(layer, keys, classes) for layer in layers if layer.name in chosen}
    groups = []
    for key in keys:
        mine = tuple(layer for layer in layers if owner.get(layer.name) == key)
        if not mine and key not in classes:
            raise SearchError(
                f"limit: {key!r} matches no layer", hint=advice(key, [*(x.name for x in layers)], "Layers")
            )
        if mine:
            entries = _entries(key, limit[key], default, mine)
            groups.append(Group(key, entries, mine, key not in classes))
    return groups


def options(table: Table, entry: Entry, *, where: str) -> tuple[str, ...]:
    """The options that an entry leaves of a table, in the table's order.

    Raises:
        SearchError: it leaves none, or names one that the table does not have.

    Example:
        >>> options({"ternary": 2, "quantized_bits(4,0,1)": 4}, 3, where="fc1.weight: limit Dense")
        ('ternary',)
    """
    had = ", ".join(f"{text} ({bits} bits)" for text, bits in table.items())
    if isinstance(entry, int):
        kept = tuple(text for text, bits in table.items() if bits <= entry)
        said = f"at most {entry} bits"
    else:
        for text in entry:
            if text not in table:
                raise SearchError(f"{where}: {text!r} is not in the quantization_config; there were: {had}")
        kept = tuple(text for text in table if text in entry)
        said = f"one of {', '.join(entry) or 'none'}"
    if not kept:
        raise SearchError(
            f"{where} ({said}) leaves no option; there were: {had}",
            hint="raise the limit, or put a cheaper quantizer into quantization_config",
        )
    return kept


def with_alpha(text: str, role: str) -> str:
    """A kernel quantizer as QKeras's layers use it: without ``alpha`` its scale is a power of two they find.

    Raises:
        SearchError: the text is no quantizer.

    Example:
        >>> with_alpha("quantized_bits(4,0,1)", "kernel"), with_alpha("ternary()", "bias")
        ("quantized_bits(4,0,symmetric=True,alpha='auto_po2')", 'ternary()')
    """
    from torchq.quantizers import parse

    try:
        quantizer = parse(text)
        said = str(quantizer)
        if role != "kernel" or getattr(quantizer, "alpha", 1.0) is not None:
            return said
        inside = said.rstrip(")").partition("(")[2]
        joined = f"{inside}," if inside else ""
        return str(parse(f"{quantizer.name}({joined}alpha='auto_po2')"))
    except TorchqError as fault:
        raise SearchError(f"quantization_config: {role}: {fault.message}", fault.hint) from None


def _owner(layer: Layer, keys: Sequence[str], classes: set[str]) -> str | None:
    for key in keys:
        if key not in classes and _matches(key, layer.name):
            return key
    return next((key for key in keys if key in layer.keras), None)


def _matches(key: str, name: str) -> bool:
    try:
        return re.match(key, name) is not None
    except re.error as fault:
        raise SearchError(f"limit: {key!r} is no regular expression ({fault})") from None


def _entries(key: str, given: Any, default: Any, layers: Any) -> tuple[Entry, ...]:
    if not isinstance(given, list | tuple):
        raise SearchError(f"limit: {key}: got {given!r}, a list such as [weight, bias, activation] is needed")
    for entry in given:
        whole = isinstance(entry, int) and not isinstance(entry, bool)
        texts = isinstance(entry, list | tuple) and all(isinstance(text, str) for text in entry)
        if not (whole or texts):
            raise SearchError(
                f"limit: {key}: got {entry!r}, a number of bits or a list of quantizers is needed"
            )
    kinds = {layer.kind for layer in layers}
    if kinds <= {"ReLU", "Tanh", "Sigmoid", "BatchNorm1d", "BatchNorm2d"}:
        return tuple(given)
    length = 4 if kinds & {"RNN", "LSTM", "GRU"} else 3
    padding = list(default) if isinstance(default, list | tuple) else [default] * length
    full = [*given, *padding[len(given) :]]
    return tuple((*full, *[DEFAULT_LIMIT] * length)[:length])
