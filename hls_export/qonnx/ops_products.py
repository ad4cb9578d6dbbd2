"""Operators with weights: matrix products, convolutions, scales and shifts, batch norms."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from hls_export.hardware import (
    Add,
    Conv,
    Dense,
    Identity,
    Matmul,
    Mul,
    Node,
    ScaleShift,
    Select,
    Sub,
    SumPool,
    Transpose,
    Weighted,
    placed,
)
from hls_export.qonnx.batch_norm import fold_batch_norm, scale_and_shift
from hls_export.qonnx.constants import Constant, moved
from hls_export.qonnx.load import Op
from hls_export.qonnx.reader import Reader, check_size, made_of, reads
from hls_export.qonnx.shapes import against, formats_like
from torchq.errors import ExportError
from torchq.formats import FixedPoint

# ---------------------------------------------------------------------- matrix products


@reads("MatMul")
def _matmul(reader: Reader, op: Op) -> None:
    if reader.is_constant(op, 1):
        _dense(reader, op, reader.constant(op, 1, "weight"), None)
        return
    if reader.is_constant(op, 0):
        _turned_product(reader, op)
        return
    a, b = reader.source(op, 0), reader.source(op, 1)
    if len(a.shape) < 2 or a.shape[:-2] != b.shape[:-2] or a.shape[-1] != b.shape[-2:][0]:
        raise ExportError(f"{op} multiplies samples of shapes {a.shape} and {b.shape}")
    shape = (*a.shape[:-1], b.shape[-1])
    reader.add(made_of(Matmul, op, a, b, shape=shape), op.outputs[0])


def _turned_product(reader: Reader, op: Op) -> None:
    """A constant in front: the same product of everything turned round."""
    source, weight = reader.source(op, 1), reader.constant(op, 0, "weight")
    if len(source.shape) != 2 or weight.values.ndim != 2:
        raise ExportError(
            f"{op} multiplies a constant of shape {weight.values.shape} with samples of shape "
            f"{source.shape}, which mixes samples or does not fit"
        )
    columns, rows = f"{op.outputs[0]}.columns", f"{op.outputs[0]}.rows"
    made = made_of(Transpose, op, source, shape=source.shape[::-1], axes=(1, 0))
    reader.add(replace(made, name=f"{op.name}.columns"), columns)
    _dense(reader, replace(op, inputs=(columns,), outputs=(rows,)), moved(weight, np.transpose), None)
    product = reader.nodes[reader.made[rows]]
    back = made_of(Transpose, op, product, shape=product.shape[::-1], axes=(1, 0))
    reader.add(replace(back, name=f"{op.name}.rows"), op.outputs[0])


@reads("Gemm")
def _gemm(reader: Reader, op: Op) -> None:
    if op.attributes.get("transA", 0):
        raise ExportError(f"{op} turns its input round, which mixes samples", hint="transA 0 is needed")
    weight = _times(reader.constant(op, 1, "weight"), float(op.attributes.get("alpha", 1.0)))
    if op.attributes.get("transB", 0):
        weight = moved(weight, np.transpose)
    bias = reader.constant(op, 2, "bias") if reader.has(op, 2) else None
    _dense(reader, op, weight, bias and _times(bias, float(op.attributes.get("beta", 1.0))))


def _times(constant: Constant, factor: float) -> Constant:
    """A constant and its grid, multiplied; a factor that is no power of two needs a new grid."""
    if factor == 1:
        return constant
    mantissa, exponent = math.frexp(factor)
    grid = constant.grid if mantissa == 0.5 else None
    moved_grid = None if grid is None else replace(grid, integer=np.asarray(grid.integer) + exponent - 1)
    return Constant(constant.values * factor, moved_grid)


def _dense(reader: Reader, op: Op, weight: Constant, bias: Constant | None) -> None:
    source = reader.source(op)
    while weight.values.ndim > 2 and weight.values.shape[0] == 1:
        weight = moved(weight, lambda values: values[0])
    values = np.asarray(weight.values, dtype=np.float64)
    if values.ndim != 2 or not source.shape or source.shape[-1] != values.shape[0]:
        raise ExportError(
            f"{op} multiplies samples of shape {source.shape} with a weight of shape {values.shape}",
            hint="samples [..., inputs] and a weight [inputs, outputs] are needed",
        )
    grid = weight.stands_on(f"the weight of {op}")
    shape = (*source.shape[:-1], values.shape[1])
    made = made_of(Dense, op, source, shape=shape, weight=values, weight_format=grid)
    reader.add(made if bias is None else _with_bias(op, made, bias), op.outputs[0])


def _with_bias(op: Op, made: Dense | Conv, bias: Constant) -> Dense | Conv:
    """A product with its bias, one number an output."""
    values = np.asarray(bias.values, dtype=np.float64)
    if values.size not in (1, made.n_out):
        raise ExportError(f"{op} adds a bias of shape {values.shape} to {made.n_out} outputs")
    grid = formats_like(bias.stands_on(f"the bias of {op}"), values.shape, (values.size,))
    return replace(made, bias=np.broadcast_to(values.reshape(-1), (made.n_out,)), bias_format=grid)


# ---------------------------------------------------------------------- convolutions


@reads("Conv")
def _conv(reader: Reader, op: Op) -> None:
    source, weight = reader.source(op), reader.constant(op, 1, "weight")
    values = np.asarray(weight.values, dtype=np.float64)
    groups = int(op.attributes.get("group", 1))
    channels = source.shape[0] if source.shape else 0
    fits = values.ndim == len(source.shape) + 1 and values.shape[1] * groups == channels
    if values.ndim not in (3, 4) or not fits or values.shape[0] % groups:
        raise ExportError(
            f"{op} convolves samples of shape {source.shape} with a weight of shape {values.shape} "
            f"in {groups} groups"
        )
    kernel = values.shape[2:]
    strides, pads, dilations = geometry(op, source.shape, kernel)
    rows = zip(source.shape[1:], kernel, strides, pads, dilations, strict=True)
    sizes = tuple(placed(*row) for row in rows)
    if 0 in sizes:
        raise ExportError(f"{op} has a kernel larger than samples of shape {source.shape}")
    moves: dict[str, Any] = {"strides": strides, "pads": pads, "dilations": dilations}
    alone = groups == channels == values.shape[0]
    if alone and np.all(values == 1) and not reader.has(op, 2):
        shape = (channels, *sizes)
        reader.add(made_of(SumPool, op, source, shape=shape, kernel=kernel, **moves), op.outputs[0])
        return
    grid = weight.stands_on(f"the weight of {op}")
    made = made_of(
        Conv,
        op,
        source,
        shape=(values.shape[0], *sizes),
        weight=values,
        weight_format=grid,
        groups=groups,
        **moves,
    )
    if reader.has(op, 2):
        made = _with_bias(op, made, reader.constant(op, 2, "bias"))
    reader.add(made, op.outputs[0])


@reads("ConvTranspose")
def _conv_transpose(reader: Reader, op: Op) -> None:
    """A convolution of the sample with zeros between its values, with the kernel turned round."""
    source, weight = reader.source(op), reader.constant(op, 1, "weight")
    groups, axes = max(int(op.attributes.get("group", 1)), 1), weight.values.ndim - 2
    channels = source.shape[0] if source.shape else 0
    if (
        axes not in (1, 2)
        or len(source.shape) != axes + 1
        or weight.values.shape[0] != channels
        or channels % groups
    ):
        raise ExportError(
            f"{op} has samples of shape {source.shape} and a weight of shape {weight.values.shape}"
        )
    if op.attributes.get("output_shape") or str(op.attributes.get("auto_pad", "NOTSET")) != "NOTSET":
        raise ExportError(f"{op} says the size of its output", hint="say pads and output_padding")
    kernel = weight.values.shape[2:]
    strides, cuts, dilations = geometry(op, source.shape, kernel)
    more = tuple(int(n) for n in op.attributes.get("output_padding", (0,) * axes))
    reach = [(k - 1) * d for k, d in zip(kernel, dilations, strict=True)]
    pads = [(r - a, r - b + m) for r, (a, b), m in zip(reach, cuts, more, strict=True)]
    check_size(str(op), tuple(n * s for n, s in zip(source.shape[1:], strides, strict=True)))
    spread = _spread(source.shape, strides, pads)
    between = made_of(Select, op, source, shape=spread.shape, indices=spread)
    between = reader.add(replace(between, name=f"{op.name}.spread"), f"{op.outputs[0]}.spread")
    kept = tuple((max(a, 0), max(b, 0)) for a, b in pads)
    turned = moved(weight, lambda values: _turned(values, groups))
    rows = zip(spread.shape[1:], kernel, (1,) * axes, kept, dilations, strict=True)
    sizes = tuple(placed(*row) for row in rows)
    made = made_of(
        Conv,
        op,
        between,
        shape=(turned.values.shape[0], *sizes),
        weight=turned.values,
        weight_format=turned.stands_on(f"the weight of {op}"),
        groups=groups,
        strides=(1,) * axes,
        pads=kept,
        dilations=dilations,
    )
    if reader.has(op, 2):
        made = _with_bias(op, made, reader.constant(op, 2, "bias"))
    reader.add(made, op.outputs[0])


def _spread(
    shape: tuple[int, ...], strides: tuple[int, ...], pads: list[tuple[int, int]]
) -> npt.NDArray[np.int64]:
    """Places of the values with zeros (-1) between them; pads below zero cut at the ends."""
    sizes = [(n - 1) * s + 1 for n, s in zip(shape[1:], strides, strict=True)]
    spread = np.full((shape[0], *sizes), -1, dtype=np.int64)
    every: Any = (slice(None), *(slice(None, None, s) for s in strides))
    spread[every] = np.arange(math.prod(shape)).reshape(shape)
    rows = zip(sizes, pads, strict=True)
    inside: Any = (slice(None), *(slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in rows))
    return np.asarray(spread[inside])


def _turned(values: npt.NDArray[Any], groups: int) -> npt.NDArray[Any]:
    """``[channels, n_out / groups, *kernel]`` as ``[n_out, channels / groups, *kernel]``, turned round."""
    kernel = values.shape[2:]
    split = values.reshape(groups, -1, values.shape[1], *kernel).swapaxes(1, 2)
    axes = tuple(range(2, 2 + len(kernel)))
    return np.asarray(np.flip(split.reshape(-1, split.shape[2], *kernel), axes))


def geometry(
    op: Op, shape: tuple[int, ...], kernel: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...], tuple[int, ...]]:
    """Strides, pads and dilations of an operator with a window over samples of this shape."""
    axes = len(kernel)
    strides = tuple(int(n) for n in op.attributes.get("strides", (1,) * axes))
    dilations = tuple(int(n) for n in op.attributes.get("dilations", (1,) * axes))
    flat = tuple(int(n) for n in op.attributes.get("pads", (0,) * 2 * axes))
    stated = tuple(int(n) for n in op.attributes.get("kernel_shape", kernel))
    lengths = {len(strides), len(dilations), len(stated), len(flat) // 2}
    if lengths != {axes} or min((*strides, *dilations, *kernel)) < 1 or min(flat) < 0 or stated != kernel:
        raise ExportError(f"{op} has kernel {stated}, strides {strides}, dilations {dilations}, pads {flat}")
    pads = tuple(zip(flat[:axes], flat[axes:], strict=True))
    auto = str(op.attributes.get("auto_pad", "NOTSET"))
    if auto == "VALID":
        pads = ((0, 0),) * axes
    elif auto.startswith("SAME"):
        pads = tuple(
            _same(n, (k - 1) * d + 1, s, late=auto == "SAME_UPPER")
            for n, k, s, d in zip(shape[1:], kernel, strides, dilations, strict=True)
        )
    check_size(
        f"the padding of {op}", (shape[0], *(n + sum(p) for n, p in zip(shape[1:], pads, strict=True)))
    )
    return strides, pads, dilations


def _same(length: int, reach: int, stride: int, *, late: bool) -> tuple[int, int]:
    """Pads with which a window has as many places as strides fit into the sample."""
    total = max((-(-length // stride) - 1) * stride + reach - length, 0)
    half = total // 2
    return (half, total - half) if late else (total - half, half)


# ---------------------------------------------------------------------- sums and products of two


@reads("Add")
def _add(reader: Reader, op: Op) -> None:
    if not any(reader.is_constant(op, place) for place in (0, 1)):
        _merge(reader, op, Add)
        return
    place = 0 if reader.is_constant(op, 1) else 1
    source, addend = reader.source(op, place), reader.constant(op, 1 - place, "bias")
    values = against(op, "addends", addend.values, source.shape)
    plain = isinstance(source, Weighted) and source.bias is None
    if plain and reader.alone(source) and _one_an_output(source, values):
        assert isinstance(source, Dense | Conv)  # noqa: S101 - told to the type checker
        reader.grow(op, source, _with_bias(op, source, addend))
        return
    grid = formats_like(addend.stands_on(f"the addend of {op}"), addend.values.shape, values.shape)
    free = isinstance(source, ScaleShift) and source.shift is None and reader.alone(source)
    if free and np.broadcast_shapes(values.shape, source.shape) == source.shape:
        reader.grow(op, source, replace(source, shift=values, shift_format=grid))  # type: ignore[call-arg]
        return
    _scale_shift(reader, op, source, np.ones(1), FixedPoint(1, 1, signed=False), values, grid)


def _one_an_output(source: Node, values: Any) -> bool:
    """Whether an addend is a bias: the same at all positions, one number an output."""
    if values.size == 1:
        return True
    wide = values.reshape((1,) * (len(source.shape) - values.ndim) + values.shape)
    axis = 0 if isinstance(source, Conv) else len(source.shape) - 1
    return all(length == 1 for i, length in enumerate(wide.shape) if i != axis)


@reads("Sub")
def _sub(reader: Reader, op: Op) -> None:
    if not any(reader.is_constant(op, place) for place in (0, 1)):
        _merge(reader, op, Sub)
        return
    place = 0 if reader.is_constant(op, 1) else 1
    source, other = reader.source(op, place), reader.constant(op, 1 - place, "operand")
    sign = 1.0 if place == 0 else -1.0
    values = against(op, "operands", other.values * -sign, source.shape)
    shift = Constant(values).stands_on(f"the operand of {op}")
    _scale_shift(reader, op, source, np.array([sign]), FixedPoint(2, 2), values, shift)


@reads("Neg")
def _neg(reader: Reader, op: Op) -> None:
    _scale_shift(reader, op, reader.source(op), np.array([-1.0]), FixedPoint(2, 2))


@reads("Mul")
def _mul(reader: Reader, op: Op) -> None:
    if not any(reader.is_constant(op, place) for place in (0, 1)):
        _merge(reader, op, Mul)
        return
    place = 0 if reader.is_constant(op, 1) else 1
    source, factor = reader.source(op, place), reader.constant(op, 1 - place, "factor")
    values = against(op, "factors", factor.values, source.shape)
    grid = formats_like(factor.stands_on(f"the factor of {op}"), factor.values.shape, values.shape)
    _scale_shift(reader, op, source, values, grid)


@reads("Div")
def _div(reader: Reader, op: Op) -> None:
    source, divisor = reader.source(op), reader.constant(op, 1, "divisor")
    values = against(op, "divisors", divisor.values, source.shape)
    mantissa, _ = np.frexp(np.abs(values))
    if np.any(mantissa != 0.5):
        raise ExportError(
            f"{op} divides by {values.flat[int(np.argmax(mantissa != 0.5))]:g}, which is no power of two",
            hint="multiply with a quantized constant",
        )
    factor = 1.0 / values
    _scale_shift(reader, op, source, factor, Constant(factor).stands_on(f"the divisor of {op}"))


def _scale_shift(
    reader: Reader,
    op: Op,
    source: Node,
    scale: Any,
    scale_format: FixedPoint,
    shift: Any = None,
    shift_format: FixedPoint | None = None,
) -> None:
    shapes = [np.shape(v) for v in (scale, shift) if v is not None]
    made = made_of(
        ScaleShift,
        op,
        source,
        shape=np.broadcast_shapes(source.shape, *shapes),
        scale=scale,
        scale_format=scale_format,
        shift=shift,
        shift_format=shift_format,
    )
    reader.add(made, op.outputs[0])


@reads("Sum")
def _sum(reader: Reader, op: Op) -> None:
    if len(op.inputs) == 1:
        reader.add(made_of(Identity, op, reader.source(op)), op.outputs[0])
    else:
        _merge(reader, op, Add)


def _merge(reader: Reader, op: Op, cls: type[Node]) -> None:
    sources = [reader.source(op, place) for place in range(len(op.inputs))]
    shapes = [source.shape for source in sources]
    try:
        shape = np.broadcast_shapes(*shapes)
    except ValueError:
        shape = ()
    if len({len(s) for s in shapes}) != 1 or not shape:
        raise ExportError(f"{op} reads samples of shapes {' and '.join(map(str, shapes))}")
    reader.add(made_of(cls, op, *sources, shape=shape), op.outputs[0])


# ---------------------------------------------------------------------- batch norm


@reads("BatchNormalization")
def _batch_norm(reader: Reader, op: Op) -> None:
    source = reader.source(op)
    if op.attributes.get("training_mode", 0):
        raise ExportError(f"{op} is in training mode", hint="export the model in evaluation mode")
    names = ("scale", "bias", "mean", "variance")
    statistics = [reader.constant(op, i + 1, name).values for i, name in enumerate(names)]
    epsilon = float(op.attributes.get("epsilon", 1e-5))
    if isinstance(source, Dense | Conv) and reader.alone(source):
        reader.grow(op, source, fold_batch_norm(str(op), source, *statistics, epsilon=epsilon))
        return
    channels = source.shape[0] if source.shape else 0
    scale, shift = scale_and_shift(str(op), *statistics, epsilon=epsilon, channels=channels)
    along = (-1, *(1,) * (len(source.shape) - 1))
    parts = [(values.reshape(along), Constant(values).stands_on(str(op))) for values in (scale, shift)]
    _scale_shift(reader, op, source, *parts[0], *parts[1])
