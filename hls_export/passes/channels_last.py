"""The order in which tools for FPGAs keep samples in memory: the channels last.

The graph stays what it is, channels first. Beside it stands, for every edge, the order of its axes in memory:
axis ``i`` there is axis ``axes[i]`` of the edge. Where a node needs another order than the one that there is,
an :class:`~hls_export.hardware.Identity` is put in front of it: the same tensor, in another order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from hls_export.hardware import (
    Add,
    Concat,
    Conv,
    Dense,
    HardwareGraph,
    Identity,
    Input,
    LeakyRelu,
    Matmul,
    Mul,
    Node,
    Quantize,
    Relu,
    ScaleShift,
    Select,
    Sub,
    Table,
    Transpose,
    Window,
)
from hls_export.passes.padded_windows import zeros_around

Axes = tuple[int, ...]

_VALUE_BY_VALUE = (Quantize, Relu, LeakyRelu, ScaleShift, Table, Identity, Add, Sub, Mul, Concat)


@dataclass(frozen=True, eq=False)
class Placed:
    """A graph, and the order of the axes of every edge in memory.

    Args:
        graph: with identities where the order changes.
        axes: by node name.
    """

    graph: HardwareGraph
    axes: Mapping[str, Axes] = field(default_factory=dict)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of an edge in memory."""
        shape = self.graph.node(name).shape
        return tuple(shape[axis] for axis in self.axes[name])


def _keeps_order(node: Node, graph: HardwareGraph) -> bool:
    """Whether a node works value by value, or puts zeros around the sample."""
    if isinstance(node, Select):
        return zeros_around(node, graph.node(node.inputs[0]).shape) is not None
    return isinstance(node, _VALUE_BY_VALUE)


def spatial(graph: HardwareGraph) -> set[str]:
    """The edges that convolutions and pools make, and what follows them value by value; perhaps the input."""
    found: set[str] = set()
    for node in graph.nodes:
        follows = _keeps_order(node, graph) and any(name in found for name in node.inputs)
        start = isinstance(node, Input) and len(node.shape) > 1 and _feeds_windows(graph, node.name)
        if isinstance(node, Conv | Window) or follows or start:
            found.add(node.name)
    return found


def _feeds_windows(graph: HardwareGraph, name: str) -> bool:
    for reader in graph.consumers(name):
        if isinstance(reader, Conv | Window):
            return True
        if _keeps_order(reader, graph) and _feeds_windows(graph, reader.name):
            return True
    return False


def channels_last(graph: HardwareGraph) -> Placed:
    """Find an order in memory for every edge: channels last for convolutions and pools.

    Transposes move nothing: their result is the same memory, read in another order, until somebody needs it
    in the order of the axes.

    Example:
        >>> from hls_export.hardware import MaxPool
        >>> x = Input(name="x", shape=(2, 4, 4))
        >>> pool = dict(kernel=(2, 2), strides=(2, 2), pads=((0, 0),) * 2, dilations=(1, 1))
        >>> top = MaxPool(name="p", inputs=("x",), shape=(2, 2, 2), **pool)
        >>> placed = channels_last(HardwareGraph((x, top), "x", "p"))
        >>> placed.graph.names, placed.axes["x"], placed.shape("x")
        (('x', 'p'), (1, 2, 0), (4, 4, 2))
    """
    return _Placing(graph).done()


def last_axis(rank: int) -> Axes:
    """The order with the channels last.

    Example:
        >>> last_axis(3)
        (1, 2, 0)
    """
    return (*range(1, rank), 0)


def in_order(rank: int) -> Axes:
    """The order of the axes themselves."""
    return tuple(range(rank))


class _Placing:
    def __init__(self, graph: HardwareGraph) -> None:
        self.graph = graph
        self.spatial = spatial(graph)
        self.nodes: dict[str, Node] = {}
        self.axes: dict[str, Axes] = {}

    def done(self) -> Placed:
        for node in self.graph.nodes:
            inputs, axes = self._place(node)
            self.nodes[node.name] = replace(node, inputs=inputs)
            self.axes[node.name] = axes
        output = self.graph.output
        rank = len(self.graph.output_shape)
        if output not in self.spatial or self.axes[output] != last_axis(rank):
            output = self._moved(output, in_order(rank))
        return Placed(self.graph.with_nodes(self.nodes.values(), output), self.axes)

    def _place(self, node: Node) -> tuple[tuple[str, ...], Axes]:
        rank = len(node.shape)
        if isinstance(node, Input):
            return (), last_axis(rank) if node.name in self.spatial else in_order(rank)
        if isinstance(node, Conv | Window) or (isinstance(node, Select) and _keeps_order(node, self.graph)):
            return self._all(node, last_axis(rank)), last_axis(rank)
        if isinstance(node, _VALUE_BY_VALUE):
            orders = [self.axes[name] for name in node.inputs]
            axes = next((order for order in orders if order != in_order(rank)), in_order(rank))
            return self._all(node, axes), axes
        if isinstance(node, Transpose):
            before = self.axes[node.inputs[0]]
            return node.inputs, tuple(node.axes.index(axis) for axis in before)
        if isinstance(node, Matmul):
            return node.inputs, in_order(rank)
        first = node.inputs[0]
        if isinstance(node, Dense) and self.axes[first][-1] == rank - 1:
            return node.inputs, self.axes[first]
        return tuple(self._moved(name, in_order(len(self._shape(name)))) for name in node.inputs), in_order(
            rank
        )

    def _all(self, node: Node, axes: Axes) -> tuple[str, ...]:
        return tuple(self._moved(name, axes) for name in node.inputs)

    def _shape(self, name: str) -> tuple[int, ...]:
        return self.nodes[name].shape

    def _moved(self, name: str, axes: Axes) -> str:
        """The name of the same tensor in that order."""
        if self.axes[name] == axes:
            return name
        word = "in_order" if axes == in_order(len(axes)) else "channels_last"
        moved = f"{name}.{word}"
        if moved not in self.nodes:
            node = self.nodes[name]
            self.nodes[moved] = Identity(name=moved, inputs=(name,), shape=node.shape, format=node.format)
            self.axes[moved] = axes
        return moved if self.axes[moved] == axes else self._again(name, moved, axes)

    def _again(self, name: str, moved: str, axes: Axes) -> str:
        """A third order of the same tensor."""
        word = f"{moved}." + "".join(map(str, axes))
        if word not in self.nodes:
            node = self.nodes[name]
            self.nodes[word] = Identity(name=word, inputs=(name,), shape=node.shape, format=node.format)
            self.axes[word] = axes
        return word
