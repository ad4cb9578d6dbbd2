"""Layers that look up: tables of a function, softmax, embeddings."""

from __future__ import annotations

import numpy as np
import torch

from torchq.graph.intervals.interval import Interval, point
from torchq.graph.intervals.lookups import looked_up
from torchq.graph.intervals.part import Found, Part
from torchq.graph.intervals.products import numbers
from torchq.graph.intervals.quantizers import quantized
from torchq.graph.intervals.rules import Site, rule
from torchq.graph.intervals.softmaxes import softmax
from torchq.nn.embedding import QEmbedding
from torchq.nn.softmax import QSoftmax
from torchq.nn.table import Lookup, QTable


@rule.register
def _table(layer: QTable, site: Site) -> Found:
    node, address = site.node, layer.input_quantizer
    read = None if address is None else quantized(site.x, address, node.shape)
    lookup = Lookup(layer.function, address, layer.output_quantizer, **layer.arguments)
    value = looked_up(site.x, lookup, node.shape)
    grid = None if address is None else address.format
    parts = (
        Part(f"{node.name}.address", "quantize", output=read, factors=site.formats, format=grid),
        Part(node.name, layer.kind, output=value, factors=(grid,), format=node.format),
    )
    return Found(value, parts)


@rule.register
def _softmax(layer: QSoftmax, site: Site) -> Found:
    node = site.node
    axis = layer.dim - 1 if layer.dim > 0 else len(node.shape) + layer.dim
    names = ("input", "exp", "sum", "inverse", "output")
    slots = tuple(layer.quantizer(name) for name in names)
    read = quantized(site.x, layer.input_quantizer, node.shape)
    grid = site.formats[0] if layer.input_quantizer is None else layer.input_quantizer.format
    first = Part(f"{node.name}.input", "quantize", output=read, factors=site.formats, format=grid)
    value, parts = softmax(node.name, read, node.shape, axis, slots)
    return Found(value, (first, *parts))


@rule.register
def _embedding(layer: QEmbedding, site: Site) -> Found:
    node = site.node
    with torch.no_grad():
        rows = numbers(layer.quantized_weight())
    value: Interval | None = None
    if len(rows) and np.isfinite(rows).all():
        table = point(rows)
        ends = [np.broadcast_to(f(axis=0), node.shape) for f in (table.low.min, table.high.max)]
        value = Interval(ends[0], ends[1], table.fraction)
    value = quantized(value, layer.output_quantizer, node.shape)
    return Found(value, (Part(node.name, layer.kind, output=value, format=node.format),))
