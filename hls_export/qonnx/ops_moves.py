"""Operators that make no new values: reshape, transpose, pick, pad, join."""

from __future__ import annotations

import math

import numpy as np

from hls_export.hardware import Concat, Embedding, Identity, Quantize, Reshape, Transpose
from hls_export.qonnx.constants import Constant, type_range
from hls_export.qonnx.load import Op
from hls_export.qonnx.ops_layout import select
from hls_export.qonnx.reader import Reader, made_of, reads, sample_axis
from torchq.errors import ExportError
from torchq.formats import FixedPoint, Rounding


@reads("Flatten")
def _flatten(reader: Reader, op: Op) -> None:
    source = reader.source(op)
    if op.attributes.get("axis", 1) != 1:
        raise ExportError(f"{op} keeps axes beside the batch; flatten from axis 1")
    reader.add(made_of(Reshape, op, source, shape=(math.prod(source.shape),)), op.outputs[0])


@reads("Reshape")
def _reshape(reader: Reader, op: Op) -> None:
    source = reader.source(op)
    wanted = [int(n) for n in reader.constant(op, 1, "shape").values.ravel()]
    rest = [source.shape[i] if n == 0 and i < len(source.shape) else n for i, n in enumerate(wanted[1:])]
    known = math.prod(n for n in rest if n > 0)
    size = math.prod(source.shape)
    if rest.count(-1) == 1 and known and size % known == 0:
        rest = [size // known if n == -1 else n for n in rest]
    if not wanted or wanted[0] not in (-1, 0, 1, reader.file.batch) or math.prod(rest) != size or -1 in rest:
        raise ExportError(f"{op} reshapes {source.shape} to {wanted}, which mixes samples or does not fit")
    reader.add(made_of(Reshape, op, source, shape=tuple(rest)), op.outputs[0])


@reads("Transpose")
def _transpose(reader: Reader, op: Op) -> None:
    source = reader.source(op)
    order = [int(axis) for axis in op.attributes.get("perm", range(len(source.shape), -1, -1))]
    if sorted(order) != list(range(len(source.shape) + 1)):
        raise ExportError(f"{op} orders axes {order} of samples of shape {source.shape}")
    if order[0] != 0:
        raise ExportError(f"{op} moves the batch axis, and every sample is computed by itself")
    axes = tuple(axis - 1 for axis in order[1:])
    shape = tuple(source.shape[axis] for axis in axes)
    reader.add(made_of(Transpose, op, source, shape=shape, axes=axes), op.outputs[0])


@reads("Concat")
def _concat(reader: Reader, op: Op) -> None:
    sources = [reader.source(op, place) for place in range(len(op.inputs))]
    shapes = [source.shape for source in sources]
    axis = sample_axis(op, int(op.attributes.get("axis", 1)), shapes[0])
    if len({(*shape[:axis], *shape[axis + 1 :]) for shape in shapes}) != 1:
        raise ExportError(f"{op} joins samples of shapes {' and '.join(map(str, shapes))}")
    shape = (*shapes[0][:axis], sum(s[axis] for s in shapes), *shapes[0][axis + 1 :])
    reader.add(made_of(Concat, op, *sources, shape=shape, axis=axis), op.outputs[0])


@reads("Cast")
def _cast(reader: Reader, op: Op) -> None:
    """Another type for the same number, or its whole part."""
    from onnx import TensorProto

    source, to = reader.source(op), int(op.attributes.get("to", TensorProto.FLOAT))
    if to in (TensorProto.FLOAT, TensorProto.DOUBLE):
        reader.add(made_of(Identity, op, source), op.outputs[0])
        return
    kind = TensorProto.DataType.Name(to).lower() if to in TensorProto.DataType.values() else f"type {to}"
    if not kind.startswith(("int", "uint")) or source.tensor == reader.file.input:
        raise ExportError(f"{op} makes {kind}, which rounds outside of any Quant", hint="leave it out")
    known = reader.bounds(source)
    grid = known.format()
    low, high = type_range(op, kind)
    if grid.lo < low or grid.hi > high:
        raise ExportError(f"{op} makes {kind} of numbers from {grid.lo:g} to {grid.hi:g}")
    if known.fraction <= 0:
        reader.add(made_of(Identity, op, source), op.outputs[0])
        return
    whole = FixedPoint(int(grid.integer) + 1, int(grid.integer) + 1, True, Rounding.TRN_ZERO)
    reader.add(made_of(Quantize, op, source, format=whole), op.outputs[0])


@reads("Shape")
def _shape(reader: Reader, op: Op) -> None:
    """The shape of a batch is a constant; a free batch size is 0, as reshapes say it."""
    ends = slice(int(op.attributes.get("start", 0)), op.attributes.get("end"))
    sizes = (reader.file.batch, *reader.source(op).shape)
    reader.constants[op.outputs[0]] = Constant(np.array(sizes[ends], dtype=np.int64))


@reads("Gather")
def _gather(reader: Reader, op: Op) -> None:
    if reader.is_constant(op, 0):
        _embedding(reader, op)
        return
    source = reader.source(op)
    places = reader.constant(op, 1, "indices").values
    axis = sample_axis(op, int(op.attributes.get("axis", 0)), source.shape)
    length = source.shape[axis]
    if np.any(places < -length) or np.any(places >= length) or np.any(places != np.rint(places)):
        raise ExportError(f"{op} picks places beside axis {axis + 1} of samples of shape {source.shape}")
    picked = places.astype(np.int64)
    select(reader, op, lambda numbers: np.take(numbers, picked, axis=axis))


def _embedding(reader: Reader, op: Op) -> None:
    source, rows = reader.source(op, 1), reader.constant(op, 0, "rows")
    if int(op.attributes.get("axis", 0)) != 0 or rows.values.ndim != 2:
        raise ExportError(f"{op} picks from a constant of shape {rows.values.shape}, which has no rows")
    made = made_of(
        Embedding,
        op,
        source,
        shape=(*source.shape, rows.values.shape[1]),
        weight=rows.values,
        weight_format=rows.stands_on(f"the rows of {op}"),
    )
    reader.add(made, op.outputs[0])
