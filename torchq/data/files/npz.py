"""NumPy's ``.npz``: ``X``, ``y`` and, if it says them, ``classes`` and ``feature_names``."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from torchq.data.files.arrays import array_frame, as_texts
from torchq.data.files.frame import Frame
from torchq.errors import DataError


def open_npz(path: Path, features: Sequence[str]) -> Frame:
    """``X`` ``[rows, features]`` and ``y``: names of classes, or numbers into ``classes``, or one-hot.

    Without ``feature_names`` the columns of ``X`` are taken in the order of ``features``. Pickled objects
    are never loaded.

    Raises:
        DataError: the file is damaged, holds pickled objects, or ``X`` or ``y`` is missing.
    """
    where = str(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise DataError(f"{where}: is a single array", hint="store X and y with numpy.savez")
            held = {name: file[name] for name in ("X", "y", "classes", "feature_names") if name in file.files}
            names = file.files
    except (ValueError, zipfile.BadZipFile, zlib.error, EOFError, KeyError) as fault:
        raise DataError(
            f"{where}: cannot be read as .npz ({fault})",
            hint="store X, y, classes and feature_names as plain arrays, no objects, with numpy.savez",
        ) from fault
    for name in ("X", "y"):
        if name not in held:
            raise DataError(f"{where}: holds {', '.join(names) or 'nothing'} and no {name!r}", hint="add it")
    return array_frame(
        where,
        held["X"],
        held["y"],
        as_texts(held.get("feature_names")) or features,
        classes=held.get("classes"),
    )
