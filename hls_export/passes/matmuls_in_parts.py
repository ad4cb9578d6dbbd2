"""Products of two tensors as products value by value and sums, for tools that know no others."""

from __future__ import annotations

import math

import numpy as np

from hls_export.hardware import HardwareGraph, Matmul, Mul, Node, ReduceSum
from hls_export.passes.rewrite import Chain, rewritten


def matmuls_in_parts(graph: HardwareGraph) -> HardwareGraph:
    """Repeat the rows of the first and the columns of the second tensor, multiply, and sum.

    ``c[i, j] = sum over l of a[i, l] * b[l, j]``: both become ``[..., rows, columns * terms]``.

    Example:
        >>> from hls_export.hardware import Input
        >>> a = Input(name="a", shape=(2, 3))
        >>> b = Input(name="b", shape=(3, 4))
        >>> c = Matmul(name="c", inputs=("a", "b"), shape=(2, 4))
        >>> graph = matmuls_in_parts(HardwareGraph((a, b, c), "a", "c"))
        >>> [(n.name, n.shape) for n in graph.nodes if n.kind in ("mul", "reduce_sum")]
        [('c.terms', (1, 2, 12)), ('c.sum2', (8, 1))]
    """
    return rewritten(graph, _parts)


def _parts(graph: HardwareGraph, node: Node) -> list[Node] | None:
    if not isinstance(node, Matmul):
        return None
    a, b = (graph.node(name) for name in node.inputs)
    (*front, m, n), k = node.shape, a.shape[-1]
    f = math.prod(front)
    shape = (f, m, n * k)
    first = Chain(node, a, f"{node.name}.rows").reshape((f * m, k, 1)).product(np.ones((1, n)))
    made = first.transpose((0, 2, 1)).reshape(shape).done()
    turned = (*range(len(front)), len(front) + 1, len(front))
    second = Chain(node, b, f"{node.name}.columns").transpose(turned).reshape((f, n * k, 1))
    made += second.product(np.ones((1, m))).transpose((0, 2, 1)).reshape(shape).done()
    terms = Mul(name=f"{node.name}.terms", inputs=(f"{node.name}.rows", f"{node.name}.columns"), shape=shape)
    total = Chain(node, terms).reshape((f * m * n, k))
    total.add(ReduceSum, "sum", (f * m * n, 1), axes=(1,), keepdims=True)
    return [*made, terms, *total.reshape(node.shape).done()]
