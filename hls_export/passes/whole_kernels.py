"""Convolutions with groups or dilation as plain ones, whose kernels have zeros in the gaps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hls_export.hardware import Conv, HardwareGraph, Node
from hls_export.passes.rewrite import rewritten, tight


def whole_kernels(graph: HardwareGraph, *, depthwise: bool = True) -> HardwareGraph:
    """Write out groups and dilations as zeros.

    The sums are the same: each zero adds nothing.

    Args:
        graph: what to rewrite.
        depthwise: whether a depthwise kernel stays one.

    Example:
        >>> from hls_export.hardware import Input
        >>> from torchq.formats import FixedPoint
        >>> grid = FixedPoint(2, 2)
        >>> x = Input(name="x", shape=(1, 5))
        >>> conv = Conv(name="c", inputs=("x",), shape=(1, 3), weight=np.ones((1, 1, 2)), weight_format=grid,
        ...             strides=(1,), pads=((0, 0),), dilations=(2,))
        >>> whole_kernels(HardwareGraph((x, conv), "x", "c")).node("c").weight.tolist()
        [[[1.0, 0.0, 1.0]]]
    """
    return rewritten(graph, lambda _, node: _whole(node, depthwise))


def is_depthwise(node: Conv) -> bool:
    """Whether each input channel makes one output channel, of its own."""
    return bool(node.weight.shape[1] == 1 and node.groups == node.n_out == node.n_in and node.groups > 1)


def _whole(node: Node, depthwise: bool) -> list[Node] | None:
    if not isinstance(node, Conv):
        return None
    weight, groups = node.weight, node.groups
    if any(d > 1 for d in node.dilations):
        reach = tuple((k - 1) * d + 1 for k, d in zip(node.kernel, node.dilations, strict=True))
        spread = np.zeros((*weight.shape[:2], *reach))
        places = tuple(slice(None, None, d) for d in node.dilations)
        spread[(slice(None), slice(None), *places)] = weight
        weight = spread
    if groups > 1 and not (depthwise and is_depthwise(node)):
        full = np.zeros((node.n_out, node.n_in, *weight.shape[2:]))
        outs, ins = node.n_out // groups, node.n_in // groups
        for g in range(groups):
            full[g * outs : (g + 1) * outs, g * ins : (g + 1) * ins] = weight[g * outs : (g + 1) * outs]
        weight, groups = full, 1
    if weight is node.weight:
        return None
    grid = node.weight_format if node.weight_format.is_scalar else tight(weight)
    dilations = tuple(1 for _ in node.dilations)
    return [replace(node, weight=weight, weight_format=grid, groups=groups, dilations=dilations)]
