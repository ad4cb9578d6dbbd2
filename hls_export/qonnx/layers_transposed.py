"""Transposed convolutions: one operator of ONNX each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from hls_export.qonnx.builder import Builder
from hls_export.qonnx.layers import writes

if TYPE_CHECKING:
    from torchq.graph import Node as TorchNode


@writes("conv_transpose1d", "conv_transpose2d")
def _conv_transpose(build: Builder, node: TorchNode, sources: list[str]) -> str:
    layer: Any = node.module
    (source,) = sources
    with torch.no_grad():
        weight, bias = layer.quantized_weight(), layer.quantized_bias()
    inputs = [source, build.parameter(f"{node.name}.weight", weight, layer.weight_quantizer)]
    if bias is not None:
        inputs.append(build.parameter(f"{node.name}.bias", bias, layer.bias_quantizer))
    rows = zip(
        node.shape[1:],
        build.shapes[source][1:],
        layer.kernel_size,
        layer.stride,
        layer.padding,
        layer.dilation,
        strict=True,
    )
    more = [out - ((n - 1) * s - 2 * pad + (k - 1) * d + 1) for out, n, k, s, pad, d in rows]
    sums = node.name if layer.output_quantizer is None else f"{node.name}.sum"
    made = build.node(
        "ConvTranspose",
        inputs,
        node.shape,
        node.name,
        sums,
        kernel_shape=list(layer.kernel_size),
        strides=list(layer.stride),
        pads=list(layer.padding) * 2,
        dilations=list(layer.dilation),
        output_padding=more,
        group=layer.groups,
    )
    return build.finish(made, layer.output_quantizer, node.name)
