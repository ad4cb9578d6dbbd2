"""The largest value along some axes as a max pool."""

from __future__ import annotations

import math

from hls_export.hardware import HardwareGraph, MaxPool, Node, ReduceMax
from hls_export.passes.rewrite import Chain, rewritten


def maxima_as_pools(graph: HardwareGraph) -> HardwareGraph:
    """Make max pools, whose window is the whole axis, of maxima along axes.

    Example:
        >>> from hls_export.hardware import Input
        >>> x = Input(name="x", shape=(4,))
        >>> top = ReduceMax(name="m", inputs=("x",), shape=(1,), axes=(0,))
        >>> graph = maxima_as_pools(HardwareGraph((x, top), "x", "m"))
        >>> [(n.kind, n.shape) for n in graph.nodes[1:]]
        [('reshape', (1, 4)), ('max_pool', (1, 1)), ('reshape', (1,))]
    """
    return rewritten(graph, _pool)


def _pool(graph: HardwareGraph, node: Node) -> list[Node] | None:
    if not isinstance(node, ReduceMax):
        return None
    source = graph.node(node.inputs[0])
    shape = source.shape
    kept = [axis for axis in range(len(shape)) if axis not in node.axes]
    rows, size = math.prod(shape[axis] for axis in kept), math.prod(shape[axis] for axis in node.axes)
    chain = Chain(node, source)
    if len(shape) == 3 and node.axes == (1, 2):
        window: tuple[int, ...] = shape[1:]
    else:
        window = (size,)
        chain.transpose([*kept, *node.axes]).reshape((rows, size))
    ones = tuple(1 for _ in window)
    chain.add(
        MaxPool,
        "max",
        (chain.shape[0], *ones),
        kernel=window,
        strides=ones,
        pads=tuple((0, 0) for _ in window),
        dilations=ones,
    )
    return chain.reshape(node.shape).done()
