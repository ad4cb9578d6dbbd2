"""Which outcomes no other one beats, and how much they cover together: plain numpy, more is better."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def non_dominated(values: ArrayLike) -> NDArray[np.bool_]:
    """Which rows no other row dominates. Every column is maximised.

    A row dominates another if it is nowhere lower and somewhere higher; equal rows do not dominate each
    other.

    Args:
        values: finite numbers, shape ``(trials, objectives)``.

    Returns:
        Booleans, shape ``(trials,)``.

    Example:
        >>> non_dominated([[1.0, 3.0], [2.0, 2.0], [1.0, 2.0]]).tolist()
        [True, True, False]
    """
    table = np.asarray(values, dtype=np.float64)
    if table.size == 0:
        return np.zeros(len(table), dtype=np.bool_)
    nowhere_lower = np.all(table[None, :, :] >= table[:, None, :], axis=2)
    somewhere_higher = np.any(table[None, :, :] > table[:, None, :], axis=2)
    dominated: NDArray[np.bool_] = np.any(nowhere_lower & somewhere_higher, axis=1)
    return ~dominated


def hypervolume(values: ArrayLike, reference: ArrayLike) -> float:
    """The area that the points cover above a reference point, exactly. Both columns are maximised.

    Args:
        values: finite numbers, shape ``(trials, 2)``.
        reference: the corner that the area is measured from, shape ``(2,)``; points that are not above it in
            both columns add nothing.

    Returns:
        The area of the union of the rectangles between the reference and each point.

    Example:
        >>> hypervolume([[1.0, 3.0], [2.0, 2.0]], [0.0, 0.0])
        5.0
    """
    corner = np.asarray(reference, dtype=np.float64)
    table = np.asarray(values, dtype=np.float64).reshape(-1, 2) - corner
    table = table[(table > 0).all(axis=1)]
    area, height = 0.0, 0.0
    for width, top in sorted(map(tuple, table), reverse=True):
        if top > height:
            area += width * (top - height)
            height = top
    return float(area)
