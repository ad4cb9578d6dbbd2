"""Integers of any size in arrays: int64 where it is proven that they fit, Python integers elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[Any]
"""Integers: an int64 array, or an object array of Python integers."""

INT64_BITS = 62
"""Magnitudes of this many bits, and a sum of two of them, fit into an int64."""

MANTISSA_BITS = 53
"""Float64 holds every integer of this many bits."""


def magnitude_bits(codes: Codes) -> int:
    """The bits of the largest magnitude.

    Example:
        >>> magnitude_bits(np.array([-4, 3])), magnitude_bits(np.zeros(0, np.int64))
        (3, 0)
    """
    if not codes.size:
        return 0
    return max(abs(int(codes.min())), abs(int(codes.max()))).bit_length()


def roomy(bits: int, *arrays: Codes) -> tuple[Codes, ...]:
    """The same integers in a type in which results of ``bits`` bits fit.

    Example:
        >>> [a.dtype.kind for a in roomy(40, np.array([1])) + roomy(90, np.array([1]))]
        ['i', 'O']
    """
    kind: Any = np.int64 if bits <= INT64_BITS else object
    return tuple(array if array.dtype == kind else array.astype(kind) for array in arrays)


def slim(codes: Any) -> Codes:
    """The same integers as int64, if all of them fit.

    Example:
        >>> slim(np.array([2**70], dtype=object)).dtype.kind, slim(np.array([5], dtype=object)).dtype.kind
        ('O', 'i')
    """
    (array,) = roomy(magnitude_bits(np.asarray(codes)), np.asarray(codes))
    return array


def shifted(codes: Codes, up: int) -> Codes:
    """``codes * 2**up``, for ``up`` of at least 0."""
    if up == 0 or not codes.size:
        return codes
    (wide,) = roomy(magnitude_bits(codes) + up, codes)
    return np.asarray(wide * (1 << up))


def finest(values: npt.NDArray[np.float64]) -> int:
    """The fewest bits after the point with which all values are whole codes; 0 for zeros alone.

    Example:
        >>> finest(np.array([0.75, 3.0])), finest(np.array([4.0, 0.0])), finest(np.zeros(2))
        (2, -2, 0)
    """
    mantissa, exponent = np.frexp(values[values != 0])
    if not mantissa.size:
        return 0
    whole = np.abs(np.ldexp(mantissa, MANTISSA_BITS)).astype(np.int64)
    zeros = np.frexp((whole & -whole).astype(np.float64))[1] - 1
    return int(np.max(MANTISSA_BITS - exponent - zeros))


def to_codes(values: npt.NDArray[np.float64], fraction: int) -> Codes:
    """The integers ``values * 2**fraction``.

    Raises:
        ValueError: a value that does not stand on that grid, or is not finite.

    Example:
        >>> to_codes(np.array([0.75, -2.0]), 2).tolist()
        [3, -8]
    """
    values = np.asarray(values, dtype=np.float64)
    with np.errstate(over="ignore", under="ignore"):
        scaled = np.ldexp(values, fraction)
    if np.all(np.abs(scaled) < 2.0**INT64_BITS):
        codes = scaled.astype(np.int64)
        if np.array_equal(np.ldexp(codes.astype(np.float64), -fraction), values):
            return codes
    return of_list([_code(v, fraction) for v in values.ravel().tolist()], values.shape)


def of_list(flat: Sequence[int], shape: tuple[int, ...]) -> Codes:
    """Python integers as an array of a shape."""
    codes = np.empty(len(flat), dtype=object)
    codes[:] = flat
    return slim(codes.reshape(shape))


def outward(codes: Codes, fraction: int, up: bool) -> npt.NDArray[np.float64]:
    """``codes * 2**-fraction`` in float64: exact for 53 bits, else the next number below, or above.

    Example:
        >>> outward(np.array([3]), 1, up=True).tolist()
        [1.5]
        >>> wide = np.array([2**60 + 1], dtype=object)
        >>> [int(outward(wide, 0, up)[0]) - 2**60 for up in (False, True)]
        [0, 256]
    """
    if magnitude_bits(codes) <= MANTISSA_BITS:
        floats = codes.astype(np.float64)
    else:
        flat = [_outward(int(code), up) for code in codes.ravel().tolist()]
        floats = np.array(flat, dtype=np.float64).reshape(codes.shape)
    return np.asarray(np.ldexp(floats, -fraction))


def _outward(code: int, up: bool) -> float:
    near = float(code)
    beyond = int(near) < code if up else int(near) > code
    return float(np.nextafter(near, np.inf if up else -np.inf)) if beyond else near


def _code(value: float, fraction: int) -> int:
    if not np.isfinite(value):
        raise ValueError(f"{value!r} is no code")
    numerator, denominator = value.as_integer_ratio()
    shift = fraction - (denominator.bit_length() - 1)
    if shift >= 0:
        return numerator << shift
    if numerator & ((1 << -shift) - 1):
        raise ValueError(f"{value!r} does not stand on the grid of 2**{-fraction}")
    return numerator >> -shift
