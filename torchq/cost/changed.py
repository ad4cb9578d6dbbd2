"""``under``: what a traced network does with the quantizers of another scheme, at the price of no tracing."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import replace

from torch import nn

from torchq.convert import INPUT_QUANTIZER
from torchq.convert.check import check_scheme
from torchq.convert.rewrite import layer_of
from torchq.convert.slots import Origin, slot_text
from torchq.cost.places import Place
from torchq.cost.source import workloads_of
from torchq.errors import CostError, SchemeError
from torchq.graph import Graph, Step, Symbolic, rewired
from torchq.graph.shapes import reads_integers
from torchq.nn import QInput
from torchq.scheme import ANY, CLASS, Scheme
from torchq.workload import Workload

Keys = tuple[tuple[str, ...], ...]
"""The keys of a scheme, each with its slots behind it."""

MOST_KEPT = 1024
"""So many sets of keys are kept for each graph."""


def under(graph: Graph, scheme: Scheme) -> tuple[Workload, ...]:
    """The workloads of a traced network under another scheme, for a search that prices many.

    For a graph traced from ``quantize(model, some_scheme)`` they are those of ``quantize(model, scheme)``,
    value by value, with the parameters as they are now; nothing is traced, and no parameter is copied. The
    layers' own code states the work, on copies that share everything but the quantizers.

    A layer that stands for a float one is taken for it, whoever made it; where the scheme has no quantizer
    for it, it is float again. Batch norms stay as they were folded.

    Args:
        graph: from :func:`torchq.graph.trace`.
        scheme: what goes where.

    Returns:
        Workloads in the order of execution, for :func:`torchq.cost.estimate`.

    Raises:
        SchemeError: the scheme does not fit the model.
        GraphError: an edge or parameter has no quantizer under this scheme.
        CostError: ``units`` that differ from the graph's, a frozen model, or a graph without the input
            quantizer that the scheme has.

    Example:
        >>> from torchq.convert import quantize
        >>> from torchq.cost import estimate
        >>> from torchq.graph import trace
        >>> def uniform(bits: int) -> Scheme:
        ...     text = f"quantized_bits({bits},0,alpha=1)"
        ...     return Scheme.uniform(text, text, f"quantized_relu({bits})", text)
        >>> model = nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 5))
        >>> graph = trace(quantize(model, uniform(8)))
        >>> estimate(under(graph, uniform(4))) == estimate(trace(quantize(model, uniform(4))))
        True
    """
    if not isinstance(graph, Graph) or graph.traced is None:
        raise CostError(
            f"under needs a graph made by trace(model), got {type(graph).__name__}", hint="trace the model"
        )
    if not isinstance(scheme, Scheme):
        raise CostError(f"under needs a Scheme, got {type(scheme).__name__}", hint="write Scheme({...})")
    return workloads_of(rewired(graph, _plan(graph, graph.traced.found).modules(scheme)))


class _Plan:
    """What does not change from scheme to scheme."""

    def __init__(self, found: Symbolic) -> None:
        like = next(found.root.parameters(), None)
        reading = [step for step in found.readers(found.input) if isinstance(step.module, QInput)]
        self.entrance = Place(reading[0], QInput, like) if reading else None
        self.added = bool(reading) and str(reading[0].target).startswith(INPUT_QUANTIZER)
        self.found = _without(found, reading[0]) if self.added else found
        places: dict[int, Place] = {}
        for step in self.found.steps:
            layer = layer_of(step)
            if layer is not None and not isinstance(step.module, QInput):
                places.setdefault(id(step.module), Place(step, layer, like))
        self.places = tuple(places.values())
        self._kept: dict[Keys, tuple[Mapping[str, Origin], ...]] = {}

    def modules(self, scheme: Scheme) -> dict[int, nn.Module]:
        """The layers with the quantizers of a scheme, by the ``id`` of those in whose place they come."""
        origins = self._origins(scheme)
        self._check_units(scheme)
        made: dict[int, nn.Module] = {}
        for place, filled in zip(self.places, origins, strict=True):
            texts = {
                slot: slot_text(origin, place.step.name, slot, scheme) for slot, origin in filled.items()
            }
            layer = place.with_quantizers(texts)
            if layer is not None:
                made[id(place.module)] = layer
        entrance = self._entrance(scheme)
        if self.entrance is not None and entrance is not None:
            made[id(self.entrance.module)] = entrance
        return made

    def _origins(self, scheme: Scheme) -> tuple[Mapping[str, Origin], ...]:
        """For each place: slot -> key. It follows from the keys and slots alone, so it is kept.

        Where two patterns are equally specific their texts decide whether that is a mistake; a scheme with
        patterns is read each time.
        """
        keys = tuple((key, *slots) for key, slots in scheme.layers.items())
        found = self._kept.get(keys)
        if found is None:
            check_scheme(self.found, scheme)
            found = tuple(place.origins(self.found, scheme) for place in self.places)
            plain = {place.step.name for place in self.places} | {ANY}
            if len(self._kept) < MOST_KEPT and all(k[0] in plain or k[0].startswith(CLASS) for k in keys):
                self._kept[keys] = found
        return found

    def _check_units(self, scheme: Scheme) -> None:
        for name, count in scheme.units.items():
            step = self.found.step(name)
            has = getattr(None if step is None else step.module, "out_features", None)
            if has != count:
                raise CostError(
                    f"units: {name} has {has} neurons in this graph, the scheme keeps {count}"
                    if has is not None
                    else f"units: {name} has no neurons to choose from",
                    hint="trace quantize(model, scheme) once for each choice of units",
                )

    def _entrance(self, scheme: Scheme) -> nn.Module | None:
        """What quantizes the input; None leaves it as it is."""
        if scheme.input is None:
            return nn.Identity() if self.added else None
        if reads_integers(self.found):
            raise SchemeError(
                f"{type(self.found.root).__name__} reads whole numbers, which need no quantizer",
                hint="leave the scheme's input out",
            )
        if self.entrance is None:
            raise CostError(
                "this graph has no input quantizer, and the scheme has one",
                hint="trace a model that was quantized with one",
            )
        return self.entrance.with_quantizers({"output": scheme.input})


def _without(found: Symbolic, first: Step) -> Symbolic:
    """The model as it was before an input quantizer was put in."""
    steps = tuple(
        replace(step, sources=tuple(found.input if s == first.name else s for s in step.sources))
        for step in found.steps
        if step is not first
    )
    return replace(found, steps=steps)


_PLANS: dict[int, tuple[weakref.ref[Graph], _Plan]] = {}


def _plan(graph: Graph, found: Symbolic) -> _Plan:
    """Made once for each graph, and gone with it."""
    key = id(graph)
    kept = _PLANS.get(key)
    if kept is None or kept[0]() is not graph:
        kept = weakref.ref(graph, lambda _: _PLANS.pop(key, None)), _Plan(found)
        _PLANS[key] = kept
    return kept[1]
