"""Comma-separated values with a header."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from torchq.data.files.cells import read_columns
from torchq.data.files.frame import Frame
from torchq.errors import DataError

SEPARATORS = ",;\t "


def open_csv(path: Path, _features: Sequence[str]) -> Frame:
    """A file whose first line names the columns, apart by comma, semicolon, tab or space.

    Raises:
        DataError: the file is empty, has no UTF-8 text, or a row of it cannot be read.
    """
    where = str(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            line = file.readline()
    except UnicodeDecodeError as fault:
        raise _not_text(where) from fault
    if not line.strip():
        raise DataError(f"{where}: holds no header", hint="the first line needs to name the columns")
    separator = max(SEPARATORS, key=line.count)
    names = tuple(name.strip() for name in next(csv.reader([line], delimiter=separator)))

    def read(numbers: Sequence[str], label: str | None) -> Mapping[str, NDArray[Any]]:
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                rows = csv.reader(file, delimiter=separator)
                next(rows)
                return read_columns((row for row in rows if row), names, numbers, label, where)
        except UnicodeDecodeError as fault:
            raise _not_text(where) from fault
        except csv.Error as fault:
            raise DataError(f"{where}: no table of comma-separated values ({fault})") from fault

    return Frame(where, names, read)


def _not_text(where: str) -> DataError:
    return DataError(f"{where}: is not UTF-8 text", hint="save the table as CSV in UTF-8")
