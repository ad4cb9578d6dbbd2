"""Quantizers move in front of what only moves the raw input: rounding does not ask where a value stands."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
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
    by_name = {node.name: node for node in graph.nodes}
    readers = Counter(name for node in graph.nodes for name in node.inputs)
    moved: dict[str, list[Node]] = {}
    gone: set[str] = set()
    instead: dict[str, str] = {}
    for node in graph.nodes:
        if isinstance(node, Quantize):
            chain = _chain(by_name, readers, node)
            if chain:
                moved[node.name] = _swapped(by_name, node, chain)
                instead[node.name] = chain[0].name
                gone |= {move.name for move in chain}
    if not moved:
        return graph
    nodes: list[Node] = []
    for node in graph.nodes:
        if node.name in moved:
            nodes += moved[node.name]
        elif node.name not in gone:
            inputs = tuple(instead.get(name, name) for name in node.inputs)
            nodes.append(replace(node, inputs=inputs))
    return graph.with_nodes(nodes, instead.get(graph.output, graph.output))


def _chain(by_name: Mapping[str, Node], readers: Mapping[str, int], node: Quantize) -> list[Node]:
    """The moves that a quantizer may go in front of, the nearest first."""
    source = by_name[node.inputs[0]]
    if not _of_raw_input(by_name, source):
        return []
    chain: list[Node] = []
    while isinstance(source, _MOVES) and readers[source.name] == 1 and _movable(node, source):
        chain.append(source)
        source = by_name[source.inputs[0]]
    return chain


def _swapped(by_name: Mapping[str, Node], node: Quantize, chain: list[Node]) -> list[Node]:
    """The quantizer and behind it the moves; each hands on what the quantizer behind it did before."""
    grid, shape, tensor = node.format, node.shape, node.tensor
    moves: list[Node] = []
    for move in chain:
        moves.append(replace(move, tensor=tensor))
        before = by_name[move.inputs[0]].shape
        grid, shape, tensor = _before(grid, shape, move, before), before, f"{tensor}.moved"
    first = replace(node, inputs=chain[-1].inputs, shape=shape, format=grid, tensor=tensor)
    moves[-1] = replace(moves[-1], inputs=(node.name,))
    return [first, *reversed(moves)]


def _movable(node: Quantize, source: Node) -> bool:
    """Whether a format stays one format a place: picks may take one value twice, or leave some out."""
    if isinstance(source, Select):
        plain = node.format is not None and node.format.is_scalar
        return plain and bool((source.indices >= 0).all())
    return isinstance(source, _MOVES)


def _of_raw_input(by_name: Mapping[str, Node], node: Node) -> bool:
    while isinstance(node, _MOVES):
        node = by_name[node.inputs[0]]
    return isinstance(node, Input)


def _before(
    grid: FixedPoint | None, behind: tuple[int, ...], move: Node, shape: tuple[int, ...]
) -> FixedPoint | None:
    """The format as it was in front of the move; ``behind`` is the shape behind it."""
    if grid is None or grid.is_scalar:
        return grid
    places = np.arange(math.prod(shape)).reshape(shape)
    there = places.transpose(move.axes) if isinstance(move, Transpose) else places
    order = np.argsort(there.reshape(-1))
    fields = (np.broadcast_to(np.asarray(f), behind) for f in (grid.width, grid.integer, grid.signed))
    width, integer, signed = (field.reshape(-1)[order].reshape(shape) for field in fields)
    return replace(grid, width=width, integer=integer, signed=signed)
