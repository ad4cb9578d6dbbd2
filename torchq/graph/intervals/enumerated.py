"""Ranges by enumeration: the smallest and the largest of the values that belong to the codes in a range."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from torchq.graph.intervals.codes import Codes
from torchq.graph.intervals.interval import Interval


def between(codes: Codes, fraction: int, first: int, x: Interval) -> Interval:
    """The smallest and the largest of ``codes[x.low - first : x.high - first + 1]``, for each element.

    Example:
        >>> x = Interval(np.array([0, 1]), np.array([2, 1]), 0)
        >>> y = between(np.array([5, -3, 4]), 0, 0, x)
        >>> y.low.tolist(), y.high.tolist()
        ([-3, -3], [5, -3])
    """
    pairs = np.stack([x.low.ravel(), x.high.ravel()], axis=1).astype(np.int64) - first
    kinds, index = np.unique(pairs, axis=0, return_inverse=True)
    parts = [codes[low : high + 1] for low, high in kinds.tolist()]
    ends = [np.array([f(part) for part in parts], dtype=codes.dtype) for f in (np.min, np.max)]
    low, high = (end[index.reshape(-1)].reshape(x.shape) for end in ends)
    return Interval(low, high, fraction)


def codes_between(x: Interval) -> npt.NDArray[np.int64]:
    """All codes from the smallest to the largest of a range, ends included."""
    whole = x.over()
    return np.arange(int(whole.low), int(whole.high) + 1, dtype=np.int64)
