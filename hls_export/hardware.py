"""``HardwareGraph``: the one form where everything meets, as frozen values.

Weights are float64 and stand on their grids; every edge behind the input has a number format. No type of
ONNX, of a backend or of torch's modules is in here, so that N node kinds and M readers or backends need
N + M pieces of code. Axes are channels-last and there is no batch axis.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from torchq.errors import ExportError
from torchq.formats import FixedPoint

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class Node:
    """One operation, and the tensor that it makes.

    Args:
        name: the user's name of the layer; unique in its graph.
        inputs: names of the nodes that it reads.
        shape: of what it makes, without the batch axis.
        format: the format of what it makes; None where nothing is known (the raw input).
        tensor: what the file that it came from calls the tensor; the node's name unless told.
    """

    kind: ClassVar[str] = "node"

    name: str
    inputs: tuple[str, ...] = ()
    shape: tuple[int, ...] = ()
    format: FixedPoint | None = None
    tensor: str = ""

    def __post_init__(self) -> None:
        if not self.tensor:
            object.__setattr__(self, "tensor", self.name)

    def constants(self) -> Mapping[str, Array]:
        """The arrays that it owns, by slot."""
        return {}


@dataclass(frozen=True, eq=False, kw_only=True)
class Input(Node):
    """The samples as they come: real numbers, on no grid."""

    kind = "input"


@dataclass(frozen=True, eq=False, kw_only=True)
class Quantize(Node):
    """Rounding and saturation to :attr:`format`."""

    kind = "quantize"


@dataclass(frozen=True, eq=False, kw_only=True)
class Relu(Node):
    """``max(x, 0)``."""

    kind = "relu"


@dataclass(frozen=True, eq=False, kw_only=True)
class Identity(Node):
    """Hands its input on; :func:`hls_export.passes.drop_identities` removes it."""

    kind = "identity"


@dataclass(frozen=True, eq=False, kw_only=True)
class Reshape(Node):
    """The same values in the same (row-major) order, in another shape."""

    kind = "reshape"


@dataclass(frozen=True, eq=False, kw_only=True)
class Dense(Node):
    """``x @ weight + bias``, exactly; its format holds every sum.

    Args:
        weight: ``[n_in, n_out]``, float64, on the grid of ``weight_format``.
        weight_format: per tensor, or an array that broadcasts against ``weight``.
        bias: ``[n_out]``, float64, or None.
        bias_format: per tensor, or an array that broadcasts against ``bias``; None without a bias.
    """

    kind = "dense"

    weight: Array
    weight_format: FixedPoint
    bias: Array | None = None
    bias_format: FixedPoint | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "weight", _frozen(self.weight))
        if self.bias is not None:
            object.__setattr__(self, "bias", _frozen(self.bias))
        for slot, values, grid in (
            ("weight", self.weight, self.weight_format),
            ("bias", self.bias, self.bias_format),
        ):
            if values is not None and (grid is None or not grid.holds(values).all()):
                raise ExportError(
                    f"{self.name}.{slot} has values beside the grid of {grid}",
                    hint="quantize it before the graph is built",
                )

    @property
    def n_in(self) -> int:
        """How many values each output sums."""
        return int(self.weight.shape[0])

    @property
    def n_out(self) -> int:
        """How many outputs it has."""
        return int(self.weight.shape[1])

    def constants(self) -> Mapping[str, Array]:
        """The weight, and the bias if there is one."""
        return {"weight": self.weight} if self.bias is None else {"weight": self.weight, "bias": self.bias}


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
            facts: list[Any] = [node.kind, node.name, node.inputs, node.shape, _format_key(node.format)]
            hasher.update(json.dumps(facts).encode())
            for slot, values in node.constants().items():
                hasher.update(f"{slot}{values.shape}".encode())
                hasher.update((values + 0.0).tobytes())
        hasher.update(json.dumps([self.input, self.output]).encode())
        return hasher.hexdigest()


def _frozen(values: npt.ArrayLike) -> Array:
    array = np.array(values, dtype=np.float64)
    array.setflags(write=False)
    return array


def _format_key(grid: FixedPoint | None) -> Any:
    if grid is None:
        return None
    fields = (grid.width, grid.integer, np.asarray(grid.signed).astype(int))
    return [[np.asarray(f).tolist() for f in fields], str(grid.rounding), str(grid.overflow)]
