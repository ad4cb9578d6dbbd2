"""Columns from rows of text, some thousand rows at a time, so that a large file fits in memory."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchq.errors import DataError

CHUNK = 20_000
MISSING = frozenset({"", "?", "NA", "N/A", "null", "None"})
"""Cells that mean "no value"; they become NaN."""


def read_columns(
    rows: Iterable[Sequence[str]], names: Sequence[str], numbers: Sequence[str], label: str | None, where: str
) -> Mapping[str, NDArray[Any]]:
    """Columns of numbers and the column of labels.

    Args:
        rows: cells of each row.
        names: names of all columns.
        numbers: names of the columns that are numbers.
        label: name of the column that is text, or None.
        where: file, for messages.

    Returns:
        Arrays ``[rows]`` by name: float64, and text for the label.

    Raises:
        DataError: a row has too many or too few cells, or a cell is no number.

    Example:
        >>> found = read_columns([["1.5", "g"], ["?", "q"]], ["mass", "class"], ["mass"], "class", "my.csv")
        >>> found["mass"], found["class"]
        (array([1.5, nan]), array(['g', 'q'], dtype='<U1'))
    """
    places = {name: names.index(name) for name in numbers}
    chunks: dict[str, list[NDArray[np.float64]]] = {name: [] for name in numbers}
    labels: list[str] = []
    source, first = iter(rows), 1
    while chunk := list(itertools.islice(source, CHUNK)):
        for number, row in enumerate(chunk, first):
            if len(row) != len(names):
                raise DataError(
                    f"{where}: row {number} has {len(row)} cells and needs {len(names)}",
                    hint="each row needs one cell for each column",
                )
        for name, place in places.items():
            chunks[name].append(_floats([row[place] for row in chunk], name, first, where))
        if label is not None:
            place = names.index(label)
            labels.extend(row[place].strip() for row in chunk)
        first += len(chunk)
    held: dict[str, NDArray[Any]] = {
        name: np.concatenate(parts) if parts else np.empty(0) for name, parts in chunks.items()
    }
    if label is not None:
        held[label] = np.array(labels, dtype=np.str_)
    return held


def _floats(cells: list[str], name: str, first: int, where: str) -> NDArray[np.float64]:
    try:
        return np.array(cells, dtype=np.str_).astype(np.float64)
    except ValueError:
        pass
    values = np.empty(len(cells))
    for index, cell in enumerate(cells):
        text = cell.strip()
        try:
            values[index] = np.nan if text in MISSING else float(text)
        except ValueError:
            raise DataError(
                f"{where}: {text!r} in row {first + index} of column {name!r} is not a number",
                hint="repair or remove this row",
            ) from None
    return values
