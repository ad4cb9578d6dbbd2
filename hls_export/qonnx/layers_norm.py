"""Layer normalisation from exact sums, products and one table; the steps are those of ``QLayerNorm``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hls_export.qonnx.builder import Builder
from hls_export.qonnx.layers import writes

if TYPE_CHECKING:
    from torchq.graph import Node as TorchNode


@writes("layer_norm")
def _layer_norm(build: Builder, node: TorchNode, sources: list[str]) -> str:
    from torchq.nn.layer_norm import inverse_count

    layer: Any = node.module
    name = node.name
    rank, count = len(build.shapes[sources[0]]), len(layer.normalized_shape)
    axes = list(range(rank - count, rank))
    x = build.quantizer(sources[0], layer.input_quantizer, name, f"{name}.input", f"{name}.input")
    constant = np.array([layer.inverse_of_count()])
    factor = build.constant(f"{name}.factor", constant, inverse_count(layer.count))

    total = build.reduce("Sum", x, axes, f"{name}.sum")
    mean = build.scaled(total, factor, f"{name}.mean", f"{name}.mean")
    mean = build.quantizer(mean, layer.mean_quantizer, name, f"{name}.mean.quant", f"{name}.mean.quant")
    distance = build.merge("Sub", [x, mean], f"{name}.distance")
    square = build.merge("Mul", [distance, distance], f"{name}.square")
    squares = build.reduce("Sum", square, axes, f"{name}.squares")
    variance = build.scaled(squares, factor, f"{name}.variance", f"{name}.variance")
    address = build.address(variance, layer.variance_quantizer, f"{name}.variance.quant", name)
    inverse = build.table(address, layer.table(), f"{name}.rsqrt", f"{name}.rsqrt")

    with torch.no_grad():
        weight, bias = layer.quantized_weight(), layer.quantized_bias()
    made = build.merge("Mul", [distance, inverse], name, f"{name}.normalized")
    if weight is not None:
        scale = build.parameter(f"{name}.weight", weight, layer.weight_quantizer)
        made = build.scaled(made, scale, f"{name}.scale", f"{name}.scaled")
    if bias is not None:
        shift = build.parameter(f"{name}.bias", bias, layer.bias_quantizer)
        made = build.bias(made, shift, f"{name}.bias", f"{name}.shifted")
    return build.finish(made, layer.output_quantizer, name)
