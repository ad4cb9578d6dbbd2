"""Operators with windows and reductions: pools, sums and largest values along axes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hls_export.hardware import (
    MaxPool,
    Node,
    Reduce,
    ReduceMax,
    ReduceSum,
    ScaleShift,
    SumPool,
    placed,
)
from hls_export.qonnx.constants import Constant
from hls_export.qonnx.load import Op
from hls_export.qonnx.ops_products import geometry
from hls_export.qonnx.reader import Reader, made_of, reads, sample_axis
from hls_export.windows import windows
from torchq.errors import ExportError


@reads("MaxPool")
def _max_pool(reader: Reader, op: Op) -> None:
    if len(op.outputs) > 1 and op.outputs[1]:
        raise ExportError(f"{op} returns indices, which are no fixed-point numbers")
    source = reader.source(op)
    fields, shape = _window(op, source.shape)
    places = np.zeros(shape[1:], dtype=np.int64) if 0 in shape else np.ones(source.shape[1:], dtype=np.int64)
    seen = windows(places, *(fields[k] for k in ("kernel", "strides", "pads", "dilations")))
    if 0 in shape or not seen.reshape(*shape[1:], -1).any(axis=-1).all():
        raise ExportError(f"{op} has windows with no value of samples of shape {source.shape} in them")
    reader.add(made_of(MaxPool, op, source, shape=shape, **fields), op.outputs[0])


@reads("AveragePool")
def _average_pool(reader: Reader, op: Op) -> None:
    source = reader.source(op)
    fields, shape = _window(op, source.shape)
    if 0 in shape:
        raise ExportError(f"{op} has no window in samples of shape {source.shape}")
    stated = geometry(op, source.shape, fields["kernel"])[1]
    counted = np.ones(source.shape[1:])
    if op.attributes.get("count_include_pad", 0):
        counted = np.pad(counted, stated, constant_values=1.0)
        more = [(a - c, b - d) for (a, b), (c, d) in zip(fields["pads"], stated, strict=True)]
    else:
        more = list(fields["pads"])
    seen = windows(counted, fields["kernel"], fields["strides"], more, fields["dilations"])
    areas = seen.reshape(*shape[1:], -1).sum(axis=-1)
    if np.any(areas < 1):
        raise ExportError(f"{op} has windows with no value of samples of shape {source.shape} in them")
    if np.all(areas == areas.flat[0]):
        _averaged(reader, op, source, int(areas.flat[0]), SumPool, shape, fields)
        return
    if np.any(np.frexp(areas)[0] != 0.5):
        raise ExportError(
            f"{op} has windows of different areas in samples of shape {source.shape}",
            hint="count the padding, or leave it out",
        )
    sums = reader.add(made_of(SumPool, op, source, shape=shape, **fields), f"{op.outputs[0]}.sum")
    factor = (1.0 / areas)[None]
    grid = Constant(factor).stands_on(str(op))
    reader.add(made_of(ScaleShift, op, sums, shape=shape, scale=factor, scale_format=grid), op.outputs[0])


@reads("GlobalAveragePool")
def _global_average(reader: Reader, op: Op) -> None:
    source = reader.source(op)
    axes = tuple(range(1, len(source.shape)))
    shape = (source.shape[0], *(1,) * len(axes))
    _averaged(
        reader, op, source, math.prod(source.shape[1:]), ReduceSum, shape, {"axes": axes, "keepdims": True}
    )


@reads("ReduceMean")
def _reduce_mean(reader: Reader, op: Op) -> None:
    source = reader.source(op)
    fields, shape = _reduced(reader, op, source.shape)
    area = math.prod(source.shape[axis] for axis in fields["axes"])
    _averaged(reader, op, source, area, ReduceSum, shape, fields)


def _averaged(
    reader: Reader, op: Op, source: Node, area: int, cls: type[Node], shape: tuple[int, ...], fields: Any
) -> None:
    """A sum and its constant, which must stand on a grid."""
    if area & (area - 1):
        raise ExportError(
            f"{op} divides by {area}, which is no power of two",
            hint="sum, and multiply with a quantized constant, or let hls-export rescale do that",
        )
    sums = reader.add(made_of(cls, op, source, shape=shape, **fields), f"{op.outputs[0]}.sum")
    factor = np.array([1.0 / area])
    grid = Constant(factor).stands_on(str(op))
    made = made_of(ScaleShift, op, sums, shape=shape, scale=factor, scale_format=grid)
    reader.add(made, op.outputs[0])


@reads("GlobalMaxPool")
def _global_max(reader: Reader, op: Op) -> None:
    source = reader.source(op)
    axes = tuple(range(1, len(source.shape)))
    shape = (source.shape[0], *(1,) * len(axes))
    reader.add(made_of(ReduceMax, op, source, shape=shape, axes=axes, keepdims=True), op.outputs[0])


@reads("ReduceSum")
def _reduce_sum(reader: Reader, op: Op) -> None:
    _add_reduction(reader, op, ReduceSum)


@reads("ReduceMax")
def _reduce_max(reader: Reader, op: Op) -> None:
    _add_reduction(reader, op, ReduceMax)


def _add_reduction(reader: Reader, op: Op, cls: type[Reduce]) -> None:
    source = reader.source(op)
    fields, shape = _reduced(reader, op, source.shape)
    reader.add(made_of(cls, op, source, shape=shape, **fields), op.outputs[0])


def _reduced(reader: Reader, op: Op, shape: tuple[int, ...]) -> tuple[dict[str, Any], tuple[int, ...]]:
    """Axes of the sample, and the shape without them; from an attribute or, since opset 13, an input."""
    given = op.attributes.get("axes")
    if reader.has(op, 1):
        given = reader.constant(op, 1, "axes").values.ravel().tolist()
    if not given:
        raise ExportError(f"{op} works along all axes, the batch's too", hint="name the axes of the samples")
    axes = tuple(sorted(sample_axis(op, int(axis), shape) for axis in given))
    keeps = bool(op.attributes.get("keepdims", 1))
    made = tuple(1 if i in axes else n for i, n in enumerate(shape) if keeps or i not in axes)
    return {"axes": axes, "keepdims": keeps}, made


def _window(op: Op, shape: tuple[int, ...]) -> tuple[dict[str, Any], tuple[int, ...]]:
    """Kernel, strides, pads and dilations of a pool, and the shape of what it makes."""
    kernel = tuple(int(n) for n in op.attributes.get("kernel_shape", ()))
    if not kernel or len(kernel) != len(shape) - 1:
        raise ExportError(f"{op} has a window {kernel} for samples of shape {shape}")
    strides, pads, dilations = geometry(op, shape, kernel)
    if op.attributes.get("ceil_mode", 0):
        pads = tuple(
            _up(n, k, s, pad, d)
            for n, k, s, pad, d in zip(shape[1:], kernel, strides, pads, dilations, strict=True)
        )
    rows = zip(shape[1:], kernel, strides, pads, dilations, strict=True)
    fields = {"kernel": kernel, "strides": strides, "pads": pads, "dilations": dilations}
    return fields, (shape[0], *(placed(*row) for row in rows))


def _up(length: int, kernel: int, stride: int, pads: tuple[int, int], dilation: int) -> tuple[int, int]:
    """Pads with which a window that begins in the sample, and ends beside it, has a place as well."""
    free = length + sum(pads) - (kernel - 1) * dilation - 1
    count = -(-free // stride) + 1
    if (count - 1) * stride >= length + pads[0]:
        count -= 1
    more = (count - 1) * stride + (kernel - 1) * dilation + 1 - length - sum(pads)
    return pads[0], pads[1] + max(more, 0)
