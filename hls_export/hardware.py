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

    def facts(self) -> Mapping[str, Any]:
        """What decides its results beside constants, shape and format: strides, axes, ...; JSON-able."""
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
class Weighted(Node):
    """What the nodes with weight and bias have in common; not a node itself.

    Args:
        weight: float64, on the grid of ``weight_format``.
        weight_format: per tensor, or an array that broadcasts against ``weight``.
        bias: ``[n_out]``, float64, or None.
        bias_format: per tensor, or an array that broadcasts against ``bias``; None without a bias.

    Raises:
        ExportError: values beside their grid.
    """

    weight: Array
    weight_format: FixedPoint
    bias: Array | None = None
    bias_format: FixedPoint | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "weight", _frozen(self.weight))
        check_grid(self.name, "weight", self.weight, self.weight_format)
        if self.bias is not None:
            object.__setattr__(self, "bias", _frozen(self.bias))
            check_grid(self.name, "bias", self.bias, self.bias_format)

    def constants(self) -> Mapping[str, Array]:
        """The weight, and the bias if there is one."""
        return {"weight": self.weight} if self.bias is None else {"weight": self.weight, "bias": self.bias}


@dataclass(frozen=True, eq=False, kw_only=True)
class Dense(Weighted):
    """``x @ weight + bias`` along the last axis, exactly; all other axes are positions.

    ``weight`` has shape ``[n_in, n_out]``. The node's format holds every sum.
    """

    kind = "dense"

    @property
    def n_in(self) -> int:
        """How many values each output sums."""
        return int(self.weight.shape[0])

    @property
    def n_out(self) -> int:
        """How many outputs it has."""
        return int(self.weight.shape[1])


@dataclass(frozen=True, eq=False, kw_only=True)
class Conv(Weighted):
    """A convolution along one or two axes, exactly: ``[channels, *sizes]`` to ``[n_out, *sizes']``.

    ``y[o, p] = bias[o] + sum over c, k of weight[o, c, k] * x[g + c, p * stride - before + k * dilation]``,
    where ``g`` is the first channel of the group of ``o``, and ``x`` is 0 beside the sample. ``weight`` has
    shape ``[n_out, channels / groups, *kernel]``.

    Args:
        strides: one an axis.
        pads: zeros before and after, one pair an axis.
        dilations: the distance between points of the kernel, one an axis.
        groups: groups of channels that do not see each other.
    """

    kind = "conv"

    strides: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]
    dilations: tuple[int, ...]
    groups: int = 1

    @property
    def kernel(self) -> tuple[int, ...]:
        """The points of the kernel, one number an axis."""
        return tuple(self.weight.shape[2:])

    @property
    def n_out(self) -> int:
        """How many channels it writes."""
        return int(self.weight.shape[0])

    @property
    def n_in(self) -> int:
        """How many channels it reads."""
        return int(self.weight.shape[1]) * self.groups

    @property
    def depthwise(self) -> bool:
        """Whether each group reads one channel."""
        return self.weight.shape[1] == 1 and self.groups > 1

    def facts(self) -> Mapping[str, Any]:
        """Strides, pads, dilations and groups."""
        return {
            "strides": self.strides,
            "pads": self.pads,
            "dilations": self.dilations,
            "groups": self.groups,
        }


@dataclass(frozen=True, eq=False, kw_only=True)
class Window(Node):
    """What the pools have in common; not a node itself. ``[channels, *sizes]`` to ``[channels, *sizes']``.

    Args:
        kernel: the window's size, one number an axis.
        strides: likewise.
        pads: places before and after the sample, one pair an axis.
        dilations: the distance between places of a window, one number an axis.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]
    dilations: tuple[int, ...]

    def facts(self) -> Mapping[str, Any]:
        """Kernel, strides, pads and dilations."""
        return {
            "kernel": self.kernel,
            "strides": self.strides,
            "pads": self.pads,
            "dilations": self.dilations,
        }


@dataclass(frozen=True, eq=False, kw_only=True)
class MaxPool(Window):
    """The largest value of each window; places beside the sample never win."""

    kind = "max_pool"


@dataclass(frozen=True, eq=False, kw_only=True)
class SumPool(Window):
    """The exact sum of each window, zeros beside the sample: an average pool before its division."""

    kind = "sum_pool"


@dataclass(frozen=True, eq=False, kw_only=True)
class Reduce(Node):
    """What the reductions have in common; not a node itself.

    Args:
        axes: of the sample (0 is its first axis), ascending.
        keepdims: whether the axes stay, with length 1.
    """

    axes: tuple[int, ...]
    keepdims: bool = True

    def facts(self) -> Mapping[str, Any]:
        """Axes, and whether they stay."""
        return {"axes": self.axes, "keepdims": self.keepdims}


@dataclass(frozen=True, eq=False, kw_only=True)
class ReduceSum(Reduce):
    """The exact sum along some axes."""

    kind = "reduce_sum"


@dataclass(frozen=True, eq=False, kw_only=True)
class ReduceMax(Reduce):
    """The largest value along some axes."""

    kind = "reduce_max"


@dataclass(frozen=True, eq=False, kw_only=True)
class ScaleShift(Node):
    """``x * scale + shift``, exactly; a batch norm of its own, the factor of an average, a constant addend.

    Args:
        scale: broadcasts against the sample: ``[channels, 1, 1]`` for one number a channel; ``[1]`` for all.
        scale_format: holds ``scale``; per tensor, or broadcasting against it.
        shift: broadcasts against the sample as well, or None.
        shift_format: holds ``shift``; None without one.
    """

    kind = "scale_shift"

    scale: Array
    scale_format: FixedPoint
    shift: Array | None = None
    shift_format: FixedPoint | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "scale", _frozen(self.scale))
        check_grid(self.name, "scale", self.scale, self.scale_format)
        if self.shift is not None:
            object.__setattr__(self, "shift", _frozen(self.shift))
            check_grid(self.name, "shift", self.shift, self.shift_format)

    def constants(self) -> Mapping[str, Array]:
        """The scale, and the shift if there is one."""
        return {"scale": self.scale} if self.shift is None else {"scale": self.scale, "shift": self.shift}


@dataclass(frozen=True, eq=False, kw_only=True)
class Add(Node):
    """The exact sum of two or more inputs, whose shapes have as many axes and broadcast."""

    kind = "add"


@dataclass(frozen=True, eq=False, kw_only=True)
class Sub(Node):
    """The first input minus the second, exactly; shapes broadcast as in :class:`Add`."""

    kind = "sub"


@dataclass(frozen=True, eq=False, kw_only=True)
class Mul(Node):
    """The exact product of two inputs, value by value; shapes broadcast as in :class:`Add`."""

    kind = "mul"


@dataclass(frozen=True, eq=False, kw_only=True)
class Matmul(Node):
    """The exact matrix product of two inputs along their last two axes: ``[..., m, k] @ [..., k, n]``.

    The axes in front have equal lengths in both.
    """

    kind = "matmul"


@dataclass(frozen=True, eq=False, kw_only=True)
class Concat(Node):
    """The inputs one after the other along ``axis`` of the sample (0 is its first axis)."""

    kind = "concat"

    axis: int

    def facts(self) -> Mapping[str, Any]:
        """The axis."""
        return {"axis": self.axis}


@dataclass(frozen=True, eq=False, kw_only=True)
class Transpose(Node):
    """The axes of the sample in another order: axis ``i`` of the result is axis ``axes[i]`` of the input."""

    kind = "transpose"

    axes: tuple[int, ...]

    def facts(self) -> Mapping[str, Any]:
        """The order."""
        return {"axes": self.axes}


@dataclass(frozen=True, eq=False, kw_only=True)
class Select(Node):
    """Values picked from the sample: slices, splits, padding, repetition, interleaved zeros; wires alone.

    Args:
        indices: of the node's shape: the place in the flat (row-major) input of each value; -1 stands for 0.
    """

    kind = "select"

    indices: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        super().__post_init__()
        indices = np.array(self.indices, dtype=np.int64)
        indices.setflags(write=False)
        object.__setattr__(self, "indices", indices)
        if indices.shape != self.shape:
            raise ExportError(f"{self.name} has {indices.shape} indices for a result of {self.shape}")

    def constants(self) -> Mapping[str, Array]:
        """The indices."""
        return {"indices": self.indices.astype(np.float64)}


@dataclass(frozen=True, eq=False, kw_only=True)
class Table(Node):
    """A function of each value, looked up: ``values[address]``.

    What it reads comes from a :class:`Quantize` to :attr:`address` (perhaps moved), whose codes are the
    addresses.

    Args:
        address: the format of what it reads, per tensor.
        values: float64 ``[2 ** address.width]``. The value at a place belongs to the input code with the same
            bits: in two's complement, so the negative codes stand in the upper half.
    """

    kind = "table"

    address: FixedPoint
    values: Array

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "values", _frozen(self.values))
        if not self.address.is_scalar or self.values.shape != (1 << int(self.address.width),):
            raise ExportError(f"{self.name} has {self.values.size} values for addresses of {self.address}")

    def constants(self) -> Mapping[str, Array]:
        """The values."""
        return {"values": self.values}

    def facts(self) -> Mapping[str, Any]:
        """The format of the addresses."""
        return {"address": _format_key(self.address)}


@dataclass(frozen=True, eq=False, kw_only=True)
class LeakyRelu(Node):
    """``x`` where it is not below zero, else ``x * slope``, exactly.

    Args:
        slope: broadcasts against the sample: ``[channels, 1, 1]`` for one number a channel; ``[1]`` for all.
        slope_format: holds it.
    """

    kind = "leaky_relu"

    slope: Array
    slope_format: FixedPoint

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "slope", _frozen(self.slope))
        check_grid(self.name, "slope", self.slope, self.slope_format)

    def constants(self) -> Mapping[str, Array]:
        """The slope."""
        return {"slope": self.slope}


@dataclass(frozen=True, eq=False, kw_only=True)
class Embedding(Node):
    """Rows of a table, picked by whole numbers: ``[*sizes]`` to ``[*sizes, values of a row]``.

    What it reads comes from a :class:`Quantize` to an unsigned format of whole numbers. Numbers beyond the
    last row are not defined.

    Args:
        weight: ``[rows, values]``, float64, on the grid of ``weight_format``.
        weight_format: per tensor, or an array that broadcasts against ``weight``.
    """

    kind = "embedding"

    weight: Array
    weight_format: FixedPoint

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "weight", _frozen(self.weight))
        check_grid(self.name, "weight", self.weight, self.weight_format)

    def constants(self) -> Mapping[str, Array]:
        """The rows."""
        return {"weight": self.weight}


MOVES = (Identity, Reshape, Transpose, Select, Concat)
"""Nodes that make no new values, :class:`Select`'s zeros aside."""


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
            more = node.facts()
            hasher.update(json.dumps([*facts, more] if more else facts).encode())
            for slot, values in node.constants().items():
                hasher.update(f"{slot}{values.shape}".encode())
                hasher.update((values + 0.0).tobytes())
        hasher.update(json.dumps([self.input, self.output]).encode())
        return hasher.hexdigest()


def check_grid(name: str, slot: str, values: Array, grid: FixedPoint | None) -> None:
    """Refuse constants that do not stand on the grid that is said.

    Raises:
        ExportError: a value beside the grid, or no grid.
    """
    if grid is None or not grid.holds(values).all():
        raise ExportError(
            f"{name}.{slot} has values beside the grid of {grid}",
            hint="quantize it before the graph is built",
        )


def placed(length: int, kernel: int, stride: int, pads: tuple[int, int], dilation: int = 1) -> int:
    """How many places a window has along an axis.

    Example:
        >>> placed(5, 3, 2, (1, 1)), placed(2, 3, 1, (0, 0))
        (3, 0)
    """
    return max((length + sum(pads) - dilation * (kernel - 1) - 1) // stride + 1, 0)


def _frozen(values: npt.ArrayLike) -> Array:
    array = np.array(values, dtype=np.float64)
    array.setflags(write=False)
    return array


def _format_key(grid: FixedPoint | None) -> Any:
    if grid is None:
        return None
    fields = (grid.width, grid.integer, np.asarray(grid.signed).astype(int))
    return [[np.asarray(f).tolist() for f in fields], str(grid.rounding), str(grid.overflow)]
