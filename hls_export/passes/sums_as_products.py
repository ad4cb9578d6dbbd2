"""Sums as products with ones, for tools that know products only."""

from __future__ import annotations

import math

import numpy as np

from hls_export.hardware import Conv, HardwareGraph, Node, ReduceSum, SumPool
from hls_export.passes.rewrite import ONE, Chain, rewritten


def sums_as_products(graph: HardwareGraph) -> HardwareGraph:
    """Make depthwise convolutions of sum pools, and matrix products of sums along axes.

    Example:
        >>> from hls_export.hardware import Input
        >>> x = Input(name="x", shape=(2, 3))
        >>> total = ReduceSum(name="s", inputs=("x",), shape=(1, 3), axes=(0,))
        >>> graph = sums_as_products(HardwareGraph((x, total), "x", "s"))
        >>> [(n.kind, n.shape) for n in graph.nodes[1:]]
        [('transpose', (3, 2)), ('dense', (3, 1)), ('reshape', (1, 3))]
    """
    return rewritten(graph, _product)


def _product(graph: HardwareGraph, node: Node) -> list[Node] | None:
    if isinstance(node, SumPool):
        return [_pool(node, graph.node(node.inputs[0]).shape[0])]
    if not isinstance(node, ReduceSum):
        return None
    source = graph.node(node.inputs[0])
    shape = source.shape
    if len(shape) == 3 and node.axes == (1, 2):
        pool = SumPool(
            name=node.name,
            inputs=node.inputs,
            shape=(shape[0], 1, 1),
            tensor=node.tensor,
            kernel=shape[1:],
            strides=(1, 1),
            pads=((0, 0), (0, 0)),
            dilations=(1, 1),
        )
        if node.keepdims:
            return [_pool(pool, shape[0])]
        chain = Chain(node, source)
        chain.nodes, chain.at, chain.shape = [_pool(pool, shape[0], f"{node.name}.sum")], "", pool.shape
        chain.at = chain.nodes[0].name
        return chain.reshape(node.shape).done()
    kept = [axis for axis in range(len(shape)) if axis not in node.axes]
    size = math.prod(shape[axis] for axis in node.axes)
    chain = Chain(node, source).transpose([*kept, *node.axes])
    chain = chain.reshape((*(shape[axis] for axis in kept), size)).product(np.ones((size, 1)))
    return chain.reshape(node.shape).done()


def _pool(node: SumPool, channels: int, name: str = "") -> Conv:
    return Conv(
        name=name or node.name,
        inputs=node.inputs,
        shape=node.shape,
        tensor=name or node.tensor,
        weight=np.ones((channels, 1, *node.kernel)),
        weight_format=ONE,
        strides=node.strides,
        pads=node.pads,
        dilations=node.dilations,
        groups=channels,
    )
