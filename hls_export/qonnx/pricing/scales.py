"""One multiplication or addition with a constant for each value: batch norms, scales, shifts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from hls_export.qonnx.load import Op
from hls_export.qonnx.pricing.constants import Constant
from hls_export.qonnx.pricing.flows import Flow
from hls_export.qonnx.pricing.products import bias_behind, with_parameters
from hls_export.qonnx.pricing.walk import Walk
from torchq.errors import ExportError
from torchq.formats import FixedPoint, Format, summed
from torchq.nn import LAYERS
from torchq.nn.base import QLayer, parameter_spec
from torchq.nn.types import fixed
from torchq.workload import Operation, Workload

Array = npt.NDArray[Any]


def _batch_norm(walk: Walk, op: Op) -> None:
    """``x * inv + shift``, with the numbers of evaluation."""
    if op.attributes.get("training_mode", 0):
        raise ExportError(f"{op} is in training mode", hint="export the model in evaluation mode")
    names = ("scale", "shift", "mean", "variance")
    gamma, beta, mean, variance = (walk.values(op, i + 1, name) for i, name in enumerate(names))
    with np.errstate(all="ignore"):
        inverse = gamma / np.sqrt(variance + float(op.attributes.get("epsilon", 1e-5)))
        shift = beta - mean * inverse
    if not (np.isfinite(inverse).all() and np.isfinite(shift).all()):
        raise ExportError(f"{op} has statistics that give no finite numbers")
    source = walk.on_grid(op)
    weight = walk.formatted(op, Constant(inverse, where=str(op)), "scale")
    bias = walk.formatted(op, Constant(shift, where=str(op)), "shift")
    layer = with_parameters(_scale_shift(inverse.size), weight, bias)
    walk.add(op, layer, [source], op.outputs[0])


def scaled_by(walk: Walk, op: Op, source: Flow, factor: Constant) -> None:
    """A product with a constant, and the addition of another one behind it.

    A plain power of two for all values only moves the point: a wire.
    """
    values = np.asarray(factor.values, dtype=np.float64)
    power = _power_of_two(values) if factor.format is None else None
    if power is not None:
        format = _moved_point(source.spec.format, power)
        walk.put(op.outputs[0], source.spec.name, format, quantized=source.quantized)
        return
    if source.spec.format is None:
        source = walk.on_grid(op, 0 if walk.is_flow(op, 0) else 1)
    weight = walk.formatted(op, factor, "factor")
    count = values.size
    weight = replace(weight, values=values.reshape(-1), format=_per_channel(weight.format))
    channels = count if count > 1 else source.spec.shape[0] if source.spec.shape else 1
    bias, tensor = bias_behind(walk, op.name, op.outputs[0], channels, one_for_all=count == 1)
    walk.add(op, with_parameters(_scale_shift(count), weight, bias), [source], tensor)


def shifted_by(walk: Walk, op: Op, source: Flow, addend: Constant) -> None:
    """A sum with a constant that belongs to no product."""
    name = walk.name(op)
    if source.spec.format is None:
        source = walk.on_grid(op, 0 if walk.is_flow(op, 0) else 1)
    found = walk.formatted(op, replace(addend, values=np.atleast_1d(addend.array)), "addend")
    a, b = fixed(source.spec.format), fixed(found.format)
    total: Format | None = None if a is None or b is None else summed(a, b)
    exact = total if isinstance(total, FixedPoint) else None
    behind = walk.quantizer_behind(name, op.outputs[0])
    tensor = op.outputs[0]
    if behind is not None:
        walk.settle(behind)
        tensor, total = behind.tensor, behind.grid.format
    made = walk.put(tensor, name, total, quantized=behind is not None)
    layer = with_parameters(_scale_shift(1), found, None)
    bias = parameter_spec("bias", cast("Any", layer.weight), found.format)
    sums = Operation("add", made.count, (source.spec.format, found.format), exact)
    walk.works.append(
        Workload(name, "add", (source.spec,), made, accumulator=exact, bias=bias, operations=(sums,))
    )


def _scale_shift(channels: int) -> QLayer:
    made: Any = LAYERS.get("QScaleShift")
    return cast("QLayer", made(channels, device="meta"))


def _power_of_two(values: Array) -> int | None:
    """The exponent, if all values are one positive power of two."""
    if not values.size or np.unique(values).size != 1:
        return None
    mantissa, exponent = math.frexp(float(values.flat[0]))
    return exponent - 1 if mantissa == 0.5 else None


def _moved_point(format: Format | None, power: int) -> Format | None:
    if isinstance(format, FixedPoint):
        return replace(format, integer=np.asarray(format.integer) + power)
    grid = fixed(format)
    return format if grid is None else replace(grid, integer=grid.integer + power)


def _per_channel(format: Format | None) -> Format | None:
    """A format of numbers ``[1, channels, 1, 1]`` for the same numbers ``[channels]``."""
    if not isinstance(format, FixedPoint) or format.is_scalar:
        return format
    fields = (format.width, format.integer, format.signed)
    width, integer, signed = (np.broadcast_to(f, format.shape).reshape(-1) for f in fields)
    return FixedPoint(width, integer, signed, format.rounding, format.overflow)


SCALES: Mapping[str, Callable[[Walk, Op], None]] = {"BatchNormalization": _batch_norm}
