"""What rewrites have in common: one node becomes a chain of nodes that makes the same tensor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from hls_export.hardware import Array, Dense, HardwareGraph, Node, Reshape, Transpose
from hls_export.integers import to_codes
from hls_export.passes.ranges import finest, ranged
from torchq.formats import FixedPoint, Overflow, Rounding

ONE = FixedPoint(1, 1, False, Rounding.TRN, Overflow.WRAP)
"""The format of weights that are zero or one."""


class Chain:
    """Nodes that stand in the place of one; the last one takes over its name.

    Args:
        node: what is replaced.
        source: what the first of them reads; its shape counts.
        name: in front of the names of new nodes; the node's name unless told.

    Example:
        >>> from hls_export.hardware import Input, Relu
        >>> x = Input(name="x", shape=(2, 3))
        >>> relu = Relu(name="r", inputs=("x",), shape=(6,))
        >>> chain = Chain(relu, x).transpose((1, 0)).reshape((6,))
        >>> [(n.name, n.inputs, n.shape) for n in chain.done()]
        [('r.transpose1', ('x',), (3, 2)), ('r', ('r.transpose1',), (6,))]
    """

    def __init__(self, node: Node, source: Node, name: str = "") -> None:
        self.node = node
        self.name = name or node.name
        self.nodes: list[Node] = []
        self.at = source.name
        self.shape = source.shape

    def add(self, make: Callable[..., Node], word: str, shape: tuple[int, ...], **fields: Any) -> Chain:
        """One more node."""
        name = f"{self.name}.{word}{len(self.nodes) + 1}"
        self.nodes.append(make(name=name, inputs=(self.at,), shape=shape, **fields))
        self.at, self.shape = name, shape
        return self

    def transpose(self, axes: Sequence[int]) -> Chain:
        """Axes in another order, unless it is the same."""
        if tuple(axes) == tuple(range(len(self.shape))):
            return self
        return self.add(Transpose, "transpose", tuple(self.shape[a] for a in axes), axes=tuple(axes))

    def reshape(self, shape: tuple[int, ...]) -> Chain:
        """Another shape, unless it is the same."""
        return self if shape == self.shape else self.add(Reshape, "reshape", shape)

    def product(self, weight: Array) -> Chain:
        """A matrix product with zeros and ones along the last axis."""
        shape = (*self.shape[:-1], weight.shape[1])
        return self.add(Dense, "product", shape, weight=weight, weight_format=ONE)

    def done(self) -> list[Node]:
        """The nodes; the last one has the name and the tensor of what is replaced."""
        tensor = self.node.tensor if self.name == self.node.name else self.name
        return [*self.nodes[:-1], replace(self.nodes[-1], name=self.name, tensor=tensor)]


def tight(values: Array) -> FixedPoint:
    """The smallest format that holds constants.

    Example:
        >>> import numpy as np
        >>> str(tight(np.array([0.5, -3.0])))
        'ap_fixed<4,3,TRN,WRAP>'
    """
    fraction = finest(values)
    codes = to_codes(values, fraction)
    return ranged(codes, codes, fraction).format()


def rewritten(
    graph: HardwareGraph, rule: Callable[[HardwareGraph, Node], list[Node] | None]
) -> HardwareGraph:
    """The graph with every node replaced by what a rule makes of it; None keeps the node."""
    nodes: list[Node] = []
    for node in graph.nodes:
        made = rule(graph, node)
        nodes += [node] if made is None else made
    return graph.with_nodes(nodes)
