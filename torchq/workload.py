"""``Workload``: what one layer does, as plain numbers. A layer states it, a cost target prices it.

Nothing in here knows a layer class or a target, so that N layers and M targets need N + M pieces of code.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from torchq.formats import FixedPoint, Format, ScaledSigns

UNQUANTIZED_BITS = 32
"""The width at which a tensor without a format is counted: a float32."""


@dataclass(frozen=True)
class TensorSpec:
    """A tensor that flows between layers.

    Args:
        name: the graph node that makes it.
        shape: without the batch axis.
        format: its number format; None if no quantizer made it (it is a float then).

    Example:
        >>> spec = TensorSpec("relu1", (64,), FixedPoint(6, 0, signed=False))
        >>> spec.count, spec.bits
        (64, 384)
    """

    name: str
    shape: tuple[int, ...]
    format: Format | None

    @property
    def count(self) -> int:
        """How many values it has, for one sample."""
        return math.prod(self.shape)

    @property
    def bits(self) -> int:
        """All bits of one sample; 32 a value where there is no format."""
        return total_bits(self.format, self.shape)


@dataclass(frozen=True)
class ParamSpec:
    """A weight or a bias.

    Args:
        name: the parameter's name in the layer, ``"weight"`` or ``"bias"``.
        shape: of the parameter.
        format: its number format; None if it has no quantizer.
        zeros: how many of its quantized values are exactly zero.
        values: the quantized values, where they are known (no part of what makes two specs equal).

    Example:
        >>> spec = ParamSpec("weight", (64, 16), FixedPoint(6, 1), zeros=100)
        >>> spec.count, spec.bits
        (1024, 6144)
    """

    name: str
    shape: tuple[int, ...]
    format: Format | None
    zeros: int = 0
    values: npt.NDArray[np.float64] | None = field(default=None, compare=False, repr=False)

    @property
    def count(self) -> int:
        """How many values it has."""
        return math.prod(self.shape)

    @property
    def bits(self) -> int:
        """All bits of it; 32 a value where there is no format."""
        return total_bits(self.format, self.shape)


@dataclass(frozen=True)
class Geometry:
    """How the kernel of a convolution goes over its input; each tuple has a number for each axis.

    Args:
        stride: the distance of neighbouring positions of the kernel.
        dilation: the distance of neighbouring points of the kernel.
        padding: how much is added before and after the input; of a transposed convolution, how much is cut
            off before and after the output.
        groups: groups of channels that do not see each other.
        mode: what is added: ``"zeros"``, ``"reflect"``, ``"replicate"`` or ``"circular"``.
        transposed: whether it is a transposed convolution.

    Example:
        >>> Geometry(stride=(2,), dilation=(1,), padding=((1, 1),)).groups
        1
    """

    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    groups: int = 1
    mode: str = "zeros"
    transposed: bool = False


@dataclass(frozen=True)
class Operation:
    """So many equal operations on single values, beside the products that ``Workload.macs`` counts.

    Args:
        sort: ``"add"`` (a subtraction is one too), ``"multiply"``, or ``"maximum"`` (compare two, keep one).
        count: how many, for one sample.
        operands: the formats of what goes in, one after the other; None for a float.
        result: the format that holds every result exactly; None for a float. Of a running sum it is that of
            the whole sum.

    Example:
        >>> gate, state = FixedPoint(8, 0, signed=False), FixedPoint(8, 1)
        >>> Operation("multiply", 20, (gate, state), FixedPoint(16, 1)).count
        20
    """

    sort: Literal["add", "multiply", "maximum"]
    count: int
    operands: tuple[Format | None, ...]
    result: Format | None


@dataclass(frozen=True)
class TableSpec:
    """A table that a layer reads: a function by its values, or the rows of an embedding.

    Args:
        name: what stands in it.
        entries: how many rows it has: ``2 ** address bits`` for a function.
        width: the bits of one row.
        reads: how many rows are read, for one sample.

    Example:
        >>> TableSpec("tanh", 1024, 8, reads=64).bits
        8192
    """

    name: str
    entries: int
    width: int
    reads: int

    @property
    def bits(self) -> int:
        """All bits that stand in it."""
        return self.entries * self.width


@dataclass(frozen=True)
class Workload:
    """What one layer does for one sample.

    Args:
        layer: the layer's name in the model.
        kind: the kind of its graph node: ``"linear"``, ``"relu"``, ``"quantize"``, ...
        inputs: the tensors it reads.
        output: the tensor it writes.
        macs: multiplications with a weight, or of two tensors (with the addition of each product).
        fan_in: how many products are summed to one output; 0 for layers that sum none.
        product: the type of one product by QTools' rules; None if there is none, or no fixed-point grid.
        accumulator: the type of the sum of all products and the bias by QTools' rules; of a layer that adds
            or joins tensors, the type of its exact result; None likewise.
        weight: the weight, if it has one.
        bias: the bias, if it has one.
        operations: what it computes beside: the additions of a pool, the products of gates, comparisons.
        tables: the tables that it reads.
        geometry: how a convolution's kernel goes over its input; None for other layers, and where it is not
            known.

    Example:
        >>> x = TensorSpec("input", (16,), FixedPoint(16, 7))
        >>> y = TensorSpec("fc1", (64,), FixedPoint(26, 12))
        >>> weight = ParamSpec("weight", (64, 16), FixedPoint(6, 1))
        >>> bias = ParamSpec("bias", (64,), FixedPoint(6, 1))
        >>> work = Workload("fc1", "linear", (x,), y, macs=1024, fan_in=16, weight=weight, bias=bias)
        >>> work.parameter_bits, work.zeros
        (6528, 0)
    """

    layer: str
    kind: str
    inputs: tuple[TensorSpec, ...]
    output: TensorSpec
    macs: int = 0
    fan_in: int = 0
    product: FixedPoint | None = None
    accumulator: FixedPoint | None = None
    weight: ParamSpec | None = None
    bias: ParamSpec | None = None
    operations: tuple[Operation, ...] = ()
    tables: tuple[TableSpec, ...] = ()
    geometry: Geometry | None = None

    @property
    def parameters(self) -> tuple[ParamSpec, ...]:
        """The weight and the bias, as far as the layer has them."""
        return tuple(p for p in (self.weight, self.bias) if p is not None)

    @property
    def parameter_bits(self) -> int:
        """The bits of all parameters."""
        return sum(p.bits for p in self.parameters)

    @property
    def zeros(self) -> int:
        """How many parameters are exactly zero."""
        return sum(p.zeros for p in self.parameters)

    @property
    def table_bits(self) -> int:
        """The bits of all tables."""
        return sum(table.bits for table in self.tables)

    def count(self, sort: Literal["add", "multiply", "maximum"]) -> int:
        """How many operations of one sort it does, those of ``macs`` aside.

        Example:
            >>> y = TensorSpec("sum", (4,), FixedPoint(9, 2))
            >>> add = Operation("add", 4, (FixedPoint(8, 1), FixedPoint(8, 1)), y.format)
            >>> work = Workload("sum", "add", (), y, operations=(add,))
            >>> work.count("add"), work.count("multiply")
            (4, 0)
        """
        return sum(operation.count for operation in self.operations if operation.sort == sort)


def total_bits(format: Format | None, shape: tuple[int, ...]) -> int:
    """The bits of a tensor of this shape; formats per channel or element are summed element by element.

    Signs are counted without the scales of their channels.

    Example:
        >>> total_bits(FixedPoint(np.array([[2], [3]]), 1), (2, 4))
        20
        >>> total_bits(None, (5,))
        160
    """
    count = math.prod(shape)
    if format is None:
        return UNQUANTIZED_BITS * count
    if isinstance(format, ScaledSigns):
        return format.signs.width * count
    if isinstance(format, FixedPoint) and not format.is_scalar:
        return int(np.broadcast_to(np.asarray(format.width), shape).sum())
    return int(format.width) * count
