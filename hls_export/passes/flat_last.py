"""Flattening behind convolutions without moving data: the next layer's weights are moved instead."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from hls_export.hardware import Dense, HardwareGraph, Node, Reshape, Transpose
from hls_export.passes.channels_last import spatial
from hls_export.passes.rewrite import tight


def flat_last(graph: HardwareGraph) -> HardwareGraph:
    """Flatten ``[channels, *sizes]`` with the channels last where matrix products alone read the result.

    The rows of their weights change places accordingly, so the outputs are the same.

    Example:
        >>> from hls_export.hardware import Input, MaxPool
        >>> from torchq.formats import FixedPoint
        >>> x = Input(name="x", shape=(2, 2))
        >>> pool = dict(kernel=(1,), strides=(1,), pads=((0, 0),), dilations=(1,))
        >>> top = MaxPool(name="p", inputs=("x",), shape=(2, 2), **pool)
        >>> flat = Reshape(name="f", inputs=("p",), shape=(4,))
        >>> w = np.array([[0.0], [1.0], [2.0], [3.0]])
        >>> fc = Dense(name="fc", inputs=("f",), shape=(1,), weight=w, weight_format=FixedPoint(3, 3))
        >>> graph = flat_last(HardwareGraph((x, top, flat, fc), "x", "fc"))
        >>> graph.names, graph.node("fc").weight.ravel().tolist()
        (('x', 'p', 'f.channels_last', 'f.flat', 'fc'), [0.0, 2.0, 1.0, 3.0])
    """
    nodes: list[Node] = []
    instead: dict[str, str] = {}
    order: dict[str, list[int]] = {}
    last = spatial(graph)
    for node in graph.nodes:
        if isinstance(node, Reshape) and node.inputs[0] in last and _suits(graph, node):
            shape = graph.node(node.inputs[0]).shape
            axes = (*range(1, len(shape)), 0)
            moved = tuple(shape[a] for a in axes)
            turned, flat = f"{node.name}.channels_last", f"{node.name}.flat"
            nodes.append(
                Transpose(name=turned, inputs=node.inputs, shape=moved, format=node.format, axes=axes)
            )
            nodes.append(Reshape(name=flat, inputs=(turned,), shape=node.shape, format=node.format))
            instead[node.name] = flat
            order[flat] = np.arange(math.prod(shape)).reshape(shape).transpose(axes).ravel().tolist()
            continue
        kept = replace(node, inputs=tuple(instead.get(name, name) for name in node.inputs))
        if isinstance(kept, Dense) and kept.inputs[0] in order:
            rows = order[kept.inputs[0]]
            weight = kept.weight[rows]
            grid = kept.weight_format if kept.weight_format.is_scalar else tight(weight)
            kept = replace(kept, weight=weight, weight_format=grid)
        nodes.append(kept)
    return graph.with_nodes(nodes)


def _suits(graph: HardwareGraph, node: Reshape) -> bool:
    readers = graph.consumers(node.name)
    products = all(isinstance(reader, Dense) for reader in readers)
    return len(node.shape) == 1 and products and bool(readers) and node.name != graph.output
