"""Embeddings: rows of a constant, picked by whole numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from hls_export.qonnx.builder import Builder
from hls_export.qonnx.layers import writes
from torchq.formats import FixedPoint

if TYPE_CHECKING:
    from torchq.graph import Node as TorchNode


@writes("embedding")
def _embedding(build: Builder, node: TorchNode, sources: list[str]) -> str:
    """The input are floats, as in every file; a quantizer makes whole numbers of them."""
    from onnx import TensorProto

    layer: Any = node.module
    bits = max((layer.num_embeddings - 1).bit_length(), 1)
    whole = build.quant(sources[0], FixedPoint(bits, bits, signed=False), f"{node.name}.number")
    shape = build.shapes[whole]
    index = build.node(
        "Cast", [whole], shape, f"{node.name}.index", f"{node.name}.index", to=TensorProto.INT64
    )
    with torch.no_grad():
        rows = layer.quantized_weight()
    weight = build.parameter(f"{node.name}.weight", rows, layer.weight_quantizer)
    values = node.name if layer.output_quantizer is None else f"{node.name}.rows"
    made = build.node("Gather", [weight, index], (*shape, rows.shape[1]), node.name, values, axis=0)
    return build.finish(made, layer.output_quantizer, node.name)
