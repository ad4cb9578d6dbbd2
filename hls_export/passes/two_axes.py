"""Matrix products at positions along several axes, as such along one."""

from __future__ import annotations

import math
from dataclasses import replace

from hls_export.hardware import Dense, HardwareGraph, Node, Reshape
from hls_export.passes.rewrite import Chain, rewritten


def two_axes(graph: HardwareGraph) -> HardwareGraph:
    """Reshape what a matrix product with more than two axes reads, and what it makes.

    Example:
        >>> import numpy as np
        >>> from hls_export.hardware import Input
        >>> from torchq.formats import FixedPoint
        >>> x = Input(name="x", shape=(2, 3, 4))
        >>> fc = Dense(name="fc", inputs=("x",), shape=(2, 3, 1), weight=np.ones((4, 1)),
        ...            weight_format=FixedPoint(2, 2))
        >>> [(n.name, n.shape) for n in two_axes(HardwareGraph((x, fc), "x", "fc")).nodes[1:]]
        [('fc.rows1', (6, 4)), ('fc.product2', (6, 1)), ('fc', (2, 3, 1))]
    """
    return rewritten(graph, _rows)


def _rows(graph: HardwareGraph, node: Node) -> list[Node] | None:
    if not isinstance(node, Dense) or len(node.shape) < 3:
        return None
    chain = Chain(node, graph.node(node.inputs[0]))
    rows = math.prod(node.shape[:-1])
    chain.add(Reshape, "rows", (rows, node.n_in))
    name = f"{node.name}.product2"
    chain.nodes.append(
        replace(node, name=name, tensor=name, inputs=(chain.at,), shape=(rows, node.n_out), format=None)
    )
    chain.at, chain.shape = name, (rows, node.n_out)
    return chain.reshape(node.shape).done()
