"""A frame over arrays in memory, for files that hold ``X`` and ``y``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchq.data.files.frame import Frame
from torchq.errors import DataError


def array_frame(
    where: str,
    x: NDArray[Any],
    y: NDArray[Any] | None,
    features: Sequence[str],
    *,
    label: str = "y",
    classes: Sequence[Any] | NDArray[Any] | None = None,
) -> Frame:
    """The columns of ``x`` by name, and ``y`` as the column of classes.

    Args:
        where: file, for messages.
        x: ``[rows, features]``.
        y: ``[rows]`` names or numbers of classes, or one-hot ``[rows, classes]``, or None.
        features: names of the columns of ``x``.
        label: name of ``y``.
        classes: names of the classes, if ``y`` holds numbers.

    Raises:
        DataError: the arrays do not fit each other, or ``x`` holds no numbers.
    """
    if x.ndim != 2 or x.dtype.kind not in "fiub":
        raise DataError(
            f"{where}: X has shape {x.shape} and type {x.dtype}",
            hint="it needs to be numbers, [rows, features]",
        )
    if x.shape[1] != len(features):
        raise DataError(
            f"{where}: X has {x.shape[1]} columns and there are {len(features)} names of features",
            hint="store the name of each column as 'feature_names'",
        )
    if y is not None and len(y) != len(x):
        raise DataError(f"{where}: X has {len(x)} rows and y has {len(y)}", hint="they need to be as many")
    names = tuple(features)

    def read(numbers: Sequence[str], wanted: str | None) -> Mapping[str, NDArray[Any]]:
        held: dict[str, NDArray[Any]] = {name: x[:, names.index(name)] for name in numbers}
        if wanted is not None and wanted not in held:
            held[wanted] = y if wanted == label and y is not None else x[:, names.index(wanted)]
        return held

    return Frame(where, (*names, label) if y is not None else names, read, as_texts(classes))


def as_texts(names: Sequence[Any] | NDArray[Any] | None) -> tuple[str, ...] | None:
    """Names as text, also where the file holds bytes; None stays None."""
    if names is None:
        return None
    return tuple(n.decode("utf-8", "replace") if isinstance(n, bytes) else str(n) for n in np.ravel(names))
