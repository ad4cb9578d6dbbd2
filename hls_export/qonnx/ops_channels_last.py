"""Operators that QONNX has moved to channels last: the same ones, between two transposes."""

from __future__ import annotations

from dataclasses import replace

from hls_export.hardware import Transpose
from hls_export.qonnx.load import Op
from hls_export.qonnx.quant import CHANNELS_LAST
from hls_export.qonnx.reader import HANDLERS, Reader, made_of, reads


@reads("Conv", "MaxPool", "BatchNormalization", domains=(CHANNELS_LAST,))
def _channels_last(reader: Reader, op: Op) -> None:
    source = reader.source(op)
    rank = len(source.shape)
    first, last = (rank - 1, *range(rank - 1)), (*range(1, rank), 0)
    shape = tuple(source.shape[axis] for axis in first)
    turned, result = f"{op.outputs[0]}.channels_first", f"{op.outputs[0]}.result"
    made = made_of(Transpose, op, source, shape=shape, axes=first)
    reader.add(replace(made, name=f"{op.name}.channels_first"), turned)
    inner = replace(op, domain="", inputs=(turned, *op.inputs[1:]), outputs=(result, *op.outputs[1:]))
    HANDLERS["", op.kind](reader, inner)
    found = reader.nodes[reader.made[result]]
    shape = tuple(found.shape[axis] for axis in last)
    back = made_of(Transpose, op, found, shape=shape, axes=last)
    reader.add(replace(back, name=f"{op.name}.channels_last"), op.outputs[0])
