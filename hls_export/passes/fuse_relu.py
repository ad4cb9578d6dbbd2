"""A relu in front of an unsigned saturating quantizer does nothing that the quantizer does not do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hls_export.hardware import HardwareGraph, Node, Quantize, Relu
from torchq.formats import Overflow


def fuse_relu(graph: HardwareGraph) -> HardwareGraph:
    """Drop every relu that only an unsigned saturating quantizer reads.

    ``clip(round(max(x, 0)), 0, top) = clip(round(x), 0, top)`` for every mode of rounding: each is monotone
    and keeps zero. With wrapping the relu stays, for a negative value would come round from above.

    Example:
        >>> from hls_export.hardware import Input
        >>> from torchq.formats import FixedPoint
        >>> x = Input(name="x", shape=(2,))
        >>> relu = Relu(name="relu", inputs=("x",), shape=(2,))
        >>> q = Quantize(name="q", inputs=("relu",), shape=(2,), format=FixedPoint(4, 2, signed=False))
        >>> fuse_relu(HardwareGraph((x, relu, q), "x", "q")).names
        ('x', 'q')
    """
    dropped = {
        node.name: node.inputs[0]
        for node in graph.nodes
        if isinstance(node, Relu)
        and node.name != graph.output
        and all(_clips(reader) for reader in graph.consumers(node.name))
    }
    return graph.with_nodes(
        replace(node, inputs=tuple(dropped.get(name, name) for name in node.inputs))
        for node in graph.nodes
        if node.name not in dropped
    )


def _clips(node: Node) -> bool:
    grid = node.format
    return (
        isinstance(node, Quantize)
        and grid is not None
        and grid.overflow is not Overflow.WRAP
        and not np.any(grid.signed)
    )
