"""Two moves in a row become one: reshapes, transposes and picks are wires, and wires need no order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from hls_export.hardware import HardwareGraph, Node, Reshape, Select, Transpose


def merge_moves(graph: HardwareGraph) -> HardwareGraph:
    """Merge every reshape, transpose or pick with the one that it alone reads.

    A pick takes a reshape in front of it or behind it in; two reshapes, two transposes and two picks become
    one. The merged node has the name of the pick, or of the second one.

    Example:
        >>> import numpy as np
        >>> from hls_export.hardware import Input
        >>> x = Input(name="x", shape=(2, 2))
        >>> flat = Reshape(name="flat", inputs=("x",), shape=(4,))
        >>> part = Select(name="part", inputs=("flat",), shape=(2,), indices=np.array([3, 0]))
        >>> back = Reshape(name="back", inputs=("part",), shape=(2, 1))
        >>> merged = merge_moves(HardwareGraph((x, flat, part, back), "x", "back"))
        >>> merged.names, merged.output, merged.node("part").indices.tolist()
        (('x', 'part'), 'part', [[3], [0]])
    """
    while True:
        pair = next(_pairs(graph), None)
        if pair is None:
            return graph
        first, second, merged = pair
        nodes = []
        for node in graph.nodes:
            if node is second:
                nodes.append(merged)
            elif node is not first:
                inputs = tuple(merged.name if name == second.name else name for name in node.inputs)
                nodes.append(replace(node, inputs=inputs))
        graph = graph.with_nodes(nodes, merged.name if graph.output == second.name else graph.output)


def _pairs(graph: HardwareGraph) -> Iterator[tuple[Node, Node, Node]]:
    readers: dict[str, int] = {}
    for node in graph.nodes:
        for name in node.inputs:
            readers[name] = readers.get(name, 0) + 1
    by_name = {node.name: node for node in graph.nodes}
    for second in graph.nodes:
        if not isinstance(second, Reshape | Transpose | Select):
            continue
        first = by_name[second.inputs[0]]
        if readers[first.name] == 1 and first.name != graph.output:
            merged = _merged(first, second)
            if merged is not None:
                yield first, second, merged


def _merged(first: Node, second: Node) -> Node | None:
    """One node that does what two do, reading what the first one reads; None if there is none."""
    match first, second:
        case Reshape(), Reshape() | Select():
            return replace(second, inputs=first.inputs)
        case Select(), Reshape():
            indices = first.indices.reshape(second.shape)
            return replace(
                first, shape=second.shape, indices=indices, tensor=second.tensor, format=second.format
            )
        case Select(), Select():
            flat = first.indices.reshape(-1)
            picked = flat[second.indices]
            picked[second.indices < 0] = -1
            return replace(second, inputs=first.inputs, indices=picked)
        case Transpose(), Transpose():
            axes = tuple(first.axes[axis] for axis in second.axes)
            return replace(second, inputs=first.inputs, axes=axes)
    return None
