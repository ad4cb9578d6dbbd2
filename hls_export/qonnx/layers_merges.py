"""Layers that read several tensors: sums, products, concatenation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hls_export.qonnx.builder import Builder
from hls_export.qonnx.layers import writes

if TYPE_CHECKING:
    from torchq.graph import Node as TorchNode


@writes("add")
def _add(build: Builder, node: TorchNode, sources: list[str]) -> str:
    layer: Any = node.module
    sums = node.name if layer.output_quantizer is None else f"{node.name}.sum"
    return build.finish(build.merge("Add", sources, node.name, sums), layer.output_quantizer, node.name)


@writes("mul")
def _mul(build: Builder, node: TorchNode, sources: list[str]) -> str:
    layer: Any = node.module
    product = node.name if layer.output_quantizer is None else f"{node.name}.product"
    return build.finish(build.merge("Mul", sources, node.name, product), layer.output_quantizer, node.name)


@writes("concat")
def _concat(build: Builder, node: TorchNode, sources: list[str]) -> str:
    layer: Any = node.module
    joined = node.name if layer.output_quantizer is None else f"{node.name}.joined"
    axis = layer.dim - 1 if layer.dim > 0 else len(node.shape) + layer.dim
    return build.finish(build.concat(sources, axis, node.name, joined), layer.output_quantizer, node.name)
