"""Pools: the largest of a window; or its exact sum, times a constant, through a quantizer."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hls_export.hardware import placed
from hls_export.qonnx.builder import Builder
from hls_export.qonnx.layers import writes
from torchq.errors import ExportError
from torchq.formats import FixedPoint

if TYPE_CHECKING:
    from torchq.graph import Node as TorchNode


@writes("max_pool")
def _max_pool(build: Builder, node: TorchNode, sources: list[str]) -> str:
    layer: Any = node.module
    (source,) = sources
    channels, *sizes = build.shapes[source]
    axes = len(sizes)
    if layer.return_indices:
        raise ExportError(f"{node.name} returns indices, which are no fixed-point numbers")
    kernel, strides, padding, dilations = (
        _axes(getattr(layer, name), axes) for name in ("kernel_size", "stride", "padding", "dilation")
    )
    pads = [(pad, pad) for pad in padding]
    if layer.ceil_mode:
        rows = zip(node.shape[1:], sizes, kernel, strides, padding, dilations, strict=True)
        pads = [(pad, max((out - 1) * s + (k - 1) * d + 1 - n - pad, 0)) for out, n, k, s, pad, d in rows]
    return build.max_pool(
        source,
        (channels, *node.shape[1:]),
        node.name,
        kernel=kernel,
        strides=strides,
        pads=pads,
        dilations=dilations,
    )


@writes("average_pool")
def _average_pool(build: Builder, node: TorchNode, sources: list[str]) -> str:
    """A depthwise convolution of ones sums exactly in every runtime, and stock readers know it."""
    layer: Any = node.module
    (source,) = sources
    shape = build.shapes[source]
    kernel, strides, pads = _windows(layer, shape)
    rows = zip(shape[1:], kernel, strides, pads, strict=True)
    sizes = tuple(placed(*row) for row in rows)
    sums = build.sum_pool(
        source, (shape[0], *sizes), node.name, f"{node.name}.sum", kernel=kernel, strides=strides, pads=pads
    )
    flat = sizes != node.shape[1:]
    ends = f"{node.name}.average" if flat or layer.output_quantizer is not None else node.name
    constant = layer.average(shape, torch.zeros((), dtype=torch.float64))
    if layer.average_quantizer is None:
        average = build.constant(f"{node.name}.factor", constant, _power(float(constant)))
    else:
        average = build.parameter(f"{node.name}.factor", constant, layer.average_quantizer)
    made = build.scaled(sums, average, f"{node.name}.average", ends)
    if flat:
        made = build.reshape(
            made,
            node.shape,
            f"{node.name}.flat",
            f"{node.name}.flat" if layer.output_quantizer is not None else node.name,
        )
    return build.finish(made, layer.output_quantizer, node.name)


def _windows(
    layer: Any, shape: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...], list[tuple[int, int]]]:
    """Kernel, strides and pads: those of the layer, or windows side by side that cover the sample."""
    axes = len(shape) - 1
    if hasattr(layer, "windows"):
        windows = layer.windows(shape)
        return windows, windows, [(0, 0)] * axes
    kernel, strides, padding = (
        _axes(getattr(layer, name), axes) for name in ("kernel_size", "stride", "padding")
    )
    return kernel, strides, [(pad, pad) for pad in padding]


def _axes(value: Any, axes: int) -> tuple[int, ...]:
    return (value,) * axes if isinstance(value, int) else tuple(value)


def _power(value: float) -> FixedPoint:
    """The format of one power of two: one bit."""
    mantissa, exponent = math.frexp(value)
    if mantissa != np.float64(0.5):
        raise ExportError(f"an average times {value:g}, which stands on no grid", hint="give it a quantizer")
    return FixedPoint(1, exponent, signed=False)
