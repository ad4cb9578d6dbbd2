"""Layers with weights: linear, convolutions, a scale and a shift for each channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hls_export.qonnx.builder import Builder
from hls_export.qonnx.layers import writes
from torchq.errors import ExportError

if TYPE_CHECKING:
    from torchq.graph import Node as TorchNode


@writes("linear")
def _linear(build: Builder, node: TorchNode, sources: list[str]) -> str:
    layer: Any = node.module
    (source,) = sources
    sums = node.name if layer.output_quantizer is None else f"{node.name}.sum"
    with torch.no_grad():
        weight, bias = layer.quantized_weight(), layer.quantized_bias()
    product = sums if bias is None else f"{node.name}.matmul"
    matrix = build.parameter(f"{node.name}.weight", weight.T, layer.weight_quantizer)
    made = build.dense(source, matrix, weight.shape[0], node.name, product)
    if bias is not None:
        addend = build.parameter(f"{node.name}.bias", bias, layer.bias_quantizer)
        made = build.bias(made, addend, f"{node.name}.bias", sums)
    return build.finish(made, layer.output_quantizer, node.name)


@writes("conv1d", "conv2d")
def _conv(build: Builder, node: TorchNode, sources: list[str]) -> str:
    layer: Any = node.module
    (source,) = sources
    pads = _pads(layer)
    if layer.padding_mode != "zeros" and any(map(any, pads)):
        source = _padded(build, source, pads, layer.padding_mode, node.name)
        pads = [(0, 0)] * len(pads)
    with torch.no_grad():
        weight, bias = layer.quantized_weight(), layer.quantized_bias()
    kernel = build.parameter(f"{node.name}.weight", weight, layer.weight_quantizer)
    addend = None if bias is None else build.parameter(f"{node.name}.bias", bias, layer.bias_quantizer)
    sums = node.name if layer.output_quantizer is None else f"{node.name}.sum"
    made = build.conv(
        source,
        kernel,
        addend,
        node.shape,
        node.name,
        sums,
        kernel=layer.kernel_size,
        strides=layer.stride,
        pads=pads,
        dilations=layer.dilation,
        groups=layer.groups,
    )
    return build.finish(made, layer.output_quantizer, node.name)


def _pads(layer: Any) -> list[tuple[int, int]]:
    """What is added before and after each axis."""
    if layer.padding == "valid":
        return [(0, 0)] * len(layer.kernel_size)
    if layer.padding == "same":
        totals = [d * (k - 1) for k, d in zip(layer.kernel_size, layer.dilation, strict=True)]
        return [(total // 2, total - total // 2) for total in totals]
    return [(pad, pad) for pad in layer.padding]


_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
"""numpy's names of torch's ways to pad."""


def _padded(build: Builder, source: str, pads: list[tuple[int, int]], mode: str, name: str) -> str:
    """The sample with its own values around it, picked from where they stand."""
    if mode not in _MODES:
        raise ExportError(f"{name} has padding_mode {mode!r}", hint=f"use zeros, {', '.join(_MODES)}")
    shape = build.shapes[source]
    places = np.arange(int(np.prod(shape))).reshape(shape)
    widths = [(0, 0), *pads]
    around: Any = np.pad(places, widths, mode=_MODES[mode])  # type: ignore[call-overload]
    return build.select(source, around, f"{name}.pad", f"{name}.padded")


@writes("scale_shift")
def _scale_shift(build: Builder, node: TorchNode, sources: list[str]) -> str:
    layer: Any = node.module
    (source,) = sources
    with torch.no_grad():
        weight, bias = layer.quantized_weight(), layer.quantized_bias()
    along = (-1, *(1,) * (len(node.shape) - 1))
    sums = node.name if layer.output_quantizer is None else f"{node.name}.sum"
    product = sums if bias is None else f"{node.name}.scaled"
    scale = build.parameter(f"{node.name}.weight", weight.reshape(along), layer.weight_quantizer)
    made = build.scaled(source, scale, node.name, product)
    if bias is not None:
        shift = build.parameter(f"{node.name}.bias", bias.reshape(along), layer.bias_quantizer)
        made = build.bias(made, shift, f"{node.name}.bias", sums)
    return build.finish(made, layer.output_quantizer, node.name)
