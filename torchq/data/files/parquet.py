"""Parquet, through pyarrow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchq.data.files.frame import Frame
from torchq.errors import DataError


def open_parquet(path: Path, _features: Sequence[str]) -> Frame:
    """One column a feature, and one with the names of the classes.

    Raises:
        DataError: the file is damaged, a feature is no number, or pyarrow is not installed.
    """
    where = str(path)
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise DataError(
            f"{where}: pyarrow, which reads it, is not installed", hint="pip install 'torchq[files]'"
        ) from None
    try:
        names = tuple(pq.read_schema(path).names)
    except pa.ArrowException as fault:
        raise _damaged(where, fault) from fault

    def read(numbers: Sequence[str], label: str | None) -> Mapping[str, NDArray[Any]]:
        wanted = [*numbers] if label is None else [*numbers, label]
        try:
            table = pq.read_table(path, columns=wanted)
        except pa.ArrowException as fault:
            raise _damaged(where, fault) from fault
        held: dict[str, NDArray[Any]] = {}
        for name in numbers:
            kind = table.schema.field(name).type
            if not (pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
                raise DataError(f"{where}: column {name!r} is {kind}, not numbers")
            held[name] = table.column(name).cast(pa.float64()).to_numpy()
        if label is not None and label not in held:
            column = table.column(label)
            texts = pa.types.is_dictionary(column.type) or not pa.types.is_primitive(column.type)
            values = column.to_pylist() if texts else column.to_numpy()
            held[label] = np.array(values, dtype=object if texts else None)
        return held

    return Frame(where, names, read)


def _damaged(where: str, fault: Exception) -> DataError:
    return DataError(f"{where}: cannot be read as Parquet ({fault})")
