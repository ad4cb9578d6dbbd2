"""``HardwareGraph``: the one form where everything meets, as frozen values.

Weights are float64 and stand on their grids; every edge behind the input has a number format. No type of
ONNX, of a backend or of torch's modules is in here, so that N node kinds and M readers or backends need
N + M pieces of code.

One node has one exact arithmetic meaning: apart from :class:`Quantize` none rounds, and the format on an edge
holds every value that can stand there. What a layer does beside, in several steps, is several nodes: an
average pool is :class:`SumPool`, :class:`ScaleShift`, :class:`Quantize`; a softmax is :class:`ReduceMax`,
:class:`Sub`, :class:`Quantize`, :class:`Table`, :class:`ReduceSum`, :class:`Quantize`, :class:`Table`,
:class:`Mul`, :class:`Quantize`.

There is no batch axis. Samples are laid out as in torch and ONNX, channels first: ``[channels, length]`` and
``[channels, rows, columns]``; backends that want channels last move them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hls_export.nodes.base import Array, Identity, Input, Node, Quantize, Relu, check_grid, format_key
from hls_export.nodes.merges import Add, Matmul, Mul, Sub
from hls_export.nodes.moves import MOVES, Concat, Reshape, Select, Transpose
from hls_export.nodes.products import Conv, Dense, Embedding, LeakyRelu, ScaleShift, Weighted
from hls_export.nodes.tables import Table
from hls_export.nodes.windows import MaxPool, Reduce, ReduceMax, ReduceSum, SumPool, Window, placed
from torchq.errors import ExportError
from torchq.formats import FixedPoint

__all__ = [
    "MOVES",
    "Add",
    "Array",
    "Concat",
    "Conv",
    "Dense",
    "Embedding",
    "HardwareGraph",
    "Identity",
    "Input",
    "LeakyRelu",
    "Matmul",
    "MaxPool",
    "Mul",
    "Node",
    "Quantize",
    "Reduce",
    "ReduceMax",
    "ReduceSum",
    "Relu",
    "Reshape",
    "ScaleShift",
    "Select",
    "Sub",
    "SumPool",
    "Table",
    "Transpose",
    "Weighted",
    "Window",
    "check_grid",
    "format_key",
    "placed",
]


@dataclass(frozen=True, eq=False)
class HardwareGraph:
    """Nodes in topological order, from one input to one output.

    Args:
        nodes: every node stands behind those that it reads.
        input: the name of the input node.
        output: the name of the node whose tensor leaves the graph.
        name: of the model.
        metadata: what the file said about itself: versions, standardisation, names of features.

    Raises:
        ExportError: a name twice, an input that no node in front makes, or no such input or output.

    Example:
        >>> x = Input(name="x", shape=(2,))
        >>> q = Quantize(name="q", inputs=("x",), shape=(2,), format=FixedPoint(4, 2))
        >>> graph = HardwareGraph((x, q), "x", "q")
        >>> [n.name for n in graph.consumers("x")], graph.node("q").kind
        (['q'], 'quantize')
    """

    nodes: tuple[Node, ...]
    input: str
    output: str
    name: str = "model"
    metadata: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for node in self.nodes:
            if node.name in seen:
                raise ExportError(f"two nodes are called {node.name!r}", hint="give each its own name")
            for source in node.inputs:
                if source not in seen:
                    raise ExportError(f"{node.name} reads {source!r}, which no node in front of it makes")
            seen.add(node.name)
        for end in (self.input, self.output):
            if end not in seen:
                raise ExportError(f"the graph has no node {end!r}")

    def node(self, name: str) -> Node:
        """The node of this name.

        Raises:
            ExportError: there is none.
        """
        for node in self.nodes:
            if node.name == name:
                return node
        raise ExportError(f"the graph has no node {name!r}", hint=f"it has {', '.join(self.names)}")

    @property
    def names(self) -> tuple[str, ...]:
        """All names, in order."""
        return tuple(node.name for node in self.nodes)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one sample."""
        return self.node(self.input).shape

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The shape of one result."""
        return self.node(self.output).shape

    @property
    def output_format(self) -> FixedPoint:
        """The format of what leaves the graph."""
        grid = self.node(self.output).format
        assert grid is not None, "readers put a format on every edge"  # noqa: S101
        return grid

    def consumers(self, name: str) -> tuple[Node, ...]:
        """The nodes that read the tensor of ``name``."""
        return tuple(node for node in self.nodes if name in node.inputs)

    def with_nodes(self, nodes: Iterable[Node], output: str | None = None) -> HardwareGraph:
        """The same graph of other nodes."""
        return replace(self, nodes=tuple(nodes), output=self.output if output is None else output)

    def digest(self) -> str:
        """SHA-256 of all that decides its results: operations, formats, constants; and of its names."""
        hasher = hashlib.sha256()
        for node in self.nodes:
            facts: list[Any] = [node.kind, node.name, node.inputs, node.shape, format_key(node.format)]
            more = node.facts()
            hasher.update(json.dumps([*facts, more] if more else facts).encode())
            for slot, values in node.constants().items():
                hasher.update(f"{slot}{values.shape}".encode())
                hasher.update((values + 0.0).tobytes())
        hasher.update(json.dumps([self.input, self.output]).encode())
        return hasher.hexdigest()
