"""Stratified splits that stay the same for a seed, and standardisation fitted on the training part."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from torchq.data.dataset import Dataset, Split, standardise
from torchq.data.table import SMALLEST_CLASS, Table
from torchq.errors import DataError

FRACTIONS = (0.64, 0.16, 0.20)
"""Parts of training, validation and test unless told otherwise."""

Rows = NDArray[np.int64]


def split(
    table: Table,
    *,
    name: str,
    seed: int = 0,
    fractions: tuple[float, float, float] = FRACTIONS,
    limit: int | None = None,
) -> Dataset:
    """Split a table and standardise it.

    Every class gives the same fraction of its samples to every part, at least one, so the parts have the
    classes of the whole. The choice comes from NumPy's legacy generator, whose numbers never change
    (NEP 19), so a seed gives the same parts under every NumPy.

    Args:
        table: a table that :func:`torchq.data.table.check` let through.
        name: name of the data set.
        seed: seed of the choice, 0 to 4294967295.
        fractions: parts of training, validation and test; positive, together 1.
        limit: use at most this many samples, chosen by class likewise.

    Raises:
        DataError: fractions, limit or seed out of range.
    """
    fractions = _checked_fractions(fractions)
    if not 0 <= seed < 2**32:
        raise DataError(f"{name}: seed must be 0 to 4294967295, got {seed}")
    counts = np.bincount(table.y, minlength=len(table.classes))
    if limit is not None and limit < SMALLEST_CLASS * len(counts):
        raise DataError(
            f"{name}: limit must be at least {SMALLEST_CLASS * len(counts)}, {SMALLEST_CLASS} for each "
            f"class, got {limit}"
        )
    random = np.random.RandomState(seed)
    kept = counts if limit is None or limit >= len(table.y) else _shares(counts, limit)
    parts: tuple[list[Rows], list[Rows], list[Rows]] = ([], [], [])
    for number, keep in enumerate(kept):
        rows = random.permutation(np.flatnonzero(table.y == number))[:keep]
        test = max(1, round(len(rows) * fractions[2]))
        valid = max(1, round(len(rows) * fractions[1]))
        while len(rows) - test - valid < 1:
            test, valid = max(1, test - 1), max(1, valid - 1)
        parts[0].append(rows[test + valid :])
        parts[1].append(rows[test : test + valid])
        parts[2].append(rows[:test])
    train, valid_rows, test_rows = (random.permutation(np.concatenate(part)) for part in parts)
    mean, scale, constant = _fit(table.x[train])

    def cut(rows: Rows) -> Split:
        return Split(standardise(table.x[rows], mean, scale), table.y[rows])

    return Dataset(
        name=name,
        source=table.source,
        classes=table.classes,
        features=table.features,
        train=cut(train),
        valid=cut(valid_rows),
        test=cut(test_rows),
        mean=mean,
        scale=scale,
        seed=seed,
        fractions=fractions,
        constant=tuple(feature for feature, flag in zip(table.features, constant, strict=True) if flag),
    )


def _checked_fractions(fractions: tuple[float, float, float]) -> tuple[float, float, float]:
    parts = tuple(float(part) for part in fractions)
    if len(parts) != 3 or not all(part > 0 for part in parts) or not math.isclose(sum(parts), 1.0):
        given = ", ".join(f"{part:g}" for part in parts)
        raise DataError(
            f"fractions must be three positive numbers that add up to 1, got {given}",
            hint="give the parts of training, validation and test, such as 0.64, 0.16, 0.2",
        )
    return parts[0], parts[1], parts[2]


def _shares(counts: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    """``limit`` divided like ``counts``, by largest remainder, with the smallest class still usable."""
    exact = counts * (limit / counts.sum())
    shares: Rows = np.maximum(np.floor(exact).astype(np.int64), SMALLEST_CLASS)
    while shares.sum() < limit:
        shares[int(np.argmax(np.where(shares < counts, exact - shares, -np.inf)))] += 1
    while shares.sum() > limit:
        shares[int(np.argmax(np.where(shares > SMALLEST_CLASS, shares - exact, -np.inf)))] -= 1
    return shares


def _fit(x: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Mean and standard deviation of each column, in float64, and which columns never change."""
    wide = x.astype(np.float64)
    constant = wide.max(axis=0) == wide.min(axis=0)
    mean = np.where(constant, wide[0], wide.mean(axis=0))
    scale = np.where(constant, 1.0, wide.std(axis=0))
    return mean, scale, constant
