"""Open a file by its suffix; what goes wrong with the file itself is said here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from torchq.data.files.csv import open_csv
from torchq.data.files.frame import Frame
from torchq.data.files.hdf5 import open_hdf5
from torchq.data.files.npz import open_npz
from torchq.data.files.parquet import open_parquet
from torchq.errors import DataError

SUFFIXES: Mapping[str, Callable[[Path, Sequence[str]], Frame]] = {
    ".csv": open_csv,
    ".h5": open_hdf5,
    ".hdf5": open_hdf5,
    ".npz": open_npz,
    ".parquet": open_parquet,
}
"""Readers by suffix; each takes the path and the names of the features wanted."""


def open_frame(path: str | Path, features: Sequence[str]) -> Frame:
    """Open a table.

    Args:
        path: a ``.csv``, ``.npz``, ``.parquet``, ``.h5`` or ``.hdf5`` file.
        features: names of the features, for files that hold one nameless array.

    Raises:
        DataError: no such file, a folder, an unknown suffix, a damaged file, or the library that reads it
            is not installed.
    """
    path = Path(path).expanduser()
    reader = SUFFIXES.get(path.suffix.lower())
    if reader is None:
        raise DataError(
            f"{path}: unknown sort of file {path.suffix!r}",
            hint=f"it needs to be one of {', '.join(SUFFIXES)}",
        )
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "no such file"
        raise DataError(f"{path}: {what}", hint="give the path of a file with the data")
    try:
        return reader(path, features)
    except OSError as fault:
        raise DataError(f"{path}: cannot be read ({fault.strerror or fault})") from fault
