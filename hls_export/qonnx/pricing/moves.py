"""Operators that move values or repeat them: no work; formats go where the values go."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hls_export.qonnx.load import Op
from hls_export.qonnx.pricing.flows import Flow, is_uniform
from hls_export.qonnx.pricing.products import with_parameters
from hls_export.qonnx.pricing.walk import MOVES, Walk
from torchq.errors import ExportError
from torchq.formats import Format
from torchq.graph.moves import moved_format
from torchq.nn import LAYERS
from torchq.nn.types import fixed

_KEEPING = ("Cast", "Identity", "Dropout", "Flatten", "Reshape", "Squeeze", "Unsqueeze")


def _move(walk: Walk, op: Op) -> None:
    source = walk.flow(op)
    _check(walk, op, source)
    for number, tensor in enumerate(op.outputs):
        if tensor not in walk.sizes:
            continue
        format = _format(walk, op, source, number)
        walk.put(tensor, source.spec.name, format, quantized=source.quantized)


def _check(walk: Walk, op: Op, source: Flow) -> None:
    if op.kind == "Pad" and source.spec.format is not None:
        value = walk.constant(op, 2, "padding") if len(op.inputs) > 2 else None
        number = float(op.attributes.get("value", 0)) if value is None else float(value.array.flat[0])
        grid = fixed(source.spec.format)
        if op.attributes.get("mode", "constant") == "constant" and grid is not None and number:
            raise ExportError(f"{op} pads with {number:g}, zeros are needed")
    mode = op.attributes.get("mode", "nearest")
    if op.kind in ("Resize", "Upsample") and mode != "nearest":
        raise ExportError(f"{op} interpolates ({mode}), which makes new values", hint="use mode nearest")


def _format(walk: Walk, op: Op, source: Flow, number: int) -> Format | None:
    format, shape = source.spec.format, source.spec.shape
    if is_uniform(format):
        return format
    if op.kind in _KEEPING:
        return moved_format(
            format, shape, np.arange(math.prod(shape)).reshape(walk.sizes[op.outputs[0]].shape)
        )
    indices = _indices(walk, op, source, number)
    return fixed(format) if indices is None else moved_format(format, shape, indices)


def _indices(walk: Walk, op: Op, source: Flow, number: int) -> npt.NDArray[np.int64] | None:
    """Where each value of a sample comes from; None where that is not followed: the widest format holds."""
    numbers = np.expand_dims(np.arange(math.prod(source.spec.shape)).reshape(source.spec.shape), source.axis)
    if op.kind == "Transpose":
        moved = np.transpose(numbers, op.attributes.get("perm"))
    elif op.kind == "Gather" and number == 0:
        places = walk.values(op, 1, "indices").astype(np.int64)
        moved = np.take(numbers, places, axis=int(op.attributes.get("axis", 0)))
    else:
        return None
    axis = walk.sizes[op.outputs[number]].axis
    return np.asarray(np.squeeze(moved, axis)) if moved.shape[axis] == 1 else None


def _gather(walk: Walk, op: Op) -> None:
    """Some values of an activation; or, by an activation, rows of a constant: an embedding."""
    if not walk.is_flow(op, 1):
        _move(walk, op)
        return
    table = walk.parameter(op, 0, "table")
    if table is None or table.array.ndim != 2 or int(op.attributes.get("axis", 0)):
        raise ExportError(f"{op} looks up what is no row of a matrix")
    made: Any = LAYERS.get("QEmbedding")
    layer = with_parameters(made(*table.array.shape, device="meta"), table, None)
    behind = walk.quantizer_behind(op.name, op.outputs[0])
    walk.add(op, layer, [walk.flow(op, 1)], op.outputs[0])
    if behind is None:  # rows stand on the grid of the table
        spec = walk.flows[op.outputs[0]].spec
        walk.put(op.outputs[0], spec.name, spec.format, quantized=table.format is not None)


HANDLED: Mapping[str, Callable[[Walk, Op], None]] = {
    **dict.fromkeys(MOVES, _move),
    "Gather": _gather,
}
