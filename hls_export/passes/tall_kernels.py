"""Kernels of one row that skip rows, as kernels of two rows, for tools that get the former wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hls_export.hardware import Conv, HardwareGraph, Node
from hls_export.passes.rewrite import rewritten


def tall_kernels(graph: HardwareGraph) -> HardwareGraph:
    """Give a row of zeros to every kernel of one row and several columns that moves by more than one row.

    A row of padding below makes up for it: the places of the windows, and all sums, are the same.

    Example:
        >>> from hls_export.hardware import Input
        >>> from torchq.formats import FixedPoint
        >>> x = Input(name="x", shape=(1, 3, 2))
        >>> conv = Conv(name="c", inputs=("x",), shape=(1, 2, 1), weight=np.ones((1, 1, 1, 2)),
        ...             weight_format=FixedPoint(2, 2), strides=(2, 1), pads=((0, 0),) * 2, dilations=(1, 1))
        >>> tall = tall_kernels(HardwareGraph((x, conv), "x", "c")).node("c")
        >>> tall.weight.tolist(), tall.pads
        ([[[[1.0, 1.0], [0.0, 0.0]]]], ((0, 1), (0, 0)))
    """
    return rewritten(graph, lambda _, node: _tall(node))


def _tall(node: Node) -> list[Node] | None:
    if not isinstance(node, Conv) or len(node.kernel) != 2:
        return None
    if node.kernel[0] != 1 or node.kernel[1] == 1 or node.strides[0] == 1:
        return None
    weight = np.concatenate([node.weight, np.zeros_like(node.weight)], axis=2)
    (above, below), sides = node.pads
    return [replace(node, weight=weight, pads=((above, below + 1), sides))]
