"""Zeros around the sample as a node of their own."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from hls_export.hardware import Conv, HardwareGraph, MaxPool, Node, Select
from hls_export.passes.rewrite import rewritten


def padded_windows(graph: HardwareGraph, *, convolutions: bool = True) -> HardwareGraph:
    """Put the padding of convolutions, and of max pools of numbers that are not negative, in front of them.

    In a max pool, zeros lose against such numbers, or are equal to them; which numbers are negative, the
    formats of the edges say. Other max pools stay as they are.

    Args:
        graph: with formats on its edges.
        convolutions: whether those are rewritten as well.

    Example:
        >>> from hls_export.hardware import Input
        >>> from torchq.formats import FixedPoint
        >>> x = Input(name="x", shape=(1, 3), format=FixedPoint(4, 4, signed=False))
        >>> top = MaxPool(name="p", inputs=("x",), shape=(1, 3), kernel=(3,), strides=(1,), pads=((1, 1),),
        ...               dilations=(1,))
        >>> graph = padded_windows(HardwareGraph((x, top), "x", "p"))
        >>> graph.names, graph.node("p.padding").indices.tolist(), graph.node("p").pads
        (('x', 'p.padding', 'p'), [[-1, 0, 1, 2, -1]], ((0, 0),))
    """

    def rule(graph: HardwareGraph, node: Node) -> list[Node] | None:
        if not isinstance(node, Conv | MaxPool) or not any(map(any, node.pads)):
            return None
        source = graph.node(node.inputs[0])
        if isinstance(node, Conv) and not convolutions:
            return None
        if isinstance(node, MaxPool) and (source.format is None or np.any(source.format.signed)):
            return None
        if isinstance(node, MaxPool) and any(d != 1 for d in node.dilations):
            return None  # its values are picked, and none of them beside the sample
        places = np.arange(int(np.prod(source.shape))).reshape(source.shape)
        indices = np.pad(places, ((0, 0), *node.pads), constant_values=-1)
        padding = Select(
            name=f"{node.name}.padding",
            inputs=node.inputs,
            shape=indices.shape,
            format=source.format,
            indices=indices,
        )
        none = tuple((0, 0) for _ in node.pads)
        return [padding, replace(node, inputs=(padding.name,), pads=none)]

    return rewritten(graph, rule)


def zeros_around(node: Select, shape: tuple[int, ...]) -> tuple[tuple[int, int], ...] | None:
    """The zeros that a selection puts around ``[channels, *sizes]``; None if it does anything else.

    Example:
        >>> node = Select(name="s", inputs=("x",), shape=(1, 3), indices=np.array([[-1, 0, 1]]))
        >>> zeros_around(node, (1, 2)), zeros_around(node, (3,))
        (((1, 0),), None)
    """
    inside = np.argwhere(node.indices >= 0)
    if len(shape) not in (2, 3) or len(node.shape) != len(shape) or not len(inside):
        return None
    first = inside.min(axis=0)
    box = tuple(slice(a, a + n) for a, n in zip(first, shape, strict=True))
    wanted = np.full(node.shape, -1)
    if first[0] or node.shape[0] != shape[0] or wanted[box].shape != shape:
        return None
    wanted[box] = np.arange(math.prod(shape)).reshape(shape)
    if not np.array_equal(wanted, node.indices):
        return None
    ends = zip(first[1:], shape[1:], node.shape[1:], strict=True)
    return tuple((int(a), int(total - n - a)) for a, n, total in ends)
