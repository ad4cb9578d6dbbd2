"""Canonical signed digits of constants: what a multiplication by a constant costs in adders."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.int64]

_ENUMERATED_BITS = 12
_LISTED = 4096
_MASKS = (0x5555555555555555, 0x3333333333333333, 0x0F0F0F0F0F0F0F0F, 0x0101010101010101)


def digits(codes: Codes) -> Codes:
    """How many non-zero digits the canonical signed digit form of each code has.

    They are the bits in which ``n`` and ``3n`` differ (Reitwiesner, Binary Arithmetic, 1960).

    Args:
        codes: integers below ``2**60`` of any shape.

    Example:
        >>> digits(np.array([0, 1, 7, -7, 11])).tolist()
        [0, 1, 2, 2, 3]
    """
    magnitude = np.abs(np.asarray(codes, np.int64))
    if magnitude.max(initial=0) < _LISTED:
        return np.asarray(_listed()[magnitude])
    return _counted(magnitude)


@lru_cache(maxsize=1)
def _listed() -> Codes:
    """The digits of small numbers, looked up by a search that prices thousands of schemes."""
    return _counted(np.arange(_LISTED))


def _counted(codes: Codes) -> Codes:
    magnitude = codes.astype(np.uint64)
    found: Any = magnitude ^ (magnitude * np.uint64(3))
    one, two, four, top = (np.uint64(n) for n in (1, 2, 4, 56))
    pairs, quads, bytes_, ones = (np.uint64(mask) for mask in _MASKS)
    found = found - ((found >> one) & pairs)
    found = (found & quads) + ((found >> two) & quads)
    found = (found + (found >> four)) & bytes_
    return np.asarray((found * ones) >> top, np.int64)


def odd_parts(codes: Codes) -> Codes:
    """Magnitudes without their factors of two; 0 stays 0.

    Example:
        >>> odd_parts(np.array([0, 1, -12, 40])).tolist()
        [0, 1, 3, 5]
    """
    magnitude = np.abs(np.asarray(codes, np.int64))
    return np.asarray(magnitude // np.maximum(magnitude & -magnitude, 1))


class Expected(NamedTuple):
    """What to expect of a weight of which only the width is known: all codes but zero are equally likely.

    Args:
        digits: the mean number of signed digits.
        deepest: the largest number.
        odd_bits: the mean bits of its odd part, less one.
        chances: how likely each odd part above 1 is.
        parts: their numbers of digits.
    """

    digits: float
    deepest: int
    odd_bits: float
    chances: npt.NDArray[np.float64]
    parts: Codes


@lru_cache(maxsize=64)
def expected(width: int) -> Expected:
    """Over all signed codes of a width that are not zero; wider ones than 12 bits by the growth of the mean.

    Example:
        >>> expected(2).digits, round(expected(6).digits, 2), round(expected(16).digits, 2)
        (1.0, 2.12, 5.44)
    """
    listed = min(max(width, 2), _ENUMERATED_BITS)
    codes = np.arange(1, 2 ** (listed - 1) + 1, dtype=np.int64)
    found = digits(codes)
    mean = float(found.mean()) + max(width - listed, 0) / 3  # a third of the digits is not zero
    bits = float(np.floor(np.log2(odd_parts(codes))).mean()) + max(width - listed, 0)
    parts, index = np.unique(odd_parts(codes), return_inverse=True)
    chances = np.bincount(index) / len(codes)
    return Expected(mean, (max(width, 2) + 1) // 2, bits, chances[parts > 1], digits(parts[parts > 1]))
