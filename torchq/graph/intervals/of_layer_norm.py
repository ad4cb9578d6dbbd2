"""Layer normalisation, step by step; see :class:`torchq.nn.layer_norm.QLayerNorm`."""

from __future__ import annotations

import torch
from torch import Tensor

from torchq.formats import Format
from torchq.graph.intervals.interval import (
    Interval,
    added,
    known,
    multiplied,
    point,
    squared,
    subtracted,
    summed,
)
from torchq.graph.intervals.lookups import looked_up
from torchq.graph.intervals.part import Found, Part
from torchq.graph.intervals.products import numbers
from torchq.graph.intervals.quantizers import quantized
from torchq.graph.intervals.rules import Site, by_format, rule
from torchq.graph.intervals.types_of import product_type, sum_type, total_type
from torchq.nn.layer_norm import QLayerNorm, inverse_count
from torchq.nn.table import Lookup


@rule.register
def _layer_norm(layer: QLayerNorm, site: Site) -> Found:
    if layer.missing_slots():
        return by_format(site)
    norm = _Norm(layer, site)
    norm.centre()
    norm.spread()
    value = norm.scale()
    return Found(value, tuple(norm.parts))


class _Norm:
    """One layer, its steps in the order of computation."""

    def __init__(self, layer: QLayerNorm, site: Site) -> None:
        self.layer, self.site, self.node = layer, site, site.node
        self.parts: list[Part] = []
        shape = site.node.shape
        self.axes = tuple(range(len(shape) - len(layer.normalized_shape), len(shape)))
        self.along = tuple(1 if i in self.axes else n for i, n in enumerate(shape))
        self.constant = point(layer.inverse_of_count())
        self.constant_format = inverse_count(layer.count)
        self.formats: dict[str, Format] = {
            slot: quantizer.format for slot in layer.slots if (quantizer := layer.quantizer(slot)) is not None
        }

    def centre(self) -> None:
        """``d = x - q_mean(sum(x) * c)``."""
        f = self.formats
        x = quantized(self.site.x, self.layer.input_quantizer, self.node.shape)
        total, kind = known(self._total, x), total_type(f["input"], self.layer.count)
        self._note("input", "quantize", output=x, factors=self.site.formats, format=f["input"])
        self._note(
            "sum", "sum", total=total, output=total, factors=(f["input"],), total_type=kind, format=kind
        )
        average = known(self._average, total)
        mean = quantized(average, self.layer.mean_quantizer, self.along)
        self._product("mean", average, mean, (kind, self.constant_format), f["mean"])
        self.d = known(subtracted, x, mean)
        self.apart = sum_type(f["input"], f["mean"])
        self._note(
            "centred",
            "sum",
            total=self.d,
            output=self.d,
            factors=(f["input"], f["mean"]),
            total_type=self.apart,
            format=self.apart,
        )

    def spread(self) -> None:
        """``r = q_rsqrt(1 / sqrt(q_variance(sum(d * d) * c) + eps))``."""
        f = self.formats
        square, one = known(squared, self.d), product_type(self.apart, self.apart)
        squares, kind = known(self._total, square), total_type(one, self.layer.count)
        self._note(
            "squares",
            "product",
            product=square,
            total=squares,
            output=squares,
            factors=(self.apart, self.apart),
            product_type=one,
            total_type=kind,
            format=kind,
        )
        average = known(self._average, squares)
        variance = quantized(average, self.layer.variance_quantizer, self.along)
        self._product("variance", average, variance, (kind, self.constant_format), f["variance"])
        lookup = Lookup(
            "rsqrt", self.layer.variance_quantizer, self.layer.rsqrt_quantizer, eps=self.layer.eps
        )
        self.r = looked_up(average, lookup, self.along)
        self._note("rsqrt", "table", output=self.r, factors=(f["variance"],), format=f["rsqrt"])

    def scale(self) -> Interval | None:
        """``q_output(d * r * q_weight(w) + q_bias(b))``."""
        f = self.formats
        with torch.no_grad():
            weight, bias = self.layer.quantized_weight(), self.layer.quantized_bias()
        value, factors = known(multiplied, self.d, self.r), (self.apart, f["rsqrt"])
        kind = product_type(*factors)
        if weight is not None:
            self._product("scaled", value, value, factors, kind)
            value, factors = known(multiplied, value, _constant(weight)), (kind, f["weight"])
            kind = product_type(*factors)
        product, product_kind = value, kind
        if bias is not None:
            value, kind = known(added, value, _constant(bias)), sum_type(kind, f["bias"])
        output = quantized(value, self.layer.output_quantizer, self.node.shape)
        self.parts.append(
            Part(
                self.node.name,
                self.layer.kind,
                product,
                value,
                output,
                factors,
                product_kind,
                kind,
                self.node.format,
            )
        )
        return output

    def _total(self, x: Interval) -> Interval:
        return summed(x, self.axes, keepdims=True)

    def _average(self, x: Interval) -> Interval:
        return multiplied(x, self.constant)

    def _product(
        self,
        name: str,
        product: Interval | None,
        output: Interval | None,
        factors: tuple[Format | None, ...],
        format: Format | None,
    ) -> None:
        kind = product_type(*factors)
        self._note(
            name,
            "product",
            product=product,
            total=product,
            output=output,
            factors=factors,
            product_type=kind,
            total_type=kind,
            format=format,
        )

    def _note(self, name: str, kind: str, **what: object) -> None:
        self.parts.append(Part(f"{self.node.name}.{name}", kind, **what))  # type: ignore[arg-type]


def _constant(values: Tensor) -> Interval:
    return point(numbers(values))
