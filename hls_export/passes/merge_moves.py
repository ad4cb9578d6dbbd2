"""Two moves in a row become one: reshapes, transposes and picks are wires, and wires need no order."""

from __future__ import annotations

from collections import Counter
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
    readers = Counter(name for node in graph.nodes for name in node.inputs)
    output = graph.output
    kept: dict[str, Node] = {}
    instead: dict[str, str] = {}
    for node in graph.nodes:
        made = replace(node, inputs=tuple(instead.get(name, name) for name in node.inputs))
        merged: Node | None = made
        while merged is not None:
            made = merged
            first = kept.get(made.inputs[0]) if isinstance(made, _MOVES) else None
            alone = first is not None and readers[first.name] == 1 and first.name != output
            merged = _merged(first, made) if alone and first is not None else None
            if merged is not None and first is not None:
                del kept[first.name]
        if made.name != node.name:
            instead[node.name] = made.name
            readers[made.name] = readers[node.name]
            output = made.name if output == node.name else output
        kept[made.name] = made
    return graph.with_nodes(kept.values(), output) if len(kept) < len(graph.nodes) else graph


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


_MOVES = (Reshape, Transpose, Select)
