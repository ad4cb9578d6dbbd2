"""``Bounds``: the values that an edge can take, as integers of any size; and arithmetic with such ranges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from hls_export.integers import Codes, code_range, objects, quantize
from torchq.formats import FixedPoint, Overflow, Rounding

_INT64_BITS = 62
_MANTISSA = 53


@dataclass(frozen=True, eq=False)
class Bounds:
    """The range of every element of an edge, in codes: ``value = code * 2**-fraction``.

    Args:
        low: smallest codes, Python integers, of the node's shape.
        high: largest codes, likewise.
        fraction: bits after the point.
        reach: no value and no partial sum on the way to it is larger than this code, in magnitude.
    """

    low: Codes
    high: Codes
    fraction: int
    reach: int

    @property
    def bits(self) -> int:
        """The bits of mantissa with which a float does this edge exactly."""
        return self.reach.bit_length()

    def format(self) -> FixedPoint:
        """The smallest fixed-point type that holds every value.

        Example:
            >>> codes = objects([-3, 0], (2,)), objects([4, 0], (2,))
            >>> str(Bounds(*codes, fraction=2, reach=4).format())
            'ap_fixed<4,2,TRN,WRAP>'
        """
        low, high = min(self.low.ravel().tolist(), default=0), max(self.high.ravel().tolist(), default=0)
        signed = low < 0
        magnitude = max((-low - 1).bit_length() if signed else 0, high.bit_length())
        width = max(magnitude + int(signed), 1)
        return FixedPoint(width, width - self.fraction, signed, Rounding.TRN, Overflow.WRAP)


def ranged(low: Codes, high: Codes, fraction: int, reach: int | None = None) -> Bounds:
    """Bounds whose partial results are no larger than the results, unless told otherwise."""
    top = largest(low, high)
    return Bounds(low, high, fraction, top if reach is None else max(top, reach))


def largest(*codes: Codes) -> int:
    """The largest magnitude among codes.

    Example:
        >>> largest(objects([1, -7], (2,)), objects([3, 5], (2,)))
        7
    """
    return max((abs(int(code)) for part in codes for code in part.ravel().tolist()), default=0)


def aligned(sources: Sequence[Bounds]) -> tuple[list[Bounds], int]:
    """The same ranges on the finest grid among them, and its fraction."""
    fraction = max(source.fraction for source in sources)
    return [_finer(source, fraction) for source in sources], fraction


def _finer(source: Bounds, fraction: int) -> Bounds:
    up = 1 << (fraction - source.fraction)
    return Bounds(source.low * up, source.high * up, fraction, source.reach * up)


def products(corners: Sequence[tuple[Codes, Codes]]) -> tuple[Codes, Codes]:
    """The smallest and the largest of products, elementwise."""
    made = [a * b for a, b in corners]
    low, high = made[0], made[0]
    for other in made[1:]:
        low, high = np.minimum(low, other), np.maximum(high, other)
    return low, high


def sums_of_products(x: Bounds, weight: Codes) -> tuple[Codes, Codes, Codes]:
    """Smallest and largest ``x @ weight``, and the largest sum of magnitudes; in int64 where that is safe.

    Args:
        x: ``[..., k]``, perhaps with axes in front along which ``weight`` differs.
        weight: ``[..., k, n]``.
    """
    most = np.maximum(abs(x.low), abs(x.high))
    bits = largest(most).bit_length() + largest(weight).bit_length() + weight.shape[-2].bit_length()
    kind = np.int64 if bits <= _INT64_BITS else object
    low, high, most, w = (v.astype(kind) for v in (x.low, x.high, most, weight))
    up, down = np.maximum(w, 0), np.minimum(w, 0)
    results = (low @ up + high @ down, high @ up + low @ down, most @ (up - down))
    smallest, biggest, reach = (objects(r.ravel().tolist(), r.shape) for r in results)
    return smallest, biggest, reach


def quantized(node_shape: tuple[int, ...], grid: FixedPoint, source: Bounds | None) -> Bounds:
    """What leaves a quantizer; ``source`` is None behind the raw input."""
    low, high, fraction = full_range(grid, node_shape)
    if source is not None:
        first, f = quantize(source.low, source.fraction, grid)
        last, _ = quantize(source.high, source.fraction, grid)
        wraps = grid.overflow is Overflow.WRAP and _leaves(source, grid)
        if not wraps:
            low, high, fraction = first, last, f
    return ranged(low, high, fraction)


def full_range(grid: FixedPoint, shape: tuple[int, ...]) -> tuple[Codes, Codes, int]:
    """The lowest and highest code of each element of a format, on its finest grid."""
    fractions = np.broadcast_to(np.asarray(grid.fraction), shape).ravel().tolist()
    widths = np.broadcast_to(np.asarray(grid.width), shape).ravel().tolist()
    signs = np.broadcast_to(np.asarray(grid.signed), shape).ravel().tolist()
    finest_fraction = max(fractions, default=0)
    ranges = [code_range(w, bool(s), grid.overflow) for w, s in zip(widths, signs, strict=True)]
    ups = [1 << (finest_fraction - f) for f in fractions]
    low = objects([r[0] * u for r, u in zip(ranges, ups, strict=True)], shape)
    high = objects([r[1] * u for r, u in zip(ranges, ups, strict=True)], shape)
    return low, high, finest_fraction


def finest(values: npt.NDArray[np.float64]) -> int:
    """The fewest bits after the point with which all values are whole codes; 0 for zeros alone.

    Example:
        >>> finest(np.array([0.75, 3.0])), finest(np.array([4.0, 0.0])), finest(np.zeros(2))
        (2, -2, 0)
    """
    values = np.asarray(values, dtype=np.float64)
    mantissa, exponent = np.frexp(values[values != 0])
    if not mantissa.size:
        return 0
    whole = np.abs(np.ldexp(mantissa, _MANTISSA)).astype(np.int64)
    zeros = np.frexp((whole & -whole).astype(np.float64))[1] - 1
    return int(np.max(_MANTISSA - exponent - zeros))


def _leaves(source: Bounds, grid: FixedPoint) -> bool:
    """Whether any value of the source lies outside a format's range, once rounded."""
    for codes in (source.low, source.high):
        wrapped, f = quantize(codes, source.fraction, grid)
        free = replace(
            grid, width=np.asarray(grid.width) * 0 + 4096, integer=4096 - np.asarray(grid.fraction)
        )
        unwrapped, g = quantize(codes, source.fraction, free)
        if not (wrapped * (1 << max(g - f, 0)) == unwrapped * (1 << max(f - g, 0))).all():
            return True
    return False
