"""Recurrent layers: what a step reads is anything that the quantizers of the states can make."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from torchq.graph.intervals.cells import Step, cell
from torchq.graph.intervals.interval import Interval, added, full, hull, joined, multiplied, point, stacked
from torchq.graph.intervals.part import Found, Part
from torchq.graph.intervals.products import numbers, sums
from torchq.graph.intervals.quantizers import quantized
from torchq.graph.intervals.rules import Site, by_format, rule
from torchq.nn.recurrent import Recurrent
from torchq.workload import TensorSpec


@rule.register
def _recurrent(layer: Recurrent, site: Site) -> Found:
    number = site.number_of("input", 0) or 0
    x = site.ranges[number]
    state = layer.quantizer("state")
    if layer.missing_slots() or x is None or not x.low.size or state is None:
        return _by_formats(layer, site)
    node = site.node
    specs = tuple(TensorSpec(other.name, other.shape, other.format) for other in site.nodes)
    works = {work.layer: work for work in layer.workloads(node.name, specs, node.spec)}
    parts: list[Part] = []
    finals: list[tuple[Interval, ...]] = []
    made: list[Interval] = []
    for _, ending, backwards in layer.directions():
        cell_name = f"{node.name}.cell{ending}"
        step = Step(
            layer,
            cell_name if cell_name in works else node.name,
            (works[f"{node.name}.ih{ending}"].output.format, works[f"{node.name}.hh{ending}"].output.format),
        )
        held = full(state.format, (x.shape[0], layer.hidden_size))
        h = None if held is None else hull(held, point(0.0))
        if h is None:
            return _by_formats(layer, site)
        read = _linear(layer, f"{node.name}.ih{ending}", f"ih{ending}", x, parts)
        recurrent = _linear(layer, f"{node.name}.hh{ending}", f"hh{ending}", h, parts)
        states = cell(layer, step, read, recurrent, h)
        parts += step.parts
        known = tuple(s for s in states if s is not None)
        if len(known) < len(states):
            return _by_formats(layer, site)
        made.append(known[0])
        finals.append(known)
        if backwards or not layer.bidirectional:
            x, made = joined(made, 1), []
    y = quantized(x, layer.output_quantizer, node.shape)
    if parts[-1].name != node.name:
        parts.append(Part(node.name, layer.kind, output=y, format=node.format))
    last = tuple(stacked([_any_step(s) for s in state]) for state in zip(*finals, strict=True))
    return Found((y, last if len(last) > 1 else last[0]), tuple(parts))


def _by_formats(layer: Recurrent, site: Site) -> Found:
    """The output's and the states' formats."""
    found = by_format(site)
    size = (layer.num_layers * (2 if layer.bidirectional else 1), layer.hidden_size)
    quantizers = (layer.quantizer(slot) for slot in layer.state_slots)
    states = tuple(None if q is None else full(q.format, size) for q in quantizers)
    return Found((found.value, states if len(states) > 1 else states[0]), found.parts)


def _linear(layer: Recurrent, name: str, ending: str, x: Interval, parts: list[Part]) -> Interval:
    """The sums over the input, or over the state, of every step."""
    with torch.no_grad():
        weight = layer.quantized_parameter(f"weight_{ending}")
        bias = layer.quantized_parameter(f"bias_{ending}")
    if weight is None:
        raise TypeError(f"{type(layer).__name__} has no weight_{ending}")
    constants = point(numbers(weight))
    columns = Interval(constants.low.min(axis=0), constants.high.max(axis=0), constants.fraction)
    total = sums(F.linear, x, constants)
    total = total if bias is None else added(total, point(numbers(bias)))
    parts.append(Part(name, "linear", multiplied(x, columns), total, total))
    return total


def _any_step(x: Interval) -> Interval:
    """What a state is after any of its steps."""
    return Interval(x.low.min(axis=0), x.high.max(axis=0), x.fraction)
