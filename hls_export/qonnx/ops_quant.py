"""Operators that round, look up, or bend: ``Quant``, ours, ``Relu`` and its kin."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from hls_export.hardware import Identity, LeakyRelu, Quantize, Relu, ScaleShift, Table
from hls_export.qonnx import operators, own
from hls_export.qonnx.load import Op
from hls_export.qonnx.ops_functions import Function, add_table
from hls_export.qonnx.quant import DOMAINS, constant_format, exponents, fixed_point, read_words
from hls_export.qonnx.reader import Reader, made_of, reads
from hls_export.qonnx.shapes import against, formats_like
from torchq.errors import ExportError
from torchq.formats import FixedPoint, Overflow, Rounding

QUANTS = ("Quant", "IntQuant")


@reads(*QUANTS, domains=DOMAINS)
def _quant(reader: Reader, op: Op) -> None:
    source = reader.source(op)
    scale = reader.constant(op, 1, "scale").values
    zeropt = reader.constant(op, 2, "zero-point").values
    bits = reader.constant(op, 3, "bit width").values
    if np.any(zeropt != 0):
        raise ExportError(
            f"{op} has zero-point {float(np.asarray(zeropt).flat[0]):g}, and fixed-point numbers have none",
            hint="quantize symmetrically",
        )
    if op.attributes.get("qcdq_axis", 0) > 0:  # whose sizes behind the axis are known only now
        scale = scale.reshape(scale.shape[1:] + (1,) * (len(source.shape) + 1 - scale.ndim))
    word = read_words(str(op), bits, dict(op.attributes))
    if isinstance(source, Function):
        one = _one_scale(op, source, scale)
        constant_format(str(op), word, one)  # refuses scales that are no power of two
        rounded = partial(
            operators.quant,
            scale=one,
            zeropt=np.zeros(()),
            bits=np.asarray(float(word.bits)),
            signed=word.signed,
            narrow=word.narrow,
            rounding=word.rounding,
        )
        add_table(reader, op, source, rounded)
        return
    grid = fixed_point(str(op), word, _without_batch(op, scale, source.shape))
    reader.add(made_of(Quantize, op, source, format=grid), op.outputs[0])


@reads("BipolarQuant", domains=DOMAINS)
def _bipolar(reader: Reader, op: Op) -> None:
    """The sign: -1 or 0 in one bit, rounded down; then twice that, and one more."""
    source = reader.source(op)
    scale = reader.constant(op, 1, "scale").values
    if isinstance(source, Function):
        one = _one_scale(op, source, scale)
        exponents(str(op), one)
        add_table(reader, op, source, partial(operators.bipolar, scale=one))
        return
    power = exponents(str(op), _without_batch(op, scale, source.shape))
    bit = FixedPoint(1, 1, True, Rounding.TRN, Overflow.SAT)
    sign = reader.add(made_of(Quantize, op, source, format=bit), f"{op.outputs[0]}.sign")
    values = np.exp2(np.atleast_1d(power).astype(np.float64))
    made = made_of(
        ScaleShift,
        op,
        sign,
        scale=2 * values,
        scale_format=_exactly(power + 1),
        shift=values,
        shift_format=_exactly(power),
    )
    reader.add(replace(made, name=f"{op.name}.scaled"), op.outputs[0])


def _exactly(power: npt.NDArray[np.int64]) -> FixedPoint:
    """The format of powers of two: one bit each."""
    if power.ndim == 0:
        return FixedPoint(1, int(power) + 1, signed=False)
    return FixedPoint(np.ones_like(power), power + 1, np.zeros(power.shape, dtype=bool))


def _one_scale(op: Op, source: Function, scale: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The scale of a table's values."""
    if scale.size != 1:
        raise ExportError(
            f"{op} has a scale a channel behind {source.operator}, which becomes one table",
            hint="use one scale for the tensor",
        )
    return np.asarray(scale, dtype=np.float64).reshape(())


def _without_batch(op: Op, scale: npt.NDArray[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """A scale for one sample: a scalar where all are equal, else without the batch axis."""
    if scale.size == 1:
        return np.asarray(scale).reshape(())
    return against(op, "scales", scale, shape)


@reads(*own.NAMES, domains=(own.DOMAIN,))
def _fixed(reader: Reader, op: Op) -> None:
    source = reader.source(op)
    names = ("step", "span", "low")
    parts = [
        _without_batch(op, reader.constant(op, i + 1, name).values, source.shape)
        for i, name in enumerate(names)
    ]
    grid = own.read_fixed(op.kind, *parts)
    if grid is None:
        raise ExportError(f"{op} has a step, span and low that are no fixed-point format")
    if isinstance(source, Function):
        if not grid.is_scalar:
            raise ExportError(f"{op} has formats that differ behind {source.operator}, one table")
        add_table(reader, op, source, grid.quantize)
        return
    reader.add(made_of(Quantize, op, source, format=grid), op.outputs[0])


@reads(own.TABLE, domains=(own.DOMAIN,))
def _table(reader: Reader, op: Op) -> None:
    source = reader.source(op)
    values = np.asarray(reader.constant(op, 1, "values").values, dtype=np.float64)
    step = np.asarray(reader.constant(op, 2, "step").values, dtype=np.float64)
    width = values.size.bit_length() - 1
    mantissa, exponent = np.frexp(step)
    if values.shape != (1 << width,) or step.size != 1 or float(mantissa.flat[0]) != 0.5:
        raise ExportError(f"{op} has {values.size} values in steps of {step.ravel().tolist()}")
    if not np.isfinite(values).all():
        raise ExportError(f"{op} has values that are not finite")
    integer = width + int(exponent.flat[0]) - 1
    address = FixedPoint(width, integer, bool(op.attributes.get("signed", 1)))
    reader.add(made_of(Table, op, source, address=address, values=values), op.outputs[0])


@reads("Relu")
def _relu(reader: Reader, op: Op) -> None:
    reader.add(made_of(Relu, op, reader.source(op)), op.outputs[0])


@reads("LeakyRelu")
def _leaky_relu(reader: Reader, op: Op) -> None:
    source = reader.source(op)
    slope = np.array([float(op.attributes.get("alpha", 0.01))])
    _add_leaky(reader, op, slope, _grid_of(op, "slope", slope), source)


@reads("PRelu")
def _prelu(reader: Reader, op: Op) -> None:
    source = reader.source(op)
    constant = reader.constant(op, 1, "slope")
    slope = against(op, "slopes", constant.values, source.shape)
    grid = constant.stands_on(f"the slope of {op}")
    _add_leaky(reader, op, slope, formats_like(grid, constant.values.shape, slope.shape), source)


def _add_leaky(reader: Reader, op: Op, slope: npt.NDArray[Any], grid: FixedPoint, source: Any) -> None:
    made = made_of(LeakyRelu, op, source, slope=slope, slope_format=grid)
    reader.add(made, op.outputs[0])


def _grid_of(op: Op, what: str, values: npt.NDArray[Any]) -> FixedPoint:
    from hls_export.qonnx.constants import Constant

    return Constant(values).stands_on(f"the {what} of {op}")


@reads("Identity", "Dropout")
def _identity(reader: Reader, op: Op) -> None:
    reader.add(made_of(Identity, op, reader.source(op)), op.outputs[0])
