"""Tensors in units of their own: each is a number that hardware holds, times a factor that it does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

SAME = 2.0**-20
"""Factors closer than this are one: scales are float32 in files, and their products are rounded to it."""

METADATA = "torchq.rescaled"
"""Under this key a rewritten file says what was rounded, and what that costs."""


def split(values: Any) -> tuple[Array, npt.NDArray[np.int64]]:
    """Positive numbers as ``rest * 2**power`` with a rest from 1 to below 2.

    Example:
        >>> split(np.array([0.75, 4.0]))
        (array([1.5, 1. ]), array([-1,  2]))
    """
    mantissa, exponent = np.frexp(np.asarray(values, dtype=np.float64))
    return np.asarray(mantissa * 2.0), np.asarray(exponent, dtype=np.int64) - 1


def one(values: Any) -> bool:
    """Whether factors are 1, but for the rounding of float32."""
    return bool(np.all(np.abs(np.asarray(values) - 1.0) < SAME))


@dataclass(frozen=True, eq=False)
class Multiplier:
    """A factor in few bits: ``codes * 2**power``, each value with as many bits as there are.

    Example:
        >>> m = multiplier(np.array([0.3]), 4)
        >>> m.values.tolist(), m.bits, m.power.tolist()
        ([0.3125], 4, [-5])
    """

    values: Array
    power: npt.NDArray[np.int64]
    bits: int
    error: float


def multiplier(wanted: Any, bits: int) -> Multiplier:
    """The nearest numbers of ``bits`` bits to positive ones; the error is relative."""
    exact = np.asarray(wanted, dtype=np.float64)
    _, power = split(exact)
    power = np.maximum(power, np.max(power) - bits)  # what is far smaller than the rest gets fewer bits
    step = np.exp2(power - (bits - 1.0))
    values = np.rint(exact / step) * step
    step = np.where(values / step >= 2.0**bits, 2 * step, step)
    error = float(np.max(np.abs(values / exact - 1.0)))
    return Multiplier(values, np.asarray(np.log2(step), dtype=np.int64), bits, error)


def rounded(wanted: Any, bits: int) -> tuple[Array, int]:
    """The nearest numbers on one grid of ``bits`` bits, and its power."""
    exact = np.asarray(wanted, dtype=np.float64)
    most = float(np.max(np.abs(exact), initial=0.0))
    if most == 0.0:
        return np.zeros_like(exact), 0
    _, power = split(np.array(most))
    step = int(power) + 2 - bits
    limit = 2.0 ** (bits - 1) - 1
    return np.clip(np.rint(exact * 2.0**-step), -limit, limit) * 2.0**step, step
