"""Slices, repetitions and the like as matrix products with zeros and ones."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from hls_export.hardware import HardwareGraph, Node, Select
from hls_export.passes.rewrite import Chain, rewritten


def selects_as_products(
    graph: HardwareGraph, keep: Callable[[Select], bool] = lambda _: False
) -> HardwareGraph:
    """Make a matrix product of every selection, apart from those to keep.

    Example:
        >>> from hls_export.hardware import Input
        >>> x = Input(name="x", shape=(2,))
        >>> turned = Select(name="s", inputs=("x",), shape=(2,), indices=np.array([1, -1]))
        >>> selects_as_products(HardwareGraph((x, turned), "x", "s")).node("s").weight.tolist()
        [[0.0, 0.0], [1.0, 0.0]]
    """

    def rule(graph: HardwareGraph, node: Node) -> list[Node] | None:
        if not isinstance(node, Select) or keep(node):
            return None
        source = graph.node(node.inputs[0])
        size = math.prod(source.shape)
        flat = node.indices.ravel()
        weight = (np.arange(size)[:, None] == flat[None, :]).astype(np.float64)
        return Chain(node, source).reshape((size,)).product(weight).reshape(node.shape).done()

    return rewritten(graph, rule)
