"""A table of features and classes, as read and before it is split, with the checks every source passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchq.errors import DataError

SMALLEST_CLASS = 3
"""Samples that a class needs: one each for training, validation and test."""


@dataclass(frozen=True)
class Table:
    """Features and classes as they came, not yet split or standardised.

    Attributes:
        where: file or source, for messages.
        source: one sentence on what the data is, for reports.
        x: features, ``[rows, features]``, in their own units.
        y: class of each row, int64 ``[rows]``, into ``classes``.
        classes: names of the classes.
        features: names of the columns of ``x``.
    """

    where: str
    source: str
    x: NDArray[Any]
    y: NDArray[np.int64]
    classes: tuple[str, ...]
    features: tuple[str, ...]


def check(table: Table) -> Table:
    """The same table, if a training can use it.

    Raises:
        DataError: the table is empty, a feature holds NaN or infinity, or a class has fewer than three
            samples.

    Example:
        >>> check(Table("a.csv", "", np.empty((0, 1)), np.empty(0, np.int64), ("g",), ("mass",)))
        Traceback (most recent call last):
        ...
        torchq.errors.DataError: a.csv: holds no samples; give a file with at least one row
    """
    rows = len(table.x)
    if rows == 0:
        raise DataError(f"{table.where}: holds no samples", hint="give a file with at least one row")
    faults = []
    for column, name in zip(table.x.T, table.features, strict=True):
        bad = ~np.isfinite(column)
        if bad.any():
            count, first = int(bad.sum()), int(bad.argmax()) + 1
            faults.append(
                f"feature {name!r} is not a finite number in {count} of {rows} rows, first in row {first}"
            )
    if faults:
        raise DataError(f"{table.where}: {'; '.join(faults)}", hint="repair or remove these rows")
    counts = np.bincount(table.y, minlength=len(table.classes))
    for name, count in zip(table.classes, counts, strict=True):
        if count < SMALLEST_CLASS:
            samples = "1 sample" if count == 1 else f"{count} samples"
            raise DataError(
                f"{table.where}: class {name!r} has {samples} and needs at least {SMALLEST_CLASS}, "
                "one each for training, validation and test",
                hint=f"add samples of class {name!r}",
            )
    return table


def class_numbers(
    labels: Sequence[str] | NDArray[Any], classes: Sequence[str], where: str
) -> NDArray[np.int64]:
    """The numbers of named classes.

    Args:
        labels: name of each row's class, ``[rows]``.
        classes: names in the order wanted.
        where: file, for messages.

    Returns:
        int64 ``[rows]``.

    Raises:
        DataError: a name is none of the classes.

    Example:
        >>> class_numbers(["t", "g"], ("g", "q", "w", "z", "t"), "my.csv")
        array([4, 0])
    """
    names, inverse = np.unique(np.asarray(labels, dtype=np.str_), return_inverse=True)
    numbers = {name: number for number, name in enumerate(classes)}
    for index, name in enumerate(names):
        if str(name) not in numbers:
            row = int((inverse == index).argmax()) + 1
            raise DataError(
                f"{where}: class {str(name)!r} in row {row} is none of {', '.join(classes)}",
                hint="write the class of each row by one of these names",
            )
    found = np.array([numbers[str(name)] for name in names], dtype=np.int64)
    return found[inverse.reshape(-1)]
