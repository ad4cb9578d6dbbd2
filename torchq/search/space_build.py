"""``build_space``: a space for a network, from layers, groups, limits and numbers of neurons in words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from torchq.advice import advice
from torchq.errors import SearchError
from torchq.scheme import CLASS, Scheme, matches
from torchq.search.space import Space
from torchq.search.space_knob import WHOLE, Knob, Option, ordered
from torchq.search.space_limits import Bound, within

if TYPE_CHECKING:
    from torch import nn

MULTIPLIERS = (0.5, 0.75, 1.0, 1.5, 2.0)
"""How many times the neurons of the float layer AutoQKeras tries."""

TUNE_FILTERS = ("none", "layer", "block")

Choices = Mapping[str, Sequence[Option]]
"""slot -> options."""


@dataclass(frozen=True)
class Filters:
    """How numbers of neurons or filters are searched by multiples of what the float layer has.

    Args:
        tune: ``"none"``; ``"layer"``: each layer by itself; ``"block"``: all by the same multiple.
        exceptions: a regular expression; layers in whose name it is found keep their number.
        multipliers: the multiples.

    Raises:
        SearchError: an unknown way, no multiple or one that is not above 0, or a faulty expression.
    """

    tune: str = "none"
    exceptions: str = ""
    multipliers: tuple[float, ...] = MULTIPLIERS

    def __post_init__(self) -> None:
        if self.tune not in TUNE_FILTERS:
            raise SearchError(
                f"tune_filters: unknown way {self.tune!r}", hint=advice(self.tune, TUNE_FILTERS)
            )
        if not self.multipliers or any(not multiple > 0 for multiple in self.multipliers):
            raise SearchError(
                f"tune_filters: multipliers must be numbers above 0, got {list(self.multipliers)}"
            )
        try:
            re.compile(self.exceptions)
        except re.error as fault:
            raise SearchError(
                f"tune_filters: exceptions {self.exceptions!r} is no regular expression ({fault})"
            ) from None

    def spares(self, layer: str) -> bool:
        """Whether a layer keeps its number."""
        return bool(self.exceptions) and re.search(self.exceptions, layer) is not None


@dataclass(frozen=True)
class _Layers:
    """The layers of a model that a space may name."""

    names: tuple[str, ...]
    classes: Mapping[str, tuple[str, ...]]
    sizes: Mapping[str, int] = field(default_factory=dict)

    def matching(self, key: str) -> tuple[str, ...]:
        if key.startswith(CLASS):
            return tuple(name for name in self.names if key.removeprefix(CLASS) in self.classes[name])
        if key in self.names:
            return (key,)
        return tuple(name for name in self.names if matches(key, name))


def build_space(
    model: nn.Module,
    layers: Mapping[str, Choices],
    *,
    base: Scheme | None = None,
    input: Sequence[str] = (),
    limits: Mapping[str, Mapping[str, Bound]] | None = None,
    filters: Filters | None = None,
    learning_rate: Sequence[float] = (),
    fold: Sequence[str] = (),
) -> Space:
    """The space of a network.

    A key of ``layers`` is a layer's name, a glob, ``"re:..."`` or ``"class:..."``. A layer's own name goes
    before patterns, and earlier patterns go before later ones. All layers that a pattern means share one
    choice for each slot: one knob. A slot with one option is fixed and no knob.

    Args:
        model: the float network.
        layers: which options there are: key -> slot -> quantizers, numbers of ``units``, ``activation`` or
            shares of ``pruning``.
        base: the scheme that holds wherever nothing is searched.
        input: quantizers of the model's input.
        limits: key -> slot -> most bits, or the only options that are left.
        filters: numbers of neurons by multiples of what there is.
        learning_rate: rates to choose from.
        fold: ways of folding batch norms to choose from; of one way all are folded.

    Raises:
        SearchError: a key that means no layer, a slot that the layer does not have, nothing to search, or
            limits that leave no option; the message names the layer, the limit, and the options there were.

    Example:
        >>> from torchq.models import jets_mlp
        >>> widths = [f"quantized_bits({bits},0,alpha=1)" for bits in (2, 4, 6)]
        >>> space = build_space(
        ...     jets_mlp(), {"fc1": {"weight": widths}, "fc*": {"weight": widths, "units": [8, 16]}},
        ...     limits={"fc1": {"weight": 4}}, filters=Filters("none"))
        >>> for knob in space.knobs:
        ...     print(knob.name, knob.layers, len(knob.options))
        fc1.weight ('fc1',) 2
        fc*.units ('fc1', 'fc2', 'fc3') 2
        fc*.weight ('fc2', 'fc3') 3
    """
    known = _layers_of(model)
    scheme = base or Scheme()
    knobs: list[Knob] = []
    bounds = _bounds(known, limits or {})
    taken: set[tuple[str, str]] = set()
    for key in sorted(layers, key=lambda key: key not in known.names):
        found = known.matching(key)
        if not found:
            raise SearchError(
                f"{key}: the model has no layer of this name", hint=advice(key, known.names, "Layers")
            )
        for slot, options in layers[key].items():
            left = [name for name in found if (name, slot) not in taken]
            taken |= {(name, slot) for name in left}
            if not left:
                continue
            knob = _knob(key, slot, left, options, bounds)
            if len(knob.options) == 1 and slot not in ("activation", "pruning"):
                scheme = _fixed(scheme, knob)
            else:
                knobs.append(knob)
    knobs += _filter_knobs(filters or Filters(), known, taken)
    knobs, scheme = _with_input(knobs, scheme, input)
    knobs += [Knob.fold(fold)] if fold else []
    knobs += [Knob.learning_rate(learning_rate)] if learning_rate else []
    if all(knob.slot == "fold" and len(knob.options) == 1 for knob in knobs):
        raise SearchError(
            "the search space is empty: every slot has one option",
            hint="give at least one slot two options",
        )
    return Space(_in_order(knobs, known), scheme)


def _knob(
    key: str,
    slot: str,
    names: Sequence[str],
    options: Sequence[Option],
    bounds: Mapping[tuple[str, str], list[tuple[str, Bound]]],
) -> Knob:
    if slot in WHOLE:
        raise SearchError(f"{key}: {slot} belongs to no layer", hint=f"give {slot} beside the layers")
    kept: tuple[Option, ...] = tuple(options)
    if slot == "units":
        kept = tuple(sorted(options, key=lambda option: (str(type(option)), option)))
    elif slot == "pruning":
        return Knob.pruning(names[0], [float(str(option)) for option in options], also=names[1:])
    elif slot != "activation":
        texts = ordered(str(option) for option in options)
        for name in names:
            for said, bound in bounds.get((name, slot), ()):
                texts = within(texts, bound, layer=name, slot=slot, limit=said)
        kept = texts
    return Knob(f"{key}.{slot}", names[0], slot, kept, tuple(names[1:]))


def _fixed(scheme: Scheme, knob: Knob) -> Scheme:
    (option,) = knob.options
    for layer in knob.layers:
        if knob.slot == "units":
            scheme = scheme.with_units(layer, int(str(option)))
        else:
            scheme = scheme.with_slot(layer, knob.slot, str(option))
    return scheme


def _with_input(knobs: list[Knob], scheme: Scheme, input: Sequence[str]) -> tuple[list[Knob], Scheme]:
    if len(input) == 1:
        return knobs, scheme.with_input(input[0])
    return ([Knob.input(input), *knobs] if input else knobs), scheme


def _filter_knobs(filters: Filters, known: _Layers, taken: Iterable[tuple[str, str]]) -> list[Knob]:
    if filters.tune == "none":
        return []
    chosen = [name for name, _ in taken if _ == "units"]
    tuned = {n: size for n, size in known.sizes.items() if not filters.spares(n) and n not in chosen}
    if not tuned:
        raise SearchError(
            f"tune_filters: {filters.tune} finds no layer whose number of neurons may change",
            hint="the exceptions leave none; the model's outputs stay as they are",
        )
    multiples = sorted(filters.multipliers)
    if filters.tune == "layer":
        return [
            Knob.units(name, {_times(n, multiple) for multiple in multiples}) for name, n in tuned.items()
        ]
    rows = tuple(dict.fromkeys(tuple(_times(n, m) for n in tuned.values()) for m in multiples))
    first, *others = tuned
    if not others:
        return [Knob.units(first, {row[0] for row in rows})]
    return [Knob("all.units", first, "units", rows, tuple(others))]


def _times(count: int, multiple: float) -> int:
    """AutoQKeras's rule: cut off, and at least 1."""
    return max(int(count * multiple), 1)


def _bounds(
    known: _Layers, limits: Mapping[str, Mapping[str, Bound]]
) -> dict[tuple[str, str], list[tuple[str, Bound]]]:
    """(layer, slot) -> what limits it, and how the limit was written."""
    found: dict[tuple[str, str], list[tuple[str, Bound]]] = {}
    for key, slots in limits.items():
        names = known.matching(key)
        if not names:
            raise SearchError(
                f"limit on {key}: the model has no layer of this name",
                hint=advice(key, known.names, "Layers"),
            )
        for slot, bound in slots.items():
            for name in names:
                found.setdefault((name, slot), []).append((f"{key}.{slot}", bound))
    return found


def _in_order(knobs: Sequence[Knob], known: _Layers) -> tuple[Knob, ...]:
    """Knobs in the order of the layers that they turn first; those of no layer at the ends."""
    place = {name: i for i, name in enumerate(known.names)}
    last = len(place)

    def rank(knob: Knob) -> int:
        if knob.slot == "input":
            return -1
        return min((place.get(layer, last) for layer in knob.layers), default=last)

    return tuple(sorted(knobs, key=rank))


def _layers_of(model: nn.Module) -> _Layers:
    from torchq.convert import neurons
    from torchq.nn.registry import LAYERS

    twins = {cls: layer for _, layer in LAYERS.items() for cls in layer.replaces if len(layer.replaces) == 1}
    names, classes = [], {}
    for name, module in model.named_modules():
        if name and not list(module.children()):
            names.append(name)
            twin = twins.get(type(module))
            classes[name] = (type(module).__name__, *([] if twin is None else [twin.__name__]))
    return _Layers(tuple(names), classes, neurons(model))
