"""``Frame``: the columns of a file by name, whatever the format, and how they become a table."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchq.data.table import Table, class_numbers
from torchq.errors import DataError

LABELS = ("class", "y", "label")
"""Names that the column of classes goes by unless the user names another."""

PREFIX = "j_"
"""Put before feature and class names by the files of the public jet set on Zenodo."""


@dataclass(frozen=True)
class Frame:
    """An opened file.

    Attributes:
        where: path, for messages.
        names: names of its columns.
        read: reads columns. Called with the names of columns of numbers and with the name of the column of
            labels (or None), answers with arrays by name: numbers float ``[rows]``, labels of any type
            ``[rows]`` or one-hot ``[rows, classes]``.
        classes: names of the classes if the file says them; then labels may be numbers.
    """

    where: str
    names: tuple[str, ...]
    read: Callable[[Sequence[str], str | None], Mapping[str, NDArray[Any]]]
    classes: tuple[str, ...] | None = None


def to_table(
    frame: Frame, *, source: str, features: Sequence[str], classes: Sequence[str], label: str | None = None
) -> Table:
    """The features wanted and the classes, in the order wanted.

    Args:
        frame: an opened file.
        source: one sentence on what the data is.
        features: names of the features.
        classes: names of the classes.
        label: name of the column of classes; by default one of :data:`LABELS`, or else one column of 0 and 1
            for every class.

    Raises:
        DataError: a feature or the classes are not in the file, or a class is unknown.
    """
    columns = _feature_columns(frame, features)
    chosen = _label_column(frame, label)
    if chosen is not None:
        held = frame.read(columns, chosen)
        y = _numbers(held[chosen], frame, classes, chosen)
    else:
        flags = _flag_columns(frame, classes)
        held = frame.read([*columns, *flags], None)
        y = _hot(np.stack([held[flag] for flag in flags], axis=1), frame.where)
    x = np.stack([held[column] for column in columns], axis=1)
    return Table(frame.where, source, x, y, tuple(classes), tuple(features))


def _feature_columns(frame: Frame, features: Sequence[str]) -> list[str]:
    found, missing = [], []
    for feature in features:
        column = _find(frame, feature)
        if column is not None:
            found.append(column)
        else:
            near = difflib.get_close_matches(feature, frame.names, n=1)
            missing.append(f"{feature!r}" + (f" (did you mean {near[0]!r}?)" if near else ""))
    if missing:
        what = "feature" if len(missing) == 1 else "features"
        raise DataError(
            f"{frame.where}: {what} {', '.join(missing)} missing",
            hint=f"the file needs a column for each of {', '.join(features)}",
        )
    return found


def _find(frame: Frame, name: str) -> str | None:
    return next((column for column in (name, PREFIX + name) if column in frame.names), None)


def _label_column(frame: Frame, label: str | None) -> str | None:
    if label is None:
        return next((name for name in LABELS if name in frame.names), None)
    if label in frame.names:
        return label
    near = difflib.get_close_matches(label, frame.names, n=1)
    raise DataError(
        f"{frame.where}: column {label!r} of the classes is missing",
        hint=f"did you mean {near[0]!r}?" if near else f"the file has {', '.join(frame.names)}",
    )


def _flag_columns(frame: Frame, classes: Sequence[str]) -> list[str]:
    flags = [_find(frame, name) for name in classes]
    if any(flag is None for flag in flags):
        raise DataError(
            f"{frame.where}: no column holds the classes",
            hint=f"name it {' or '.join(repr(name) for name in LABELS)}, or say its name as label",
        )
    return [flag for flag in flags if flag is not None]


def _numbers(values: NDArray[Any], frame: Frame, classes: Sequence[str], label: str) -> NDArray[np.int64]:
    if values.ndim == 2:
        values = _hot(values, frame.where)
    if values.dtype.kind in "OSU":
        texts = [v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in values]
        return class_numbers(texts, classes, frame.where)
    if frame.classes is None:
        raise DataError(
            f"{frame.where}: {label!r} holds numbers, and nothing says which class each number means",
            hint="store names instead, or beside it 'classes', the names in the order of the numbers",
        )
    whole = values.astype(np.int64)
    bad = (whole != values) | (whole < 0) | (whole >= len(frame.classes))
    if bad.any():
        row, largest = int(bad.argmax()), len(frame.classes) - 1
        raise DataError(
            f"{frame.where}: class {values[row]} in row {row + 1} is none of the numbers 0 to {largest}",
            hint=f"the file names the classes {', '.join(frame.classes)}",
        )
    if len(whole) == 0:
        return whole
    return class_numbers(np.array(frame.classes)[whole], classes, frame.where)


def _hot(flags: NDArray[Any], where: str) -> NDArray[np.int64]:
    """Class numbers of one-hot rows ``[rows, classes]``."""
    bad = ((flags != 0) & (flags != 1)).any(axis=1) | (flags.sum(axis=1) != 1)
    if bad.any():
        raise DataError(
            f"{where}: row {int(bad.argmax()) + 1} belongs to no class, or to several",
            hint="each row needs a 1 in the column of its class and 0 in the others",
        )
    return np.asarray(flags.argmax(axis=1), dtype=np.int64)
