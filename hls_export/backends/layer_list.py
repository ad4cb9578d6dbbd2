"""The nodes of a graph as hls4ml's layer list: plain dicts with the types of all that is in them."""

from __future__ import annotations

from collections.abc import Mapping

from hls_export.backends.kept_transposes import keep_transposes
from hls_export.backends.layer_dicts import layer
from hls_export.backends.layer_view import Layer, View, constant, format_of, moves_nothing, raw_format
from hls_export.hardware import (
    MOVES,
    Conv,
    Dense,
    Embedding,
    HardwareGraph,
    Input,
    LeakyRelu,
    Matmul,
    Mul,
    Node,
    Quantize,
    ScaleShift,
    Table,
)
from hls_export.passes.channels_last import Placed
from hls_export.passes.wide_enough import needed_integer
from torchq.errors import BackendError
from torchq.formats import FixedPoint


def layer_list(placed: Placed, names: Mapping[str, str], io_type: str) -> list[Layer]:
    """One layer a node that computes or moves something, in order.

    Args:
        placed: what to say.
        names: node name -> C++ name.
        io_type: of the project.
    """
    view = View(placed, names, fused(placed.graph), io_type)
    layers = []
    for node in placed.graph.nodes:
        source = node.inputs[0] if node.inputs else ""
        if isinstance(node, Quantize) and view.carries[source] == node.name:
            view.at[node.name] = view.at[source]
            continue
        if moves_nothing(node, view):
            view.at[node.name] = view.at[source]
            continue
        spec, types = layer(node, view)
        carried = view.carries[node.name]
        types = {"result": _result(placed.graph.node(carried), placed.graph), **types}
        layers.append(Layer(node, carried, spec, types))
        view.at[node.name] = view.names[node.name]
    return keep_transposes(layers, placed) if io_type == "io_parallel" else layers


def _result(node: Node, graph: HardwareGraph) -> FixedPoint:
    if not isinstance(node, Input):
        return format_of(node)
    grid = graph.consumers(node.name)[0].format
    if grid is None:
        raise BackendError(f"{node.name} has no format")
    return raw_format(grid)


def fused(graph: HardwareGraph) -> dict[str, str]:
    """For every node, whose tensor leaves its layer: that of the one quantizer that reads it, or its own."""
    carried = {}
    for node in graph.nodes:
        readers = graph.consumers(node.name)
        alone = len(readers) == 1 and isinstance(readers[0], Quantize) and node.name != graph.output
        computes = not isinstance(node, (Quantize, *MOVES))
        fits = alone and computes and _roundable(node, graph, readers[0].format)
        carried[node.name] = readers[0].name if fits else node.name
    return carried


def _roundable(node: Node, graph: HardwareGraph, grid: FixedPoint | None) -> bool:
    """Whether what a layer computes has the bits that rounding to a format asks for."""
    if grid is None or not grid.is_scalar:
        return False
    return isinstance(node, Input) or _integer_bits(node, graph) >= needed_integer(grid)


def _integer_bits(node: Node, graph: HardwareGraph) -> int:
    """The integer bits of what a layer assigns to its result; its C++ type has at least those."""
    inputs = [int(format_of(graph.node(name)).integer) for name in node.inputs]
    if isinstance(node, Dense | Conv | Matmul):
        return int(format_of(node).integer)
    if isinstance(node, Table):
        return int(constant(node.values).integer)
    if isinstance(node, Embedding):
        return int(constant(node.weight).integer)
    if isinstance(node, ScaleShift):
        return inputs[0] + int(constant(node.scale).integer)
    if isinstance(node, LeakyRelu):
        return inputs[0] + min(int(constant(node.slope).integer), 0)
    return sum(inputs) if isinstance(node, Mul) else min(inputs)
