"""Users' files: every format and layout gives the same table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from torchq.data import load
from torchq.data.files import SUFFIXES
from torchq.data.jets import CLASSES, FEATURES, read_jets
from torchq.data.source import Source

ROWS = 40
X = np.random.default_rng(0).normal(size=(ROWS, 16)).astype(np.float32)
Y = np.arange(ROWS) % 5
NAMES = np.array(CLASSES)[Y]
OPENML = ("g", "q", "t", "w", "z")
OTHER = np.array([OPENML.index(name) for name in NAMES])
"""The same classes, numbered in OpenML's order."""
BACKWARDS = list(FEATURES)[::-1]


def frame() -> pd.DataFrame:
    return pd.DataFrame(X, columns=list(FEATURES)).assign(weight=1.0, **{"class": NAMES})[
        [*BACKWARDS, "class", "weight"]
    ]


def npz_full(path: Path) -> None:
    np.savez(path, X=X[:, ::-1], y=OTHER, classes=np.array(OPENML), feature_names=np.array(BACKWARDS))


def npz_short(path: Path) -> None:
    np.savez(path, X=X, y=NAMES)


def npz_bytes(path: Path) -> None:
    np.savez(path, X=X, y=NAMES.astype("S1"), feature_names=np.array(FEATURES, dtype="S20"))


def npz_one_hot(path: Path) -> None:
    np.savez(path, X=X, y=np.eye(5)[OTHER], classes=np.array(OPENML))


def csv(path: Path) -> None:
    frame().to_csv(path, index=False)


def csv_semicolon(path: Path) -> None:
    text = frame().to_csv(index=False, sep=";")
    path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())


def csv_flags(path: Path) -> None:
    data = frame().drop(columns="class")
    for index, name in enumerate(CLASSES):
        data[name] = (index == Y).astype(int)
    data.to_csv(path, index=False)


def parquet(path: Path) -> None:
    frame().to_parquet(path)


def parquet_category(path: Path) -> None:
    frame().astype({"class": "category"}).to_parquet(path)


def h5_columns(path: Path) -> None:
    with h5py.File(path, "w") as file:
        for name in FEATURES:
            file[name] = X[:, FEATURES.index(name)]
        file["class"] = [name.encode() for name in NAMES]


def h5_numbers(path: Path) -> None:
    with h5py.File(path, "w") as file:
        for name in FEATURES:
            file[name] = X[:, FEATURES.index(name)]
        file["label"] = OTHER
        file["classes"] = [name.encode() for name in OPENML]


def h5_arrays(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["X"], file["y"] = X[:, ::-1], OTHER
        file["classes"], file["feature_names"] = list(OPENML), BACKWARDS


def h5_zenodo(path: Path) -> None:
    names = [f"j_{name}" for name in (*BACKWARDS, *OPENML, "undef")]
    with h5py.File(path, "w") as file:
        file["jets"] = np.concatenate([X[:, ::-1], np.eye(5)[OTHER], np.zeros((ROWS, 1))], axis=1)
        file["jetFeatureNames"] = [name.encode() for name in names]


LAYOUTS: list[tuple[str, Callable[[Path], None]]] = [
    (".npz", npz_full),
    (".npz", npz_short),
    (".npz", npz_bytes),
    (".npz", npz_one_hot),
    (".csv", csv),
    (".csv", csv_semicolon),
    (".csv", csv_flags),
    (".parquet", parquet),
    (".parquet", parquet_category),
    (".h5", h5_columns),
    (".hdf5", h5_numbers),
    (".h5", h5_arrays),
    (".h5", h5_zenodo),
]


@pytest.mark.parametrize(("suffix", "write"), LAYOUTS, ids=lambda value: getattr(value, "__name__", ""))
def test_every_layout_gives_the_same_table(
    tmp_path: Path, suffix: str, write: Callable[[Path], None]
) -> None:
    path = tmp_path / f"jets{suffix}"
    write(path)
    table = read_jets(Source("file", path))
    assert np.array_equal(np.asarray(table.x, np.float32), X)
    assert np.array_equal(table.y, Y)
    assert (table.classes, table.features) == (CLASSES, FEATURES)


def test_every_suffix_is_tested() -> None:
    assert {suffix for suffix, _ in LAYOUTS} == set(SUFFIXES)


def test_a_column_of_classes_by_any_name(tmp_path: Path) -> None:
    frame().rename(columns={"class": "truth"}).to_csv(tmp_path / "a.csv", index=False)
    table = read_jets(Source("file", tmp_path / "a.csv", label="truth"))
    assert np.array_equal(table.y, Y)


def test_a_long_csv_is_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchq.data.files.cells.CHUNK", 7)
    csv(tmp_path / "a.csv")
    assert np.array_equal(read_jets(Source("file", tmp_path / "a.csv")).x.astype(np.float32), X)


def test_a_file_goes_all_the_way(tmp_path: Path) -> None:
    npz_full(tmp_path / "mine.npz")
    data = load("jets", source="file", path=tmp_path / "mine.npz", fractions=(0.5, 0.25, 0.25))
    assert [len(part) for part in (data.train, data.valid, data.test)] == [20, 10, 10]
    assert data.source == "jets of the user's file mine.npz"
