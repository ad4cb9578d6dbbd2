"""Sums and concatenations of many inputs as chains of two each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hls_export.hardware import Add, Concat, HardwareGraph, Node
from hls_export.passes.rewrite import rewritten


def pairs(graph: HardwareGraph) -> HardwareGraph:
    """Two inputs a node.

    Example:
        >>> from hls_export.hardware import Input
        >>> x = Input(name="x", shape=(2,))
        >>> both = Concat(name="c", inputs=("x", "x", "x"), shape=(6,), axis=0)
        >>> [(n.name, n.inputs, n.shape) for n in pairs(HardwareGraph((x, both), "x", "c")).nodes[1:]]
        [('c.part1', ('x', 'x'), (4,)), ('c', ('c.part1', 'x'), (6,))]
    """
    return rewritten(graph, _split)


def _split(graph: HardwareGraph, node: Node) -> list[Node] | None:
    if not isinstance(node, Add | Concat) or len(node.inputs) == 2:
        return None
    shapes = [graph.node(name).shape for name in node.inputs]
    made: list[Node] = []
    at, shape = node.inputs[0], shapes[0]
    for i, (name, other) in enumerate(zip(node.inputs[1:], shapes[1:], strict=True)):
        shape = _joined(node, shape, other)
        last = i == len(node.inputs) - 2
        word = node.name if last else f"{node.name}.part{i + 1}"
        tensor = node.tensor if last else word
        made.append(replace(node, name=word, tensor=tensor, inputs=(at, name), shape=shape, format=None))
        at = word
    return made


def _joined(node: Node, a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    if isinstance(node, Concat):
        return tuple(n + b[i] if i == node.axis else n for i, n in enumerate(a))
    return tuple(np.broadcast_shapes(a, b))
