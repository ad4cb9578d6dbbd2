"""Layers whose outputs are sums of products with a weight: linear, convolutions, batch norm."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from torchq.graph.intervals.interval import Interval, added, full, point
from torchq.graph.intervals.part import Found, Part
from torchq.graph.intervals.products import each, numbers, sums
from torchq.graph.intervals.quantizers import quantized
from torchq.graph.intervals.rules import Site, rule
from torchq.nn.products import ProductLayer


@rule.register
def _product_layer(layer: ProductLayer, site: Site) -> Found:
    node, x = site.node, site.x
    with torch.no_grad():
        weight, bias = layer.quantized_weight(), layer.quantized_bias()
    constants = [numbers(v) for v in (weight, bias) if v is not None]
    output = layer.quantizer("output")
    product: Interval | None = None
    total: Interval | None = None
    if x is not None and all(np.isfinite(v).all() for v in constants):
        weights = point(constants[0])
        product = each(layer, x, weights)
        total = sums(lambda a, w: layer.products(a, w, None), x, weights)
        if bias is not None and np.any(constants[1]):
            total = added(total, point(_spread(layer, x.shape, constants)))
    if total is not None and total.shape != node.shape:  # a transposed convolution with a size of its own
        total = None if node.format is None or output is not None else full(node.format, node.shape)
    value = quantized(total, output, node.shape)
    return Found(value, (Part(node.name, layer.kind, product, total, value, format=node.format),))


def _spread(
    layer: ProductLayer, shape: tuple[int, ...], constants: list[npt.NDArray[np.float64]]
) -> npt.NDArray[np.float64]:
    """The bias at every value of a sample of the output: what the layer makes of zeros."""
    weight, bias = map(torch.from_numpy, constants)
    with torch.no_grad():
        zeros = torch.zeros(1, *shape, dtype=torch.float64)
        made: npt.NDArray[np.float64] = layer.products(zeros, weight * 0, bias)[0].numpy()
    return made
