"""The range of a softmax by two tables, step by step; see :class:`torchq.nn.softmax.QSoftmax`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from torchq.formats import Format
from torchq.graph.intervals.codes import slim
from torchq.graph.intervals.interval import Interval, added, aligned, known, multiplied, point, subtracted
from torchq.graph.intervals.interval import summed as summed_along
from torchq.graph.intervals.lookups import looked_up
from torchq.graph.intervals.part import Part
from torchq.graph.intervals.quantizers import quantized
from torchq.graph.intervals.types_of import product_type, total_type
from torchq.nn.softmax import _lookups
from torchq.nn.table import Lookup
from torchq.nn.types import fixed
from torchq.quantizers import Quantizer

Quantizers = tuple[Quantizer | None, ...]
"""Those of input, exp, sum, inverse and output."""


def softmax(
    name: str, read: Interval | None, shape: tuple[int, ...], axis: int, slots: Quantizers
) -> tuple[Interval | None, tuple[Part, ...]]:
    """The range of the softmax along an axis, and its steps.

    Args:
        name: of the layer.
        read: what came through the input quantizer; None where that stands on no grid.
        shape: of a sample.
        axis: of the sample.
        slots: the quantizers.
    """
    input, exp, sum, inverse, output = slots
    exponential, reciprocal = _lookups(shape[axis], input, exp, sum, inverse, "cpu")
    grid, apart, address = (_format(q) for q in (input, exponential.input, reciprocal.input))
    distance = None if read is None else _distance(read, axis)
    e = None if distance is None else looked_up(distance, exponential, shape)
    total = None if e is None else _sum(e, _value_at_zero(exponential), axis)
    along = tuple(1 if i == axis else n for i, n in enumerate(shape))
    r = None if total is None else looked_up(total, reciprocal, along)
    product = known(multiplied, e, r)
    value = quantized(product, output, shape)
    exp_format, inverse_format = _format(exp), _format(inverse)
    apart_type = fixed(apart)
    sum_type = total_type(exp_format, shape[axis])
    result = product_type(exp_format, inverse_format)
    parts = (
        Part(f"{name}.distance", "sum", None, distance, distance, (grid, grid), None, apart_type, apart),
        Part(f"{name}.exp", "table", None, None, e, (apart,), None, None, exp_format),
        Part(f"{name}.sum", "sum", None, total, total, (exp_format,), None, sum_type, sum_type),
        Part(f"{name}.inverse", "table", None, None, r, (address,), None, None, inverse_format),
        Part(
            name,
            "softmax",
            product,
            product,
            value,
            (exp_format, inverse_format),
            result,
            result,
            _format(output),
        ),
    )
    return value, parts


def _distance(x: Interval, axis: int) -> Interval:
    """``max(x) - x``: at least 0, and 0 for one of them."""
    low, high = (ends.max(axis=axis, keepdims=True) for ends in (x.low, x.high))
    d = subtracted(Interval(low, high, x.fraction), x)
    return replace(d, low=np.maximum(d.low, 0))


def _value_at_zero(lookup: Lookup) -> Interval | None:
    """What stands in the table of exponentials for the largest input."""
    if lookup.grid is None:
        return None
    return point(lookup.values[:1].detach().cpu().double().numpy().reshape(()))


def _sum(e: Interval, one: Interval | None, axis: int) -> Interval:
    """The sum of the exponentials, one of which is that of 0, the largest."""
    total = summed_along(e, (axis,), keepdims=True)
    if one is None:
        return total
    most = e.low.max(axis=axis, keepdims=True)
    others = subtracted(Interval(total.low, total.low, e.fraction), Interval(most, most, e.fraction))
    ((low, _), (least, _), (_, high)), fraction = aligned((total, added(others, one), total))
    return Interval(slim(np.maximum(low, least)), slim(high), fraction)


def _format(quantizer: Quantizer | None) -> Format | None:
    return None if quantizer is None else quantizer.format
