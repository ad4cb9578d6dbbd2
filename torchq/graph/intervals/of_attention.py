"""Attention: projections, scores, softmax, context; see :class:`torchq.nn.attention.QMultiheadAttention`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from torchq.graph.intervals.codes import Codes
from torchq.graph.intervals.interval import (
    Interval,
    added,
    hull,
    multiplied,
    point,
    stacked,
    summed,
)
from torchq.graph.intervals.part import Found, Part
from torchq.graph.intervals.products import numbers, sums
from torchq.graph.intervals.quantizers import quantized
from torchq.graph.intervals.rules import Site, by_format, rule
from torchq.graph.intervals.softmaxes import softmax
from torchq.nn.attention import QMultiheadAttention

ROLES = ("query", "key", "value")


@rule.register
def _attention(layer: QMultiheadAttention, site: Site) -> Found:
    found = by_format(site)
    numbers_of = [site.number_of(role, i) for i, role in enumerate(ROLES)]
    read = [None if n is None else site.ranges[n] for n in numbers_of]
    if layer.missing_slots() or any(x is None or not x.low.size for x in read):
        return Found((found.value, None), found.parts)
    attention = _Attention(layer, site)
    value = attention.run([x for x in read if x is not None])
    if value is None:
        return Found((found.value, None), found.parts)
    return Found((value, None), tuple(attention.parts))


class _Attention:
    """One layer, its products in the order of its workloads."""

    def __init__(self, layer: QMultiheadAttention, site: Site) -> None:
        self.layer, self.name, self.node = layer, site.node.name, site.node
        self.parts: list[Part] = []

    def run(self, read: list[Interval]) -> Interval | None:
        """The range of the result; None where a step stands on no grid."""
        layer = self.layer
        with torch.no_grad():
            weight = layer.quantized_parameter("in_proj_weight")
            bias = layer.quantized_parameter("in_proj_bias")
            out, out_bias = (layer.quantized_parameter(f"out_proj.{n}") for n in ("weight", "bias"))
        if weight is None or out is None:
            return None
        biases = (None, None, None) if bias is None else bias.chunk(3)
        projected = [
            self._projected(role, x, w, b)
            for role, x, w, b in zip(ROLES, read, weight.chunk(3), biases, strict=True)
        ]
        heads = [None if p is None else _heads(p, layer.num_heads) for p in projected]
        if any(h is None for h in heads):
            return None
        q, k, v = (h for h in heads if h is not None)
        scores = self._product("scores", q, k.mapped(lambda c: c.swapaxes(-1, -2)))
        a = None if scores is None else self._softmax(scores)
        context = None if a is None else self._product("context", a, v)
        if context is None:
            return None
        context = context.mapped(_together)
        result, product = _linear(context, out, out_bias)
        value = quantized(result, layer.output_quantizer, self.node.shape)
        self.parts.append(Part(self.name, layer.kind, product, result, value, format=self.node.format))
        return value

    def _projected(self, role: str, x: Interval, weight: Tensor, bias: Tensor | None) -> Interval | None:
        total, product = _linear(x, weight, bias)
        value = quantized(total, self.layer.quantizer(role), total.shape)
        self.parts.append(
            Part(f"{self.name}.{role}", "linear", product, total, value, format=self.layer.slot_format(role))
        )
        return value

    def _product(self, what: str, a: Interval, b: Interval) -> Interval | None:
        """The matrix product of each head, through the quantizer behind it."""
        products, totals = [], []
        for head in range(a.shape[0]):
            left, right = (part.mapped(lambda c: c[head]) for part in (a, b))  # noqa: B023 - used at once
            each = multiplied(left.mapped(lambda c: c[:, :, None]), right.mapped(lambda c: c[None]))
            products.append(each.over())
            totals.append(summed(each, (1,)))
        total = stacked(totals)
        value = quantized(total, self.layer.quantizer(what), total.shape)
        format = self.layer.slot_format(what)
        self.parts.append(Part(f"{self.name}.{what}", "matmul", hull(*products), total, value, format=format))
        return value

    def _softmax(self, scores: Interval) -> Interval | None:
        slots = ("scores", "exp", "sum", "inverse", "attention")
        quantizers = tuple(self.layer.quantizer(slot) for slot in slots)
        value, parts = softmax(f"{self.name}.softmax", scores, scores.shape, 2, quantizers)
        self.parts += parts
        return value


def _linear(x: Interval, weight: Tensor, bias: Tensor | None) -> tuple[Interval, Interval]:
    """The sums, and the products themselves."""
    constants = point(numbers(weight))
    columns = Interval(constants.low.min(axis=0), constants.high.max(axis=0), constants.fraction)
    total = sums(F.linear, x, constants)
    return (total if bias is None else added(total, point(numbers(bias)))), multiplied(x, columns)


def _heads(x: Interval, heads: int) -> Interval:
    """``[length, width]`` becomes ``[heads, length, width / heads]``."""
    return x.mapped(lambda c: c.reshape(len(c), heads, -1).swapaxes(0, 1))


def _together(codes: Codes) -> Codes:
    """``[heads, length, width]`` becomes ``[length, heads * width]``."""
    return codes.swapaxes(0, 1).reshape(codes.shape[1], -1)
