"""Quantizers move in front of reshapes: rounding does not ask where a value stands."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hls_export.hardware import HardwareGraph, Quantize, Reshape
from torchq.formats import FixedPoint


def quantize_first(graph: HardwareGraph) -> HardwareGraph:
    """Swap every quantizer with the reshape that it alone reads.

    So the raw input is read by a quantizer directly, and the reshape hands on numbers of a known format.

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
        reshape, quantizer = pair
        shape = graph.node(reshape.inputs[0]).shape
        first = replace(
            quantizer, inputs=reshape.inputs, shape=shape, format=_reshaped(quantizer, reshape.shape, shape)
        )
        second = replace(reshape, inputs=(quantizer.name,), tensor=quantizer.tensor)
        nodes = []
        for node in graph.nodes:
            if node is reshape:
                nodes += [first, second]
            elif node is not quantizer:
                inputs = tuple(second.name if name == quantizer.name else name for name in node.inputs)
                nodes.append(replace(node, inputs=inputs))
        output = second.name if graph.output == quantizer.name else graph.output
        graph = graph.with_nodes(nodes, output)


def _pair(graph: HardwareGraph) -> tuple[Reshape, Quantize] | None:
    for node in graph.nodes:
        if isinstance(node, Quantize):
            source = graph.node(node.inputs[0])
            if isinstance(source, Reshape) and len(graph.consumers(source.name)) == 1:
                return source, node
    return None


def _reshaped(node: Quantize, old: tuple[int, ...], new: tuple[int, ...]) -> FixedPoint | None:
    grid = node.format
    if grid is None or grid.is_scalar:
        return grid
    fields = (grid.width, grid.integer, grid.signed)
    width, integer, signed = (np.broadcast_to(np.asarray(f), old).reshape(new) for f in fields)
    return replace(grid, width=width, integer=integer, signed=signed)
