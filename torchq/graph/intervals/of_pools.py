"""Average pools: the sum of each window, then its product with a constant."""

from __future__ import annotations

import numpy as np
import torch

from torchq.formats import FixedPoint
from torchq.graph.intervals.interval import Interval, multiplied, point
from torchq.graph.intervals.part import Found, Part
from torchq.graph.intervals.products import exactly, numbers
from torchq.graph.intervals.quantizers import quantized
from torchq.graph.intervals.rules import Site, rule
from torchq.graph.intervals.types_of import product_type, total_type
from torchq.nn.pool import AveragePool


@rule.register
def _average(layer: AveragePool, site: Site) -> Found:
    node, x, source = site.node, site.x, site.nodes[0]
    with torch.no_grad():
        constant = numbers(layer.average(source.shape).double())
    area = layer.area(source.shape)
    shifts = layer.average_quantizer is None
    on_grid = not shifts or not area & (area - 1)
    total = None if x is None else _summed(layer, x)
    product = None if total is None or not on_grid else multiplied(total, point(constant.reshape(())))
    value = quantized(product, layer.quantizer("output"), node.shape)
    summed = total_type(source.format, _values(layer, source.shape))
    factor = None if layer.average_quantizer is None else layer.average_quantizer.format
    product_format = None if shifts else product_type(factor, summed)
    total_format = _shifted(summed, area) if shifts else product_format
    parts = (
        Part(f"{node.name}.sum", "sum", None, total, total, (source.format,), None, summed, summed),
        Part(
            node.name,
            layer.kind,
            None if shifts else product,
            product,
            value,
            (summed,) if shifts else (factor, summed),
            product_format,
            total_format,
            node.format,
        ),
    )
    return Found(value, parts)


def _summed(layer: AveragePool, x: Interval) -> Interval:
    """The sums of both ends: each value counts once."""
    one = np.ones((1,), np.int64)
    low, high = (
        exactly(lambda a, _: layer.sums(a), c[None], one, terms=max(c.size, 1))[0] for c in (x.low, x.high)
    )
    return Interval(low, high, x.fraction)


def _values(layer: AveragePool, shape: tuple[int, ...]) -> int:
    """How many values a window sums: its area, or the kernel's size where the divisor is given."""
    kernel = getattr(layer, "kernel_size", None)
    if kernel is None:
        return layer.area(shape)
    sizes = (kernel,) * (len(shape) - 1) if isinstance(kernel, int) else tuple(kernel)
    return int(np.prod(sizes))


def _shifted(total: FixedPoint | None, area: int) -> FixedPoint | None:
    """The format of a sum that is divided by a power of two."""
    if total is None or area & (area - 1):
        return None
    down = area.bit_length() - 1
    return FixedPoint(total.width, total.integer - down, total.signed, total.rounding, total.overflow)
