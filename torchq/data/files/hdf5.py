"""HDF5, through h5py."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchq.data.files.arrays import array_frame, as_texts
from torchq.data.files.frame import Frame
from torchq.errors import DataError


def open_hdf5(path: Path, features: Sequence[str]) -> Frame:
    """The columns of a file of one of three layouts, told apart by the names of its datasets.

    - ``X`` and ``y``, with ``classes`` and ``feature_names`` if the file says them, as in ``.npz``;
    - ``jets`` ``[rows, columns]`` and ``jetFeatureNames``: the public jet set as Zenodo holds it, whose
      columns ``j_g, j_q, ...`` are 1 for the class of a row;
    - one dataset ``[rows]`` for each column.

    Raises:
        DataError: the file is damaged, has none of these layouts, or h5py is not installed.
    """
    where = str(path)
    try:
        import h5py
    except ImportError:
        raise DataError(
            f"{where}: h5py, which reads it, is not installed", hint="pip install 'torchq[files]'"
        ) from None
    try:
        with h5py.File(path, "r") as file:
            sets = {name: item for name, item in file.items() if isinstance(item, h5py.Dataset)}
            if "X" in sets and "y" in sets:
                classes = sets["classes"][()] if "classes" in sets else None
                named = as_texts(sets["feature_names"][()]) if "feature_names" in sets else None
                return array_frame(where, sets["X"][()], sets["y"][()], named or features, classes=classes)
            if "jets" in sets and "jetFeatureNames" in sets:
                return array_frame(where, sets["jets"][()], None, as_texts(sets["jetFeatureNames"][()]) or ())
            columns = {name: item[()] for name, item in sets.items() if item.ndim == 1 and name != "classes"}
            classes = as_texts(sets["classes"][()]) if "classes" in sets else None
    except OSError as fault:
        raise DataError(f"{where}: cannot be read as HDF5 ({fault})") from fault
    if not columns:
        raise DataError(
            f"{where}: holds {', '.join(sets) or 'no dataset'}",
            hint="it needs X and y, or jets and jetFeatureNames, or one dataset for each feature",
        )
    return _columns_frame(where, columns, classes)


def _columns_frame(where: str, columns: dict[str, NDArray[Any]], classes: tuple[str, ...] | None) -> Frame:
    def read(numbers: Sequence[str], label: str | None) -> dict[str, NDArray[Any]]:
        held = {name: columns[name] for name in ([*numbers] if label is None else [*numbers, label])}
        for name in numbers:
            if held[name].dtype.kind not in "fiub":
                raise DataError(f"{where}: dataset {name!r} is {held[name].dtype}, not numbers")
            held[name] = held[name].astype(np.float64)
        if len({len(column) for column in held.values()}) > 1:
            sizes = ", ".join(f"{name} {len(column)}" for name, column in held.items())
            raise DataError(f"{where}: the datasets differ in length: {sizes}")
        return held

    return Frame(where, tuple(columns), read, classes)
