"""Quantizers, relus, tables, softmax and pools."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from hls_export.qonnx.load import Op
from hls_export.qonnx.pricing.constants import Constant, clip_ends
from hls_export.qonnx.pricing.own import TABLE
from hls_export.qonnx.pricing.stated import Stated
from hls_export.qonnx.pricing.steps import softmax
from hls_export.qonnx.pricing.walk import Walk
from torchq.errors import ExportError
from torchq.nn import LAYERS
from torchq.nn.passive import without_sign
from torchq.nn.pool_max import comparisons, pooled
from torchq.nn.table import MOST_BITS
from torchq.nn.types import fixed, summed_products
from torchq.workload import Operation, TableSpec, Workload

TABLES = (
    *("Abs", "Celu", "Elu", "Erf", "Exp", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Log", "Mish"),
    *("Neg", "PRelu", "Reciprocal", "Selu", "Sigmoid", "Sign", "Silu", "Softplus", "Softsign", "Sqrt"),
    *("Swish", "Tanh", "ThresholdedRelu"),
)
"""Functions of one value."""


def _quantize(walk: Walk, op: Op) -> None:
    if softmax(walk, op):
        return
    source = walk.flow(op)
    behind = walk.quantizer(op, source.spec.format)
    if behind is None:
        raise ExportError(f"{op} makes codes that no DequantizeLinear alone reads")
    reader = walk.only_reader(behind.tensor)
    if reader is not None and reader.kind == TABLE and op.name == f"{reader.name}.input":
        walk.put(behind.tensor, op.name, behind.grid.format, quantized=True)
        walk.addressed[behind.tensor] = source
        return
    name = walk.name(op)
    walk.settle(behind)
    made = walk.put(behind.tensor, name, behind.grid.format, quantized=True)
    made_by: Any = LAYERS.get("QActivation")
    walk.works += made_by(Stated(behind.grid.format)).workloads(name, (source.spec,), made)


def _dequantize(walk: Walk, op: Op) -> None:
    """Codes that come from outside: the model's input is integers."""
    source, codes = walk.flow(op), walk.input_codes()
    if op.inputs[0] != walk.file.input or codes is None:
        raise ExportError(f"{op} reads codes that no QuantizeLinear in front of it makes")
    grid = walk.decoded(op, codes, source.spec.shape)
    name = walk.name(op)
    walk.note(grid.note)
    made = walk.put(op.outputs[0], name, grid.format, quantized=True)
    made_by: Any = LAYERS.get("QActivation")
    walk.works += made_by(Stated(grid.format)).workloads(name, (source.spec,), made)


def _relu(walk: Walk, op: Op) -> None:
    """With the quantizer behind it, or alone, where only the sign goes."""
    source = walk.flow(op)
    name = walk.name(op)
    behind = walk.quantizer_behind(name, op.outputs[0])
    if behind is None:
        made = walk.put(op.outputs[0], name, without_sign(source.spec.format), quantized=source.quantized)
        walk.works.append(Workload(name, "relu", (source.spec,), made))
        return
    walk.settle(behind)
    made = walk.put(behind.tensor, name, behind.grid.format, quantized=True)
    made_by: Any = LAYERS.get("QReLU")
    walk.works += made_by(Stated(behind.grid.format)).workloads(name, (source.spec,), made)


def _clip(walk: Walk, op: Op) -> None:
    """From zero on it is a relu; else a function of one value."""
    ends = [walk.constants.get(name, Constant(None)) for name in op.inputs[1:]]
    if clip_ends(op, ends)[0] == 0:
        _relu(walk, op)
    else:
        _table(walk, op)


def _table(walk: Walk, op: Op) -> None:
    """A function of one value; the format of what it reads gives the addresses."""
    source = walk.flow(op)
    name = walk.name(op)
    behind = walk.quantizer_behind(name, op.outputs[0])
    tensor, format = op.outputs[0], None
    if behind is not None:
        walk.settle(behind)
        tensor, format = behind.tensor, behind.grid.format
    made = walk.put(tensor, name, format, quantized=behind is not None)
    address = fixed(source.spec.format)
    tables: tuple[TableSpec, ...] = ()
    if address is not None and format is not None and int(address.width) <= MOST_BITS:
        entries, width = 1 << int(address.width), int(np.max(format.width))
        tables = (TableSpec(op.kind.lower(), entries, width, reads=made.count),)
    else:
        walk.note(f"{op}: no table is counted, since its input has no format of at most {MOST_BITS} bits")
    walk.works.append(Workload(name, "table", (source.spec,), made, tables=tables))


def _softmax(walk: Walk, op: Op) -> None:
    source = walk.flow(op)
    name = walk.name(op)
    behind = walk.quantizer_behind(name, op.outputs[0])
    tensor, format = op.outputs[0], None
    if behind is not None:
        walk.settle(behind)
        tensor, format = behind.tensor, behind.grid.format
    made = walk.put(tensor, name, format, quantized=behind is not None)
    walk.works.append(Workload(name, "softmax", (source.spec,), made))


def _max_pool(walk: Walk, op: Op) -> None:
    source, size = walk.flow(op), walk.sizes[op.outputs[0]].shape
    kernel = op.attributes.get("kernel_shape")
    window = tuple(kernel) if kernel else (math.prod(source.spec.shape) // max(math.prod(size), 1),)
    name = walk.name(op)
    made = walk.put(op.outputs[0], name, pooled(source.spec.format), quantized=source.quantized)
    work = comparisons(SimpleNamespace(kernel_size=window), source.spec, made)
    walk.works.append(Workload(name, "max_pool", (source.spec,), made, operations=work))


def _average_pool(walk: Walk, op: Op) -> None:
    area = math.prod(op.attributes.get("kernel_shape", (1,)))
    _averaged(walk, op, area)


def _over_axes(walk: Walk, op: Op) -> None:
    """The average over whole axes."""
    source, made = walk.flow(op), walk.sizes[op.outputs[0]]
    area = math.prod(source.spec.shape) // max(math.prod(made.shape), 1)
    _averaged(walk, op, area)


def _averaged(walk: Walk, op: Op, area: int) -> None:
    source = walk.on_grid(op)
    if area & (area - 1):
        walk.note(f"{op}: the division by {area} is not counted, the sums are")
    pool: Any = LAYERS.get("QAvgPool1d")
    walk.add(op, cast("Any", pool(area)), [source], op.outputs[0])


def _reduce_sum(walk: Walk, op: Op) -> None:
    """The exact sum over whole axes."""
    source = walk.on_grid(op)
    name, size = walk.name(op), walk.sizes[op.outputs[0]].shape
    terms = math.prod(source.spec.shape) // max(math.prod(size), 1)
    total = summed_products(fixed(source.spec.format), terms)
    made = walk.put(op.outputs[0], name, total)
    sums = Operation("add", made.count * (terms - 1), (total, source.spec.format), total)
    walk.works.append(Workload(name, "add", (source.spec,), made, accumulator=total, operations=(sums,)))


ACTIVATIONS: Mapping[str, Callable[[Walk, Op], None]] = {
    **dict.fromkeys(TABLES, _table),
    "AveragePool": _average_pool,
    "BipolarQuant": _quantize,
    "Clip": _clip,
    "DequantizeLinear": _dequantize,
    "GlobalAveragePool": _over_axes,
    "GlobalMaxPool": _max_pool,
    "IntQuant": _quantize,
    "LogSoftmax": _softmax,
    "MaxPool": _max_pool,
    "Quant": _quantize,
    "QuantizeLinear": _quantize,
    "ReduceMax": _max_pool,
    "ReduceMean": _over_axes,
    "ReduceSum": _reduce_sum,
    "Relu": _relu,
    "Softmax": _softmax,
    "Trunc": _quantize,
}
