"""Multi-head attention: three projections, products of tensors, an exact softmax, and a projection out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from hls_export.qonnx.builder import Builder
from hls_export.qonnx.layers import writes
from hls_export.qonnx.layers_tables import softmax

if TYPE_CHECKING:
    from torchq.graph import Node as TorchNode

_ROLES = ("query", "key", "value")


@writes("attention")
def _attention(build: Builder, node: TorchNode, sources: list[str]) -> tuple[str, None]:
    """The output, and nothing for the mean of the attention over the heads."""
    from torchq.nn.softmax import QSoftmax

    layer: Any = node.module
    name, heads, depth = node.name, layer.num_heads, layer.head_dim
    with torch.no_grad():
        weight, bias = (layer.quantized_parameter(f"in_proj_{what}") for what in ("weight", "bias"))
    biases = (None,) * 3 if bias is None else bias.chunk(3)
    made: dict[str, str] = {}
    given = zip(_ROLES, _operands(node, sources), weight.chunk(3), biases, strict=True)
    for role, source, matrix, addend in given:
        part = f"{name}.{role}"
        slots = (layer.weight_quantizer, layer.bias_quantizer)
        sums = _projected(build, source, part, part, matrix, addend, *slots)
        rounded = build.quantizer(sums, layer.quantizer(role), name, f"{part}.quant", f"{part}.quant")
        length = build.shapes[rounded][0]
        made[role] = build.reshape(rounded, (length, heads, depth), f"{part}.heads")
    query = build.transpose(made["query"], (1, 0, 2), f"{name}.query.turned")
    key = build.transpose(made["key"], (1, 2, 0), f"{name}.key.turned")
    value = build.transpose(made["value"], (1, 0, 2), f"{name}.value.turned")

    scores = build.matmul(query, key, f"{name}.scores")
    inner = {f"{slot}_quantizer": layer.quantizer(slot) for slot in ("exp", "sum", "inverse")}
    tables = QSoftmax(input_quantizer=layer.scores_quantizer, output_quantizer="fixed(8,1)", **inner)
    x = build.address(scores, layer.scores_quantizer, f"{name}.scores.quant", name)
    pair = tables.tables(build.shapes[key][-1])
    shares = softmax(build, x, 2, pair, layer.sum_quantizer, f"{name}.softmax")
    attention = build.quantizer(
        shares, layer.attention_quantizer, name, f"{name}.softmax.quant", f"{name}.softmax"
    )

    mixed = build.matmul(attention, value, f"{name}.mixed")
    turned = build.transpose(mixed, (1, 0, 2), f"{name}.mixed.turned")
    flat = build.reshape(turned, (build.shapes[turned][0], heads * depth), f"{name}.mixed.flat")
    context = build.quantizer(flat, layer.context_quantizer, name, f"{name}.context", f"{name}.context")
    with torch.no_grad():
        out, addend = (layer.quantized_parameter(f"out_proj.{what}") for what in ("weight", "bias"))
    end = name if layer.output_quantizer is None else f"{name}.sum"
    outer = (layer.out_weight_quantizer, layer.out_bias_quantizer)
    total = _projected(build, context, name, end, out, addend, *outer)
    return build.finish(total, layer.output_quantizer, name), None


def _projected(
    build: Builder,
    source: str,
    name: str,
    end: str,
    weight: Tensor,
    bias: Tensor | None,
    weights: Any,
    biases: Any,
) -> str:
    """A linear layer at every position; ``end`` is the tensor that it makes."""
    matrix = build.parameter(f"{name}.weight", weight.T, weights)
    product = end if bias is None else f"{name}.matmul"
    made = build.dense(source, matrix, weight.shape[0], name, product)
    if bias is None:
        return made
    return build.bias(made, build.parameter(f"{name}.bias", bias, biases), f"{name}.bias", end)


def _operands(node: TorchNode, sources: list[str]) -> list[str]:
    """Query, key and value, however they were handed over."""
    step = node.step
    assert step is not None, "only the input has none"  # noqa: S101
    places = {**dict(zip(_ROLES, step.call.args, strict=False)), **step.call.kwargs}
    return [sources[places[role].number] for role in _ROLES]
