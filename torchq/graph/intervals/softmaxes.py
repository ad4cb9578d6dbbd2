"""The range of a softmax by two tables, step by step; see :class:`torchq.nn.softmax.QSoftmax`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from torchq.formats import FixedPoint, Format, Overflow, Rounding
from torchq.graph.intervals.codes import slim
from torchq.graph.intervals.interval import Interval, added, aligned, multiplied, point, subtracted
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
    name: str, x: Interval | None, source: Format | None, shape: tuple[int, ...], axis: int, slots: Quantizers
) -> tuple[Interval | None, tuple[Part, ...]]:
    """The range of the softmax along an axis, and its steps.

    Args:
        name: of the layer.
        x: what it reads; None for anything.
        source: the format of that.
        shape: of a sample.
        axis: of the sample.
        slots: the quantizers.
    """
    input, exp, sum, inverse, output = slots
    read = quantized(x, input, shape)
    exponential, reciprocal = _lookups(shape[axis], input, exp, sum, inverse, "cpu")
    grid = source if input is None else input.format
    distance = None if read is None else _distance(read, axis)
    e = None if distance is None else looked_up(distance, exponential, shape)
    total = None if e is None else _sum(e, _value_at_zero(exponential), axis)
    along = tuple(1 if i == axis else n for i, n in enumerate(shape))
    r = None if total is None else looked_up(total, reciprocal, along)
    product = None if e is None or r is None else multiplied(e, r)
    value = quantized(product, output, shape)
    low = fixed(grid)
    apart = None if low is None else _apart(low)
    exp_format, inverse_format = (None if q is None else q.format for q in (exp, inverse))
    summed_type = total_type(exp_format, shape[axis])
    result = product_type(exp_format, inverse_format)
    parts = (
        Part(f"{name}.input", "quantize", None, None, read, (source,), None, None, grid),
        Part(f"{name}.distance", "sum", None, distance, distance, (grid, grid), None, apart, apart),
        Part(f"{name}.exp", "table", None, None, e, (apart,), None, None, exp_format),
        Part(f"{name}.sum", "sum", None, total, total, (exp_format,), None, summed_type, summed_type),
        Part(f"{name}.inverse", "table", None, None, r, (summed_type,), None, None, inverse_format),
        Part(
            name,
            "softmax",
            product,
            product,
            value,
            (exp_format, inverse_format),
            result,
            result,
            None if output is None else output.format,
        ),
    )
    return value, parts if input is not None else parts[1:]


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


def _apart(grid: FixedPoint) -> FixedPoint:
    """The format of how far two numbers of a format are apart."""
    return FixedPoint(int(grid.width), int(grid.integer), False, Rounding.TRN, Overflow.WRAP)
