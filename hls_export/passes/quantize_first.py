"""Quantizers move in front of what only moves the raw input: rounding does not ask where a value stands."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from hls_export.hardware import HardwareGraph, Input, Node, Quantize, Reshape, Select, Transpose
from torchq.formats import FixedPoint

_MOVES = (Reshape, Transpose, Select)


def quantize_first(graph: HardwareGraph) -> HardwareGraph:
    """Swap quantizers with the moves of the raw input that they alone read.

    So the raw input is read by a quantizer directly, and the move hands on numbers of a known format.

    Example:
        >>> from hls_export.hardware import Input
        >>> x = Input(name="x", shape=(2, 2))
        >>> flat = Reshape(name="flat", inputs=("x",), shape=(4,))
        >>> q = Quantize(name="q", inputs=("flat",), shape=(4,), format=FixedPoint(4, 2))
        >>> swapped = quantize_first(HardwareGraph((x, flat, q), "x", "q"))
        >>> swapped.names, swapped.output, swapped.node("q").shape
        (('x', 'q', 'flat'), 'flat', (2, 2))
    """
    while True:
        pair = _pair(graph)
        if pair is None:
            return graph
        move, quantizer = pair
        shape = graph.node(move.inputs[0]).shape
        first = replace(
            quantizer,
            inputs=move.inputs,
            shape=shape,
            format=_before(quantizer, move, shape),
            tensor=f"{quantizer.tensor}.moved",
        )
        second = replace(move, inputs=(quantizer.name,), tensor=quantizer.tensor)
        nodes: list[Node] = []
        for node in graph.nodes:
            if node is move:
                nodes += [first, second]
            elif node is not quantizer:
                inputs = tuple(second.name if name == quantizer.name else name for name in node.inputs)
                nodes.append(replace(node, inputs=inputs))
        output = second.name if graph.output == quantizer.name else graph.output
        graph = graph.with_nodes(nodes, output)


def _pair(graph: HardwareGraph) -> tuple[Node, Quantize] | None:
    for node in graph.nodes:
        if isinstance(node, Quantize):
            source = graph.node(node.inputs[0])
            alone = len(graph.consumers(source.name)) == 1 and _movable(node, source)
            if alone and _of_raw_input(graph, source):
                return source, node
    return None


def _movable(node: Quantize, source: Node) -> bool:
    """Whether a format stays one format a place: picks may take one value twice, or leave some out."""
    if isinstance(source, Select):
        plain = node.format is not None and node.format.is_scalar
        return plain and bool((source.indices >= 0).all())
    return isinstance(source, _MOVES)


def _of_raw_input(graph: HardwareGraph, node: Node) -> bool:
    while isinstance(node, _MOVES):
        node = graph.node(node.inputs[0])
    return isinstance(node, Input)


def _before(node: Node, move: Node, shape: tuple[int, ...]) -> FixedPoint | None:
    """The format as it was in front of the move."""
    grid = node.format
    if grid is None or grid.is_scalar:
        return grid
    places = np.arange(math.prod(shape)).reshape(shape)
    there = places.transpose(move.axes) if isinstance(move, Transpose) else places
    order = np.argsort(there.reshape(-1))
    fields = (np.broadcast_to(np.asarray(f), node.shape) for f in (grid.width, grid.integer, grid.signed))
    width, integer, signed = (field.reshape(-1)[order].reshape(shape) for field in fields)
    return replace(grid, width=width, integer=integer, signed=signed)
