"""Max pools of windows that hls4ml has not: their values are picked first, and lie side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hls_export.hardware import HardwareGraph, MaxPool, Node, Select
from hls_export.passes.rewrite import Chain, rewritten

Places = npt.NDArray[np.int64]

MOST_WIRES = 2**16
"""Values that are picked, times those that they are picked from."""


def gathered_windows(graph: HardwareGraph, *, padded: bool) -> HardwareGraph:
    """Pick the values of dilated windows, and pool windows that neither overlap nor leave the sample.

    A place beside the sample never wins, so a value of the same window is picked in its stead.

    Args:
        graph: of any shapes.
        padded: whether windows that leave the sample are picked as well.

    Example:
        >>> from hls_export.hardware import Input
        >>> x = Input(name="x", shape=(1, 4))
        >>> pool = MaxPool(name="m", inputs=("x",), shape=(1, 2), kernel=(2,), strides=(1,), pads=((0, 0),),
        ...                dilations=(2,))
        >>> graph = gathered_windows(HardwareGraph((x, pool), "x", "m"), padded=False)
        >>> graph.nodes[1].indices.tolist(), graph.node("m").strides, graph.node("m").dilations
        ([[0, 2, 1, 3]], (2,), (1,))
    """

    def rule(graph: HardwareGraph, node: Node) -> list[Node] | None:
        if not isinstance(node, MaxPool):
            return None
        if all(d == 1 for d in node.dilations) and not (padded and any(map(any, node.pads))):
            return None
        source = graph.node(node.inputs[0])
        indices = _indices(node, source.shape)
        if indices.size * math.prod(source.shape) > MOST_WIRES:
            return None  # the backend refuses it, and says why
        chain = Chain(node, source).add(Select, "windows", indices.shape, indices=indices)
        fields = {"kernel": node.kernel, "strides": node.kernel}
        ones, none = (1,) * len(node.kernel), ((0, 0),) * len(node.kernel)
        return chain.add(MaxPool, "max", node.shape, **fields, pads=none, dilations=ones).done()

    return rewritten(graph, rule)


def _indices(node: MaxPool, shape: Sequence[int]) -> Places:
    """Where each value comes from: all values of a window stand side by side on every axis."""
    flat = np.arange(math.prod(shape)).reshape(shape)
    axes = zip(node.shape[1:], node.kernel, node.strides, node.pads, node.dilations, shape[1:], strict=True)
    places = [_along(*axis) for axis in axes]
    return flat[np.ix_(np.arange(shape[0]), *places)]


def _along(out: int, kernel: int, stride: int, pads: tuple[int, int], dilation: int, size: int) -> Places:
    """The places of all windows along one axis."""
    at = np.arange(out)[:, None] * stride - pads[0] + np.arange(kernel)[None, :] * dilation
    inside = (at >= 0) & (at < size)
    first = at[np.arange(out), inside.argmax(axis=1)]
    return np.where(inside, at, first[:, None]).ravel()
