"""The work of an attention layer, product by product."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor

from torchq.formats import FixedPoint, Format
from torchq.nn.base import parameter_spec
from torchq.nn.softmax import softmax_work
from torchq.nn.types import multiplied, summed_products, with_bias
from torchq.workload import ParamSpec, TensorSpec, Workload

if TYPE_CHECKING:
    from torchq.nn.attention import QMultiheadAttention


def attention_work(
    layer: QMultiheadAttention, name: str, inputs: tuple[TensorSpec, ...], output: TensorSpec
) -> tuple[Workload, ...]:
    """Workloads ``name.query``, ``.key``, ``.value``, ``.scores``, ``.softmax``, ``.context`` and ``name``.

    Args:
        layer: the attention.
        name: of the layer in the model.
        inputs: query, key and value.
        output: what it writes.
    """
    query, key, value = inputs if len(inputs) == 3 else (inputs[0],) * 3
    parts = [
        _projection(layer, name, slot, number, source)
        for number, (slot, source) in enumerate((("query", query), ("key", key), ("value", value)))
    ]
    made = {slot: part.output for slot, part in zip(("query", "key", "value"), parts, strict=True)}
    length, other, width = query.shape[0], key.shape[0], layer.embed_dim
    shape = (layer.num_heads, length, other)
    scored = TensorSpec(f"{name}.scores", shape, layer.slot_format("scores"))
    scores = _activations((made["query"], made["key"]), scored, layer.head_dim)
    attention = TensorSpec(f"{name}.softmax", shape, layer.slot_format("attention"))
    steps = (layer.quantizer(slot) for slot in ("scores", "exp", "sum", "inverse"))
    operations, tables = softmax_work(attention.count, other, *steps)
    softmax = Workload(
        f"{name}.softmax", "softmax", (scored,), attention, operations=operations, tables=tables
    )
    source = TensorSpec(f"{name}.context", (length, width), layer.slot_format("context"))
    context = _activations((attention, made["value"]), source, other)
    weight = _param(layer, "out_proj.weight", "out_weight")
    bias = _param(layer, "out_proj.bias", "out_bias") if layer.has_bias() else None
    last = _linear(name, layer.kind, source, output, weight, bias)
    return (*parts, scores, softmax, context, last)


def _projection(
    layer: QMultiheadAttention, name: str, slot: str, number: int, source: TensorSpec
) -> Workload:
    rows = slice(number * layer.embed_dim, (number + 1) * layer.embed_dim)
    weight = _param(layer, "in_proj_weight", "weight", rows)
    bias = _param(layer, "in_proj_bias", "bias", rows) if layer.has_bias() else None
    output = TensorSpec(f"{name}.{slot}", (source.shape[0], layer.embed_dim), layer.slot_format(slot))
    return _linear(output.name, "linear", source, output, weight, bias)


def _linear(
    name: str, kind: str, source: TensorSpec, output: TensorSpec, weight: ParamSpec, bias: ParamSpec | None
) -> Workload:
    fan_in = weight.shape[1]
    product = multiplied(weight.format, source.format)
    total = summed_products(product, fan_in)
    total = total if bias is None else with_bias(total, bias.format)
    if output.format is None:
        output = TensorSpec(output.name, output.shape, total)
    macs = output.count * fan_in
    return Workload(name, kind, (source,), output, macs, fan_in, product, total, weight=weight, bias=bias)


def _activations(inputs: tuple[TensorSpec, TensorSpec], output: TensorSpec, fan_in: int) -> Workload:
    """Products of two tensors that both flow."""
    product = multiplied(inputs[0].format, inputs[1].format)
    total = summed_products(product, fan_in)
    if output.format is None:
        output = TensorSpec(output.name, output.shape, total)
    return Workload(output.name, "matmul", inputs, output, output.count * fan_in, fan_in, product, total)


def _param(layer: QMultiheadAttention, name: str, called: str, rows: slice | None = None) -> ParamSpec:
    with torch.no_grad():
        values = cast("Tensor", layer.quantized_parameter(name))
    format = layer.slot_format(layer.slot_of(name))
    if rows is not None:
        format = _of_rows(format, tuple(values.shape), rows)
        values = values[rows]
    return parameter_spec(called, values, format)


def _of_rows(format: Format | None, shape: tuple[int, ...], rows: slice) -> Format | None:
    """The format of some rows of a parameter."""
    if not isinstance(format, FixedPoint) or format.is_scalar:
        return format

    def cut(field: Any) -> Any:
        return field if np.ndim(field) == 0 else np.broadcast_to(field, shape)[rows]

    return replace(format, width=cut(format.width), integer=cut(format.integer), signed=cut(format.signed))
