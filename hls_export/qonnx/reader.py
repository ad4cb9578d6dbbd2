"""``Reader``: a hardware graph in the making, and the functions that read operators, by their kind."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hls_export.hardware import HardwareGraph, Input, Node
from hls_export.passes.bounds import bounds
from hls_export.passes.ranges import Bounds
from hls_export.qonnx.constants import Constant
from hls_export.qonnx.load import MOST_VALUES, OnnxFile, Op
from torchq.errors import ExportError


class Reader:
    """The graph as far as it is read: nodes by name, and which node made which tensor.

    Args:
        file: what is read.
        constants: every tensor that does not depend on the input.
        ops: the operators that do.
    """

    def __init__(self, file: OnnxFile, constants: dict[str, Constant], ops: list[Op]) -> None:
        self.file = file
        self.constants = constants
        self.readers = Counter(name for op in ops for name in set(op.inputs))
        self.nodes: dict[str, Node] = {}
        self.made: dict[str, str] = {}
        self.add(Input(name=file.input, shape=file.input_shape), file.input)

    def add(self, node: Node, tensor: str) -> Node:
        """One more node, by its own name; a number is added to a name that is taken."""
        check_size(node.name, node.shape)
        name, count = node.name, 1
        while name in self.nodes:
            count += 1
            name = f"{node.name}_{count}"
        self.nodes[name] = replace(node, name=name, tensor=tensor)
        self.made[tensor] = name
        return self.nodes[name]

    def is_constant(self, op: Op, place: int) -> bool:
        """Whether an input is there, and does not depend on the model's input."""
        return place < len(op.inputs) and op.inputs[place] in self.constants

    def has(self, op: Op, place: int) -> bool:
        """Whether an optional input is given."""
        return place < len(op.inputs) and bool(op.inputs[place])

    def source(self, op: Op, place: int = 0) -> Node:
        """The node that made an input which is no constant."""
        tensor = op.inputs[place]
        if tensor not in self.made:
            raise ExportError(f"{op} reads the constant {tensor!r} where it should read an activation")
        return self.nodes[self.made[tensor]]

    def constant(self, op: Op, place: int, what: str) -> Constant:
        """A constant input.

        Raises:
            ExportError: it depends on the model's input.
        """
        tensor = op.inputs[place]
        if tensor not in self.constants:
            raise ExportError(
                f"{op} takes its {what} from {tensor!r}, which is no constant",
                hint="freeze it before the export",
            )
        return self.constants[tensor]

    def grow(self, op: Op, node: Node, grown: Node) -> None:
        """Replace the node in front by one that also does ``op``."""
        self.nodes[node.name] = replace(grown, tensor=op.outputs[0])
        self.made[op.outputs[0]] = node.name

    def replace(self, node: Node, other: Node, tensor: str) -> None:
        """Another node in the place of one, making another tensor."""
        self.nodes[node.name] = replace(other, name=node.name, tensor=tensor)
        self.made[tensor] = node.name

    def alone(self, node: Node) -> bool:
        """Whether exactly one operator reads a node, and it does not leave the graph."""
        return self.readers.get(node.tensor, 0) == 1 and node.tensor != self.file.output

    def bounds(self, node: Node) -> Bounds:
        """The values that a node can make; it is not the raw input."""
        source = self.made[self.file.input]
        alive = _alive(self.nodes, node.name) | {source}
        before = tuple(other for other in self.nodes.values() if other.name in alive)
        return bounds(HardwareGraph(before, source, node.name))[node.name]

    def graph(self) -> HardwareGraph:
        """What was read and reaches the output, in order."""
        if self.file.output not in self.made:
            raise ExportError(
                f"{self.file.path}: the output {self.file.output!r} does not depend on the input"
            )
        output = self.made[self.file.output]
        alive = _alive(self.nodes, output)
        nodes = tuple(node for node in self.nodes.values() if node.name in alive)
        name = self.file.path.name.split(".")[0]
        return HardwareGraph(nodes, self.made[self.file.input], output, name, self.file.metadata)


Handler = Callable[[Reader, Op], None]
"""Reads one operator."""

HANDLERS: dict[tuple[str, str], Handler] = {}
"""The function of each operator, by domain and kind."""


def reads(*kinds: str, domains: tuple[str, ...] = ("", "ai.onnx")) -> Callable[[Handler], Handler]:
    """Registers the function of some operators."""

    def register(handler: Handler) -> Handler:
        for domain in domains:
            for kind in kinds:
                HANDLERS[domain, kind] = handler
        return handler

    return register


def made_of(cls: type[Node], op: Op, *sources: Node, **fields: Any) -> Any:
    """A node named after its operator; it has the shape of the first source unless told otherwise."""
    names = tuple(source.name for source in sources)
    return cls(name=op.name, inputs=names, **{"shape": sources[0].shape, **fields})


def check_size(where: str, shape: tuple[int, ...]) -> None:
    """Refuse tensors that no network for an FPGA has, before they are made.

    Raises:
        ExportError: more than 2**24 values a sample, or none.
    """
    size = math.prod(shape)
    if not 0 < size <= MOST_VALUES:
        raise ExportError(f"{where} makes samples of shape {shape}, which have {size:,} values")


def sample_axis(op: Op, axis: int, shape: tuple[int, ...]) -> int:
    """An axis of a batch as one of the sample.

    Args:
        op: the operator, for messages.
        axis: counted with the batch; from the end where it is below zero.
        shape: of the sample.

    Raises:
        ExportError: it is the batch axis, or there is no such axis.
    """
    place = axis + len(shape) + 1 if axis < 0 else axis
    if not 1 <= place <= len(shape):
        what = "the batch axis" if place == 0 else f"axis {axis}, which samples of shape {shape} do not have"
        raise ExportError(f"{op} works along {what}")
    return place - 1


def _alive(nodes: dict[str, Node], output: str) -> set[str]:
    alive, todo = set(), [output]
    while todo:
        name = todo.pop()
        if name not in alive:
            alive.add(name)
            todo += nodes[name].inputs
    return alive
