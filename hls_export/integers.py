"""Fixed-point arithmetic on integer codes of any size: what float64 cannot hold.

Codes are Python integers in object arrays, or int64 where the caller has made sure that nothing overflows.
The rounding here is by shifts and remainders of integers; the tests hold it against the one of
:mod:`torchq.formats`, which works on floats.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from torchq.formats import FixedPoint, Overflow, Rounding

Codes = npt.NDArray[Any]

_INT64 = 2.0**62


def to_codes(values: npt.NDArray[np.float64], fraction: int) -> Codes:
    """The integers ``values * 2**fraction``; the values must stand on that grid.

    Example:
        >>> to_codes(np.array([0.75, -2.0]), 2).tolist()
        [3, -8]
    """
    exact = np.asarray(values, dtype=np.float64)
    with np.errstate(over="ignore"):
        scaled = np.ldexp(exact, fraction)
    if np.all(np.abs(scaled) < _INT64) and np.array_equal(scaled, np.rint(scaled)):
        return np.asarray(scaled.astype(np.int64).astype(object))
    return objects([_code(v, fraction) for v in exact.ravel().tolist()], exact.shape)


def objects(flat: list[Any], shape: tuple[int, ...]) -> Codes:
    """An object array of this shape from a flat list."""
    codes = np.empty(len(flat), dtype=object)
    codes[:] = flat
    return codes.reshape(shape)


def to_values(codes: Codes, fraction: int) -> npt.NDArray[np.float64]:
    """``codes * 2**-fraction`` as float64, exact as long as each code has at most 53 significant bits."""
    flat = [
        float(c << -fraction) if fraction < 0 else c / (1 << fraction)
        for c in map(int, codes.ravel().tolist())
    ]
    return np.array(flat, dtype=np.float64).reshape(codes.shape)


def rescale(codes: Codes, fraction: int, to: int, rounding: Rounding) -> Codes:
    """Codes of another grid: shifted up, or rounded down.

    Example:
        >>> rescale(to_codes(np.array([0.25, 0.75]), 2), 2, 1, Rounding.RND_CONV).tolist()
        [0, 2]
    """
    shift = fraction - to
    if shift <= 0:
        return np.asarray(codes * (1 << -shift))
    low = codes >> shift
    rest = codes - (low << shift)
    half = 1 << (shift - 1)
    negative = codes < 0
    odd = (low & 1) == 1
    up: Any
    match rounding:
        case Rounding.TRN:
            return np.asarray(low)
        case Rounding.TRN_ZERO:
            up = negative & (rest > 0)
        case Rounding.RND:
            up = rest >= half
        case Rounding.RND_MIN_INF:
            up = rest > half
        case Rounding.RND_INF:
            up = np.where(negative, rest > half, rest >= half)
        case Rounding.RND_ZERO:
            up = np.where(negative, rest >= half, rest > half)
        case Rounding.RND_CONV:
            up = (rest > half) | ((rest == half) & odd)
    return np.asarray(low + np.asarray(up).astype(bool).astype(codes.dtype))


def limit(codes: Codes, low: int, high: int, width: int, overflow: Overflow) -> Codes:
    """Saturate or wrap codes into ``low .. high``."""
    if overflow is Overflow.WRAP:
        return np.asarray((codes - low) % (1 << width) + low)
    return np.asarray(np.minimum(np.maximum(codes, low), high))


def quantize(codes: Codes, fraction: int, grid: FixedPoint) -> tuple[Codes, int]:
    """Codes of ``fraction`` brought to a format.

    Returns:
        The codes and their fraction (the finest one, where the format differs by element).

    Example:
        >>> quantize(to_codes(np.array([0.3125, 9.0]), 4), 4, FixedPoint(4, 2))
        (array([1, 7], dtype=object), 2)
    """
    if grid.is_scalar:
        low, high = code_range(int(grid.width), bool(grid.signed), grid.overflow)
        out = rescale(codes, fraction, int(grid.fraction), grid.rounding)
        return limit(out, low, high, int(grid.width), grid.overflow), int(grid.fraction)
    shape = codes.shape
    fractions = np.broadcast_to(np.asarray(grid.fraction), shape)
    widths = np.broadcast_to(np.asarray(grid.width), shape)
    signs = np.broadcast_to(np.asarray(grid.signed), shape)
    finest = int(fractions.max())
    out = np.empty(shape, dtype=codes.dtype)
    for f, w, s in sorted(
        {(int(a), int(b), bool(c)) for a, b, c in zip(fractions.flat, widths.flat, signs.flat, strict=True)}
    ):
        here = (fractions == f) & (widths == w) & (signs == s)
        low, high = code_range(w, s, grid.overflow)
        part = limit(rescale(codes[here], fraction, f, grid.rounding), low, high, w, grid.overflow)
        out[here] = part * (1 << (finest - f))
    return out, finest


def code_range(width: int, signed: bool, overflow: Overflow) -> tuple[int, int]:
    """The smallest and largest code, as Python integers.

    Example:
        >>> code_range(8, True, Overflow.SAT), code_range(8, True, Overflow.SAT_SYM)
        ((-128, 127), (-127, 127))
    """
    if width == 0:
        return 0, 0
    if not signed:
        return 0, (1 << width) - 1
    top = 1 << (width - 1)
    return (1 - top if overflow is Overflow.SAT_SYM else -top), top - 1


def _code(value: float, fraction: int) -> int:
    numerator, denominator = value.as_integer_ratio()
    shift = fraction - (denominator.bit_length() - 1)
    if shift >= 0:
        return numerator << shift
    if numerator & ((1 << -shift) - 1):
        raise ValueError(f"{value!r} does not stand on the grid of 2**{-fraction}")
    return numerator >> -shift
