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
    """The volume that the points cover above a reference point, exactly. All columns are maximised.

    With two columns by one sweep; with more, by slices along the last column, which takes a time that grows
    with the number of points to the power of columns less one.

    Args:
        values: finite numbers, shape ``(trials, objectives)``.
        reference: the corner that the volume is measured from, shape ``(objectives,)``; points that are not
            above it in every column add nothing.

    Returns:
        The volume of the union of the boxes between the reference and each point.

    Example:
        >>> hypervolume([[1.0, 3.0], [2.0, 2.0]], [0.0, 0.0])
        5.0
        >>> hypervolume([[1.0, 3.0, 2.0], [2.0, 2.0, 1.0]], [0.0, 0.0, 0.0])
        8.0
    """
    corner = np.asarray(reference, dtype=np.float64)
    table = np.asarray(values, dtype=np.float64).reshape(-1, len(corner)) - corner
    return _volume(table[(table > 0).all(axis=1)])


def _volume(table: NDArray[np.float64]) -> float:
    """The union of the boxes between 0 and each row."""
    if len(table) == 0:
        return 0.0
    if table.shape[1] == 1:
        return float(table.max())
    table = table[non_dominated(table)]
    if table.shape[1] == 2:
        area, height = 0.0, 0.0
        for width, top in sorted(map(tuple, table), reverse=True):
            if top > height:
                area += width * (top - height)
                height = top
        return float(area)
    table = table[np.argsort(-table[:, -1], kind="stable")]
    below = np.append(table[1:, -1], 0.0)
    return sum(
        float(table[row, -1] - below[row]) * _volume(table[: row + 1, :-1])
        for row in range(len(table))
        if table[row, -1] > below[row]
    )
