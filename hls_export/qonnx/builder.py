"""``Builder``: what a network is put together from; each piece is one operator or a few of ONNX.

Names: the operator that does the main work of a layer has the layer's name, and those behind it have
``.bias``, ``.quant``, ... behind that. The tensor that leaves the layer has the layer's name.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from hls_export.qonnx import own
from hls_export.qonnx.channels import plain
from hls_export.qonnx.emit import Emitter
from hls_export.qonnx.probe import plain_rounding
from hls_export.qonnx.step_quantizers import in_steps
from torchq.errors import ExportError, FormatError
from torchq.formats import FixedPoint, Format, Overflow
from torchq.formats.arithmetic import widest

if TYPE_CHECKING:
    from torchq.nn.table import Table
    from torchq.quantizers import Quantizer

Array = npt.NDArray[np.float64]


class Builder:
    """A network in the making. Tensors go by name; their samples' shapes are kept.

    Args:
        name: of the network.
    """

    def __init__(self, name: str) -> None:
        self.emit = Emitter(name)
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.formats: dict[str, str] = {}
        self.channels: dict[str, dict[str, Any]] = {}
        self._tables: dict[tuple[bytes, float], tuple[str, str]] = {}
        self._ones: set[str] = set()

    def node(
        self,
        kind: str,
        inputs: Sequence[str],
        shape: tuple[int, ...],
        name: str,
        output: str,
        **attributes: Any,
    ) -> str:
        """One operator, the shape of whose samples is known."""
        self.shapes[output] = shape
        return self.emit.node(kind, inputs, output, name=name, shape=shape, **attributes)

    # ------------------------------------------------------------------ ends and quantizers

    def input(self, name: str, shape: tuple[int, ...]) -> str:
        """The network's input."""
        self.shapes[name] = shape
        return self.emit.input(name, shape)

    def quant(self, source: str, grid: FixedPoint, name: str, output: str | None = None) -> str:
        """Rounding to a format."""
        output = output or name
        self.shapes[output] = self.shapes[source]
        self.formats[output] = str(grid)
        return self.emit.quant(source, grid, name, output, self.shapes[source])

    def quantizer(
        self,
        source: str,
        quantizer: Quantizer,
        where: str,
        name: str,
        output: str,
        *,
        relu: nn.Module | None = None,
    ) -> str:
        """An activation's quantizer.

        Args:
            source: what it reads.
            quantizer: must do nothing but round to its format.
            where: it stands, for messages.
            name: of the operator.
            output: the tensor.
            relu: the module of a relu and this quantizer, where they are one.

        Raises:
            ExportError: it does more, or rounds to what is no fixed point.
        """
        made = in_steps(self, source, quantizer, name, output)
        if made is not None:
            return made
        grid = activation_grid(where, quantizer, self.shapes[source], relu=relu)
        return self.quant(source, grid, name, output)

    def finish(self, source: str, quantizer: Quantizer | None, name: str, *, where: str | None = None) -> str:
        """The quantizer of a layer's output, if there is one; the tensor is called ``name`` then."""
        if quantizer is None:
            return source
        return self.quantizer(source, quantizer, where or name, f"{name}.quant", name)

    def parameter(self, where: str, values: Tensor | Array, quantizer: Quantizer) -> str:
        """A weight or bias: any grid will do that holds the values, for they are on it already."""
        reason = quantizer.hardware_reason()
        if reason is not None:
            raise ExportError(f"{where}: {reason}")
        return self.constant(where, values, quantizer.format)

    def constant(self, where: str, values: Tensor | Array, format: Format) -> str:
        """Numbers that stand on the grid of a format, with a ``Quant`` that states one."""
        self.formats[where] = str(format)
        by_channel = plain(format)
        if by_channel is not None:
            self.channels[where] = by_channel
        exact = values.detach().to(torch.float64).cpu().numpy() if isinstance(values, Tensor) else values
        grid = carrier(where, format)
        if not grid.holds(exact).all():
            raise ExportError(f"{where} has values beside the grid of {format}")
        return self.emit.parameter(where, exact, grid)

    def one(self, name: str) -> str:
        """The number 1, written once a name."""
        if name not in self._ones:
            self._ones.add(name)
            self.emit.constant(name, np.ones(1))
        return name

    # ------------------------------------------------------------------ products with weights

    def dense(self, source: str, weight: str, n_out: int, name: str, output: str) -> str:
        """``source @ weight`` along the last axis."""
        return self.node("MatMul", [source, weight], (*self.shapes[source][:-1], n_out), name, output)

    def bias(self, source: str, bias: str, name: str, output: str) -> str:
        """A constant added to every sample; it broadcasts against it."""
        return self.node("Add", [source, bias], self.shapes[source], name, output)

    def scaled(self, source: str, scale: str, name: str, output: str) -> str:
        """Every sample times a constant, which broadcasts against it."""
        return self.node("Mul", [source, scale], self.shapes[source], name, output)

    def conv(
        self,
        source: str,
        weight: str,
        bias: str | None,
        shape: tuple[int, ...],
        name: str,
        output: str,
        *,
        kernel: Sequence[int],
        strides: Sequence[int],
        pads: Sequence[tuple[int, int]],
        dilations: Sequence[int],
        groups: int,
    ) -> str:
        """A convolution; see :class:`hls_export.hardware.Conv`."""
        return self.node(
            "Conv",
            [source, weight] if bias is None else [source, weight, bias],
            shape,
            name,
            output,
            kernel_shape=list(kernel),
            strides=list(strides),
            pads=[before for before, _ in pads] + [after for _, after in pads],
            dilations=list(dilations),
            group=groups,
        )

    # ------------------------------------------------------------------ windows

    def max_pool(
        self,
        source: str,
        shape: tuple[int, ...],
        name: str,
        *,
        kernel: Sequence[int],
        strides: Sequence[int],
        pads: Sequence[tuple[int, int]],
        dilations: Sequence[int],
    ) -> str:
        """The largest of each window."""
        return self.node(
            "MaxPool",
            [source],
            shape,
            name,
            name,
            kernel_shape=list(kernel),
            strides=list(strides),
            pads=[before for before, _ in pads] + [after for _, after in pads],
            dilations=list(dilations),
        )

    def sum_pool(
        self,
        source: str,
        shape: tuple[int, ...],
        name: str,
        output: str,
        *,
        kernel: Sequence[int],
        strides: Sequence[int],
        pads: Sequence[tuple[int, int]],
    ) -> str:
        """The sum of each window: a depthwise convolution of ones."""
        ones = np.ones((shape[0], 1, *kernel))
        weight = self.emit.parameter(f"{name}.ones", ones, FixedPoint(1, 1, signed=False))
        plain = {"strides": strides, "pads": pads, "dilations": [1] * len(kernel), "groups": shape[0]}
        return self.conv(source, weight, None, shape, name, output, kernel=kernel, **plain)  # type: ignore[arg-type]

    # ------------------------------------------------------------------ one input

    def relu(self, source: str, name: str, output: str) -> str:
        """``max(source, 0)``."""
        return self.node("Relu", [source], self.shapes[source], name, output)

    def address(self, source: str, quantizer: Quantizer, name: str, where: str) -> str:
        """The quantizer that makes the addresses of a table."""
        return self.quantizer(source, quantizer, where, name, name)

    def table(self, address: str, table: Table, name: str, output: str) -> str:
        """A lookup, of codes that a quantizer to ``table.input`` made."""
        exact = np.asarray(table.values, dtype=np.float64)
        key = (exact.tobytes(), float(table.input.lsb))
        if key not in self._tables:
            values = self.emit.constant(f"{name}.values", exact)
            self._tables[key] = (values, self.emit.constant(f"{name}.step", float(table.input.lsb)))
        values, step = self._tables[key]
        self.formats[output] = str(table.output)
        return self.node(
            own.TABLE,
            [address, values, step],
            self.shapes[address],
            name,
            output,
            domain=own.DOMAIN,
            signed=int(bool(table.input.signed)),
        )

    def reduce(
        self,
        kind: Literal["Sum", "Max"],
        source: str,
        axes: Sequence[int],
        name: str,
        output: str | None = None,
    ) -> str:
        """The sum or the largest along some axes of the sample, which stay with length 1."""
        shape = tuple(1 if i in axes else n for i, n in enumerate(self.shapes[source]))
        batched = [axis + 1 for axis in axes]
        if kind == "Max":
            return self.node("ReduceMax", [source], shape, name, output or name, axes=batched, keepdims=1)
        along = self.emit.sizes(f"{name}.axes", batched)
        return self.node("ReduceSum", [source, along], shape, name, output or name, keepdims=1)

    # ------------------------------------------------------------------ several inputs

    def merge(
        self, kind: Literal["Add", "Sub", "Mul"], sources: Sequence[str], name: str, output: str | None = None
    ) -> str:
        """Tensors whose shapes broadcast; more than two can be added only."""
        shape = np.broadcast_shapes(*(self.shapes[source] for source in sources))
        operator = "Sum" if len(sources) > 2 else kind
        return self.node(operator, list(sources), shape, name, output or name)

    def matmul(self, a: str, b: str, name: str, output: str | None = None) -> str:
        """The matrix product of two tensors along their last two axes."""
        shape = (*self.shapes[a][:-1], self.shapes[b][-1])
        return self.node("MatMul", [a, b], shape, name, output or name)

    def concat(self, sources: Sequence[str], axis: int, name: str, output: str | None = None) -> str:
        """Tensors one after the other along an axis of the sample."""
        shapes = [self.shapes[source] for source in sources]
        length = sum(shape[axis] for shape in shapes)
        shape = (*shapes[0][:axis], length, *shapes[0][axis + 1 :])
        return self.node("Concat", list(sources), shape, name, output or name, axis=axis + 1)

    # ------------------------------------------------------------------ moves

    def reshape(self, source: str, shape: tuple[int, ...], name: str, output: str | None = None) -> str:
        """The same values in another shape; nothing where it is the shape that is there."""
        if shape == self.shapes[source]:
            return source
        sizes = self.emit.sizes(f"{name}.shape", (-1, *shape))
        return self.node("Reshape", [source, sizes], shape, name, output or name)

    def transpose(self, source: str, axes: Sequence[int], name: str, output: str | None = None) -> str:
        """The axes of the sample in another order."""
        shape = tuple(self.shapes[source][axis] for axis in axes)
        order = [0, *(axis + 1 for axis in axes)]
        return self.node("Transpose", [source], shape, name, output or name, perm=order)

    def take(
        self, source: str, axis: int, indices: Sequence[int] | int, name: str, output: str | None = None
    ) -> str:
        """Some places along an axis; one number takes the axis away."""
        old = self.shapes[source]
        middle = () if isinstance(indices, int) else (len(indices),)
        places = self.emit.sizes(f"{name}.places", indices)
        shape = (*old[:axis], *middle, *old[axis + 1 :])
        return self.node("Gather", [source, places], shape, name, output or name, axis=axis + 1)

    def select(self, source: str, indices: npt.NDArray[np.int64], name: str, output: str) -> str:
        """Any values of the flat sample, in any shape."""
        size = math.prod(self.shapes[source])
        flat = self.reshape(source, (size,), f"{name}.flat")
        one_axis = indices.ndim == 1
        taken = self.take(flat, 0, indices.ravel().tolist(), name, output if one_axis else f"{name}.taken")
        return taken if one_axis else self.reshape(taken, indices.shape, f"{name}.reshape", output)

    def model(self, output: str, metadata: Mapping[str, str]) -> Any:
        """The finished ONNX model."""
        return self.emit.model(output, self.shapes[output], metadata)


def activation_grid(
    where: str, quantizer: Quantizer, shape: tuple[int, ...], *, relu: nn.Module | None = None
) -> FixedPoint:
    """The format that an activation's quantizer rounds to.

    Args:
        where: it stands, for messages.
        quantizer: what is asked.
        shape: of one sample that it reads.
        relu: the module of a relu and this quantizer, where they are one.

    Raises:
        ExportError: it does more than round to a fixed-point format.
    """
    reason = quantizer.hardware_reason()
    if reason is not None:
        raise ExportError(f"{where}: {reason}")
    grid = quantizer.format
    if not isinstance(grid, FixedPoint):
        raise ExportError(
            f"{where}: {quantizer} makes {grid}, and QONNX's Quant rounds to fixed point only",
            hint="use it on weights, or quantized_bits or quantized_relu here",
        )
    module = copy.deepcopy(quantizer if relu is None else relu)
    if not plain_rounding(module, grid, shape, relu=relu is not None):
        raise ExportError(
            f"{where}: {quantizer} does more than round to {grid}, and QONNX's Quant does no more",
            hint="use quantized_bits or quantized_relu here",
        )
    return grid


def carrier(where: str, grid: Format) -> FixedPoint:
    """A fixed-point format per tensor that a ``Quant`` can state and that holds every value of a format.

    Example:
        >>> from torchq.formats import Ternary
        >>> str(carrier("fc1.weight", Ternary(0.5))), str(carrier("fc1.weight", FixedPoint(1, 1)))
        ('ap_fixed<2,1,RND_CONV,SAT_SYM>', 'ap_fixed<2,2,RND_CONV,SAT>')
    """
    try:
        held = widest(grid if isinstance(grid, FixedPoint) else grid.as_fixed())
    except FormatError as fault:
        raise ExportError(f"{where}: {fault.message}", fault.hint) from None
    width, integer = int(held.width), int(held.integer)
    more = max((2 if held.signed else 1) - width, 0)
    narrow = held.overflow is Overflow.SAT_SYM and bool(held.signed)
    overflow = Overflow.SAT_SYM if narrow and not more else Overflow.SAT
    return FixedPoint(width + more, integer + more, held.signed, overflow=overflow)
