"""Inputs that broadcast are written out, for tools that want equal shapes."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from hls_export.hardware import Add, HardwareGraph, Mul, Node, Sub
from hls_export.passes.rewrite import Chain, rewritten


def equal_shapes(graph: HardwareGraph) -> HardwareGraph:
    """Repeat the shorter input of a sum or product, by a matrix product with ones.

    Example:
        >>> from hls_export.hardware import Input
        >>> x = Input(name="x", shape=(2, 3))
        >>> y = Input(name="y", shape=(2, 1))
        >>> total = Add(name="a", inputs=("x", "y"), shape=(2, 3))
        >>> graph = equal_shapes(HardwareGraph((x, y, total), "x", "a"))
        >>> [(n.name, n.kind, n.shape) for n in graph.nodes[2:]]
        [('a.spread2', 'dense', (2, 3)), ('a', 'add', (2, 3))]
    """
    return rewritten(graph, _spread)


def _spread(graph: HardwareGraph, node: Node) -> list[Node] | None:
    if not isinstance(node, Add | Sub | Mul):
        return None
    if all(graph.node(name).shape == node.shape for name in node.inputs):
        return None
    made: list[Node] = []
    inputs: list[str] = []
    for i, name in enumerate(node.inputs):
        source = graph.node(name)
        if source.shape == node.shape:
            inputs.append(name)
            continue
        word = f"{node.name}.spread{i + 1}"
        made += _repeated(node, source, word)
        inputs.append(word)
    return [*made, replace(node, inputs=tuple(inputs))]


def _repeated(node: Node, source: Node, name: str) -> list[Node]:
    axes = range(len(node.shape))
    spread = [axis for axis in axes if source.shape[axis] != node.shape[axis]]
    kept = [axis for axis in axes if axis not in spread]
    times = math.prod(node.shape[axis] for axis in spread)
    sizes = tuple(node.shape[axis] for axis in kept)
    order = [*kept, *spread]
    chain = Chain(node, source, name).transpose(order).reshape((*sizes, 1)).product(np.ones((1, times)))
    chain = chain.reshape((*sizes, *(node.shape[axis] for axis in spread)))
    return chain.transpose([order.index(axis) for axis in axes]).done()
