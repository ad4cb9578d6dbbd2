"""``Interval``: the range of every element of a tensor, exactly, and the arithmetic of such ranges."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt

from torchq.formats import FixedPoint, Format, Overflow, PowerOfTwo, Rounding
from torchq.graph.intervals.codes import (
    Codes,
    finest,
    magnitude_bits,
    of_list,
    outward,
    roomy,
    shifted,
    slim,
    to_codes,
)
from torchq.nn.types import fixed


@dataclass(frozen=True, eq=False)
class Interval:
    """The smallest and the largest value of each element, in codes: ``value = code * 2**-fraction``.

    All values of the element stand on the grid ``2**-fraction``.

    Args:
        low: smallest codes, of the shape of one sample.
        high: largest codes, likewise.
        fraction: bits after the point, for all elements.

    Example:
        >>> x = Interval(np.array([-3, 0]), np.array([4, 0]), 2)
        >>> x.shape, str(x.format())
        ((2,), 'ap_fixed<4,2,TRN,WRAP>')
    """

    low: Codes
    high: Codes
    fraction: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample."""
        return self.low.shape

    def format(self) -> FixedPoint:
        """The smallest fixed-point type that holds every value of every element."""
        low = min(int(self.low.min()), 0) if self.low.size else 0
        high = max(int(self.high.max()), 0) if self.high.size else 0
        signed = low < 0
        magnitude = max((-low - 1).bit_length() if signed else 0, high.bit_length())
        width = max(magnitude + int(signed), 1)
        return FixedPoint(width, width - self.fraction, signed, Rounding.TRN, Overflow.WRAP)

    def ends(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Both ends in float64; where one has more than 53 bits, the next number outside."""
        return outward(self.low, self.fraction, False), outward(self.high, self.fraction, True)

    def contains(self, values: npt.ArrayLike) -> bool:
        """Whether all values, of a batch ``[n, *shape]``, stand on the grid and between the ends.

        Example:
            >>> x = Interval(np.array([-1]), np.array([2]), 1)
            >>> x.contains([[0.5], [1.0]]), x.contains([[1.5]]), x.contains([[0.25]])
            (True, False, False)
        """
        try:
            codes = to_codes(np.asarray(values, dtype=np.float64), self.fraction)
        except ValueError:
            return False
        return bool(np.all(codes >= self.low) and np.all(codes <= self.high))

    def mapped(self, move: Callable[[Codes], Codes]) -> Interval:
        """With both ends moved: reshaped, transposed, selected."""
        return Interval(move(self.low), move(self.high), self.fraction)

    def over(self) -> Interval:
        """The range of all elements together, of shape ``()``; of nothing, it is 0."""
        low = int(self.low.min()) if self.low.size else 0
        high = int(self.high.max()) if self.high.size else 0
        return Interval(of_list([low], ()), of_list([high], ()), self.fraction)


Value = Interval | tuple[Any, ...] | None
"""The range of what leaves a node; nested tuples where it is a tuple; None where nothing is known."""


def point(values: npt.ArrayLike) -> Interval:
    """Constants: every element has one value.

    Raises:
        ValueError: a value that is not finite.
    """
    numbers = np.asarray(values, dtype=np.float64)
    fraction = finest(numbers)
    codes = to_codes(numbers, fraction)
    return Interval(codes, codes, fraction)


def full(format: Format, shape: tuple[int, ...]) -> Interval | None:
    """All that a format can say, at each element; None where it stands on no fixed-point grid.

    Example:
        >>> x = full(FixedPoint(np.array([4, 0]), np.array([2, 1])), (2,))
        >>> x.low.tolist(), x.high.tolist(), x.fraction
        ([-8, 0], [7, 0], 2)
    """
    if isinstance(format, PowerOfTwo):
        span = format.exponent_max - format.exponent_min
        low, high = -(1 << span) if format.signed else 1, 1 << span
        return _filled(low, high, shape, -format.exponent_min)
    grid = format if isinstance(format, FixedPoint) else fixed(format)
    if grid is None:
        return None
    if grid.is_scalar:
        low, high = _code_range(int(grid.width), bool(grid.signed), grid.overflow)
        return _filled(low, high, shape, int(grid.fraction))
    fields = (np.broadcast_to(np.asarray(f), shape) for f in (grid.width, grid.signed, grid.fraction))
    widths, signs, fractions = (field.ravel().tolist() for field in fields)
    finest_fraction = max(fractions, default=0)
    ranges = [_code_range(w, bool(s), grid.overflow) for w, s in zip(widths, signs, strict=True)]
    ups = [1 << (finest_fraction - f) for f in fractions]
    lows = of_list([r[0] * up for r, up in zip(ranges, ups, strict=True)], shape)
    highs = of_list([r[1] * up for r, up in zip(ranges, ups, strict=True)], shape)
    return Interval(lows, highs, finest_fraction)


def added(*terms: Interval) -> Interval:
    """The range of a sum of tensors whose shapes broadcast."""
    return reduce(_plus, terms)


def subtracted(a: Interval, b: Interval) -> Interval:
    """The range of ``a - b``."""
    return added(a, Interval(-b.high, -b.low, b.fraction))


def multiplied(a: Interval, b: Interval) -> Interval:
    """The range of ``a * b``, for tensors that have nothing to do with each other.

    Example:
        >>> x = Interval(np.array([-2]), np.array([3]), 0)
        >>> y = multiplied(x, x)
        >>> y.low.tolist(), y.high.tolist()
        ([-6], [9])
    """
    bits = sum(max(magnitude_bits(x.low), magnitude_bits(x.high)) for x in (a, b))
    al, ah, bl, bh = roomy(bits, a.low, a.high, b.low, b.high)
    corners = (al * bl, al * bh, ah * bl, ah * bh)
    low, high = reduce(np.minimum, corners), reduce(np.maximum, corners)
    return Interval(slim(low), slim(high), a.fraction + b.fraction)


def squared(x: Interval) -> Interval:
    """The range of ``x * x``."""
    (low, high) = roomy(2 * max(magnitude_bits(x.low), magnitude_bits(x.high)), x.low, x.high)
    ends = low * low, high * high
    least = np.where((low <= 0) & (high >= 0), 0, np.minimum(*ends)).astype(low.dtype)
    return Interval(slim(least), slim(np.maximum(*ends)), 2 * x.fraction)


def summed(x: Interval, axes: tuple[int, ...], keepdims: bool = False) -> Interval:
    """The range of a sum along some axes."""
    count = int(np.prod([x.shape[axis] for axis in axes], dtype=np.int64))
    bits = max(magnitude_bits(x.low), magnitude_bits(x.high)) + count.bit_length()
    ends = [np.asarray(c.sum(axis=axes, keepdims=keepdims)) for c in roomy(bits, x.low, x.high)]
    return Interval(slim(ends[0]), slim(ends[1]), x.fraction)


def hull(*parts: Interval) -> Interval:
    """The range of what is in one or another of them, element by element."""
    ends, fraction = aligned(parts)
    lows, highs = zip(*ends, strict=True)
    return Interval(reduce(np.minimum, lows), reduce(np.maximum, highs), fraction)


def narrowed(x: Interval, within: Interval) -> Interval:
    """The range of what is in both, on the grid of ``x``, where ``within`` is known to hold ``x`` as well."""
    ((low, high), (least, most)), fraction = aligned((x, within))
    return Interval(np.maximum(low, least), np.minimum(high, most), fraction)


def joined(parts: Sequence[Interval], axis: int) -> Interval:
    """One after the other along an axis."""
    ends, fraction = aligned(parts)
    lows, highs = zip(*ends, strict=True)
    return Interval(np.concatenate(lows, axis), np.concatenate(highs, axis), fraction)


def stacked(parts: Sequence[Interval]) -> Interval:
    """Along a new first axis."""
    return joined([part.mapped(lambda c: c[None]) for part in parts], 0)


def aligned(parts: Sequence[Interval]) -> tuple[list[tuple[Codes, Codes]], int]:
    """Both ends of each, on the finest grid among them, in one type; and that grid's fraction."""
    fraction = max(part.fraction for part in parts)
    ends = [tuple(shifted(c, fraction - p.fraction) for c in (p.low, p.high)) for p in parts]
    bits = max(magnitude_bits(c) for pair in ends for c in pair)
    wide = [roomy(bits, *pair) for pair in ends]
    return [(pair[0], pair[1]) for pair in wide], fraction


def _plus(a: Interval, b: Interval) -> Interval:
    ((al, ah), (bl, bh)), fraction = aligned((a, b))
    bits = 1 + max(magnitude_bits(c) for c in (al, ah, bl, bh))
    al, ah, bl, bh = roomy(bits, al, ah, bl, bh)
    return Interval(slim(al + bl), slim(ah + bh), fraction)


def _filled(low: int, high: int, shape: tuple[int, ...], fraction: int) -> Interval:
    ends = [np.broadcast_to(of_list([end], ()), shape).copy() for end in (low, high)]
    return Interval(ends[0], ends[1], fraction)


def _code_range(width: int, signed: bool, overflow: Overflow) -> tuple[int, int]:
    """The smallest and the largest code, as Python integers; of no bits it is 0."""
    if width == 0:
        return 0, 0
    top = 1 << (width - int(signed))
    if not signed:
        return 0, top - 1
    return (1 - top if overflow is Overflow.SAT_SYM else -top), top - 1


def known(f: Callable[..., Interval], *parts: Interval | None) -> Interval | None:
    """``f`` of all parts; None where one of them is not known."""
    there = [part for part in parts if part is not None]
    return f(*there) if len(there) == len(parts) else None
