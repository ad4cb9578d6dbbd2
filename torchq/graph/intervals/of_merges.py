"""Tensors that meet: sums, products and concatenations of what flows."""

from __future__ import annotations

from torchq.formats import FixedPoint
from torchq.graph.intervals.interval import Interval, added, joined, multiplied, squared
from torchq.graph.intervals.part import Found, Part
from torchq.graph.intervals.quantizers import quantized
from torchq.graph.intervals.rules import Site, rule
from torchq.graph.intervals.types_of import product_type
from torchq.nn.concat import QConcat
from torchq.nn.merge import Merge, QAdd, QMul
from torchq.workload import TensorSpec


@rule.register
def _add(layer: QAdd, site: Site) -> Found:
    known = _known(site)
    return _merged(layer, site, None, added(*known) if known else None)


@rule.register
def _mul(layer: QMul, site: Site) -> Found:
    known = _known(site)
    product: Interval | None = None
    if known:
        same = len(set(site.node.inputs)) == 1
        product = squared(known[0]) if same else multiplied(*known)
    return _merged(layer, site, product, product)


@rule.register
def _concat(layer: QConcat, site: Site) -> Found:
    known = _known(site)
    axes = len(site.node.shape)
    axis = layer.dim - 1 if layer.dim > 0 else axes + layer.dim
    return _merged(layer, site, None, joined(known, axis) if known else None)


def _known(site: Site) -> list[Interval]:
    """What is read, if all of it is known."""
    known = [x for x in site.ranges if x is not None]
    return known if len(known) == len(site.sources) else []


def _merged(layer: Merge, site: Site, product: Interval | None, total: Interval | None) -> Found:
    node = site.node
    value = quantized(total, layer.output_quantizer, node.shape)
    specs = [TensorSpec(other.name, other.shape, other.format) for other in site.nodes]
    exact = layer.exact_format(specs)
    part = Part(
        node.name,
        layer.kind,
        product,
        None if layer.kind == "concat" else total,
        value,
        factors=site.formats,
        product_type=product_type(*site.formats) if layer.kind == "mul" else None,
        total_type=exact if isinstance(exact, FixedPoint) and layer.kind != "concat" else None,
        format=node.format,
    )
    return Found(value, (part,))
