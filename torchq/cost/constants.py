"""The bits that a constant needs in a multiplier: those between its highest and its lowest set bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from torchq.errors import FormatError
from torchq.formats import FixedPoint, Float, Format
from torchq.workload import UNQUANTIZED_BITS, ParamSpec

_LEADING = 1 << 52
"""The leading one of a float64's significand, which is not stored."""
_EXPONENT = 0x7FF << 52


def set_bits(values: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """The bits from the highest to the lowest set one of each number, both included, without the sign.

    Args:
        values: finite numbers.

    Example:
        >>> set_bits(np.array([0.0, 8.0, -0.375, 5.0, 11.0])).tolist()
        [0, 1, 2, 3, 4]
    """
    values = np.ascontiguousarray(values, dtype=np.float64)
    raw = values.view(np.int64)
    alive = (raw & _EXPONENT) != 0
    if np.count_nonzero(alive) != np.count_nonzero(values):  # a subnormal has no leading one
        return set_bits(np.ldexp(values, 100))
    significand = (raw & (_LEADING - 1)) | _LEADING
    lowest = (significand & -significand).astype(np.float64).view(np.int64) >> 52
    return np.asarray((53 + 1023 - lowest) * alive)


def constant_bits(spec: ParamSpec) -> int | npt.NDArray[Any]:
    """The bits of a parameter in a multiplier: one number for all, or an array of its shape.

    With known values those of :func:`set_bits`; a zero has none. Without, the most that a value of the format
    needs: its width less the sign, one bit for powers of two, ternary and binary values. What stands on no
    fixed-point grid counts as it is stored: 32 bits a value without a format.

    Example:
        >>> values = np.array([[0.5, -0.375, 0.0]])
        >>> constant_bits(ParamSpec("weight", (1, 3), FixedPoint(6, 1), zeros=1, values=values)).tolist()
        [[1, 2, 0]]
        >>> constant_bits(ParamSpec("weight", (1, 3), FixedPoint(6, 1)))
        5
    """
    format, values = spec.format, spec.values
    if values is not None and _on_a_grid(format):
        return set_bits(values)
    most: int | npt.NDArray[Any]
    if format is None:
        most = UNQUANTIZED_BITS
    elif isinstance(format, FixedPoint):
        bits = np.maximum(np.asarray(format.width) - np.asarray(format.signed), 0)
        most = int(bits) if format.is_scalar else np.broadcast_to(bits, spec.shape)
    else:
        most = int(format.width) if isinstance(format, Float) else 1
    return most if values is None else np.where(values == 0, 0, most)


def nonzero(spec: ParamSpec) -> int:
    """How many values of a parameter are not zero; where they are not known, as many as may be.

    Example:
        >>> nonzero(ParamSpec("weight", (2, 3), FixedPoint(6, 1), zeros=2))
        4
    """
    if spec.values is not None:
        return int(np.count_nonzero(spec.values))
    pruned = 0
    if isinstance(spec.format, FixedPoint):
        pruned = int(np.count_nonzero(np.broadcast_to(np.asarray(spec.format.width), spec.shape) == 0))
    return spec.count - max(spec.zeros, pruned)


def _on_a_grid(format: Format | None) -> bool:
    if format is None:
        return False
    try:
        format.as_fixed()
    except FormatError:
        return False
    return True
