"""ARFF, the text format of OpenML: dense rows of numbers and names.

The format: https://waikato.github.io/weka-wiki/formats_and_processing/arff_stable/
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from torchq.data.files.cells import read_columns
from torchq.data.files.frame import Frame
from torchq.errors import DataError

_NAME = r""""(?P<d>[^"]*)"|'(?P<s>[^']*)'|(?P<p>[^\s'"]\S*)"""
_ATTRIBUTE = re.compile(rf"@attribute\s+(?:{_NAME})\s+(?P<kind>.+)$", re.IGNORECASE)


def open_arff(path: Path, _features: Sequence[str] = ()) -> Frame:
    """The attributes by name.

    Raises:
        DataError: there is no ``@data``, a declaration cannot be read, or the rows are sparse.
    """
    where = str(path)
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        names = _header(file, where)

    def read(numbers: Sequence[str], label: str | None) -> Mapping[str, NDArray[Any]]:
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            _header(file, where)
            held = dict(read_columns(_rows(file, where), names, numbers, label, where))
        if label is not None:
            held[label] = np.char.strip(held[label], "'")  # csv takes off double quotes only
        return held

    return Frame(where, names, read)


def _header(file: IO[str], where: str) -> tuple[str, ...]:
    names: list[str] = []
    for line in file:
        text = line.strip()
        word = text.split(None, 1)[0].lower() if text else ""
        if word == "@data" and names:
            return tuple(names)
        if word == "@attribute":
            match = _ATTRIBUTE.match(text)
            if match is None:
                raise DataError(f"{where}: cannot read the declaration {text!r}")
            names.append(next(name for name in match.group("d", "s", "p") if name is not None))
    raise DataError(f"{where}: is no ARFF file (it has no @attribute lines followed by @data)")


def _rows(file: IO[str], where: str) -> Iterator[list[str]]:
    lines = (line for line in file if line.strip() and not line.lstrip().startswith("%"))
    for row in csv.reader(lines, skipinitialspace=True):
        if row[0].startswith("{"):
            raise DataError(f"{where}: holds sparse rows", hint="save it as dense ARFF, or as CSV")
        yield row
