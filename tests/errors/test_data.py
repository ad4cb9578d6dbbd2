"""Bad data: one sentence each, with the file, the feature and what to do."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from torchq.data import load
from torchq.data.jets import CLASSES, FEATURES
from torchq.errors import DataError, UnknownNameError

ROWS = 50
ALL = ", ".join(FEATURES)


def frame() -> pd.DataFrame:
    x = np.random.default_rng(0).normal(size=(ROWS, 16))
    return pd.DataFrame(x, columns=list(FEATURES)).assign(**{"class": np.array(CLASSES)[np.arange(ROWS) % 5]})


def told(**arguments: object) -> str:
    with pytest.raises((DataError, UnknownNameError)) as fault:
        load("jets", **arguments)  # type: ignore[arg-type]
    return str(fault.value)


@pytest.fixture
def save(tmp_path: Path) -> Callable[[pd.DataFrame], tuple[Path, str]]:
    """Write a frame as CSV; answers with the path and with what ``load`` says of it."""

    def write(data: pd.DataFrame) -> tuple[Path, str]:
        path = tmp_path / "my.csv"
        data.to_csv(path, index=False)
        return path, told(source="file", path=path)

    return write


Save = Callable[[pd.DataFrame], tuple[Path, str]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"source": "embeded"},
            "jets: unknown source 'embeded'; did you mean 'embedded'? Known: embedded, openml, file",
        ),
        ({"source": "http"}, "jets: unknown source 'http'; Known: embedded, openml, file"),
        (
            {"source": "file"},
            "jets: source 'file' needs a path; give the path of a .npz, .csv, .parquet or .h5 file",
        ),
        (
            {"path": "a.csv"},
            "jets: path 'a.csv' has no meaning for source 'embedded'; "
            "set source to 'file', or leave the path out",
        ),
        ({"seed": -1}, "jets: seed must be 0 to 4294967295, got -1"),
        ({"limit": 14}, "jets: limit must be at least 15, 3 for each class, got 14"),
        (
            {"fractions": (0.5, 0.5, 0.5)},
            "fractions must be three positive numbers that add up to 1, got 0.5, 0.5, 0.5; "
            "give the parts of training, validation and test, such as 0.64, 0.16, 0.2",
        ),
        (
            {"fractions": (1.0, 0.0, 0.0)},
            "fractions must be three positive numbers that add up to 1, got 1, 0, 0; "
            "give the parts of training, validation and test, such as 0.64, 0.16, 0.2",
        ),
    ],
)
def test_arguments(arguments: dict[str, object], message: str) -> None:
    assert told(**arguments) == message


def test_an_unknown_data_set() -> None:
    with pytest.raises(UnknownNameError) as fault:
        load("jet")
    assert str(fault.value) == "unknown data set 'jet'; did you mean 'jets'? Known: jets"


def test_a_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "none.npz"
    assert told(source="file", path=path) == f"{path}: no such file; give the path of a file with the data"


def test_a_folder(tmp_path: Path) -> None:
    path = tmp_path / "folder.npz"
    path.mkdir()
    assert told(source="file", path=path) == f"{path}: is a folder; give the path of a file with the data"


def test_an_unknown_suffix(tmp_path: Path) -> None:
    path = tmp_path / "jets.root"
    assert told(source="file", path=path) == (
        f"{path}: unknown sort of file '.root'; it needs to be one of .csv, .h5, .hdf5, .npz, .parquet"
    )


def test_a_missing_feature(save: Save) -> None:
    path, message = save(frame().rename(columns={"mass_mmdt": "mass_mdt"}))
    assert message == (
        f"{path}: feature 'mass_mmdt' (did you mean 'mass_mdt'?) missing; "
        f"the file needs a column for each of {ALL}"
    )


def test_missing_features(save: Save) -> None:
    path, message = save(frame().drop(columns=["multiplicity", "zlogz"]))
    assert message == (
        f"{path}: features 'zlogz', 'multiplicity' missing; the file needs a column for each of {ALL}"
    )


def test_nan(save: Save) -> None:
    data = frame()
    data.loc[[6, 20, 30], "mass_mmdt"] = np.nan
    path, message = save(data)
    assert message == (
        f"{path}: feature 'mass_mmdt' is not a finite number in 3 of 50 rows, first in row 7; "
        "repair or remove these rows"
    )


def test_infinity_and_nan(save: Save) -> None:
    data = frame()
    data.loc[0, "zlogz"] = -np.inf
    data.loc[49, "multiplicity"] = np.nan
    path, message = save(data)
    assert message == (
        f"{path}: feature 'zlogz' is not a finite number in 1 of 50 rows, first in row 1; "
        "feature 'multiplicity' is not a finite number in 1 of 50 rows, first in row 50; "
        "repair or remove these rows"
    )


def test_text_among_numbers(save: Save) -> None:
    data = frame().astype({"zlogz": object})
    data.loc[3, "zlogz"] = "heavy"
    path, message = save(data)
    assert message == f"{path}: 'heavy' in row 4 of column 'zlogz' is not a number; repair or remove this row"


def test_a_class_with_one_sample(save: Save) -> None:
    data = frame()
    path, message = save(data[(data["class"] != "t") | (data.index == 4)])
    assert message == (
        f"{path}: class 't' has 1 sample and needs at least 3, one each for training, validation and test; "
        "add samples of class 't'"
    )


def test_a_class_without_samples(save: Save) -> None:
    data = frame()
    path, message = save(data[data["class"] != "q"])
    assert message == (
        f"{path}: class 'q' has 0 samples and needs at least 3, one each for training, validation and test; "
        "add samples of class 'q'"
    )


def test_an_unknown_class(save: Save) -> None:
    data = frame()
    data.loc[12, "class"] = "b"
    path, message = save(data)
    assert message == (
        f"{path}: class 'b' in row 13 is none of g, q, w, z, t; "
        "write the class of each row by one of these names"
    )


def test_no_rows(save: Save) -> None:
    path, message = save(frame()[:0])
    assert message == f"{path}: holds no samples; give a file with at least one row"


def test_no_column_of_classes(save: Save) -> None:
    path, message = save(frame().rename(columns={"class": "truth"}))
    assert message == (
        f"{path}: no column holds the classes; name it 'class' or 'y' or 'label', or say its name as label"
    )


def test_a_column_of_classes_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "my.csv"
    frame().to_csv(path, index=False)
    assert told(source="file", path=path, label="clas") == (
        f"{path}: column 'clas' of the classes is missing; did you mean 'class'?"
    )


def test_a_row_that_is_too_short(tmp_path: Path) -> None:
    path = tmp_path / "my.csv"
    path.write_text(frame().to_csv(index=False) + "1,2,3\n")
    assert told(source="file", path=path) == (
        f"{path}: row 51 has 3 cells and needs 17; each row needs one cell for each column"
    )


def test_an_empty_csv(tmp_path: Path) -> None:
    path = tmp_path / "my.csv"
    path.write_text("")
    assert (
        told(source="file", path=path) == f"{path}: holds no header; the first line needs to name the columns"
    )


def test_a_csv_that_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "my.csv"
    path.write_bytes(b"\xff\xfe\x00\x01")
    assert told(source="file", path=path) == f"{path}: is not UTF-8 text; save the table as CSV in UTF-8"


X, Y = np.zeros((4, 16)), np.array(["g", "q", "w", "z"])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"X": X}, "holds X and no 'y'; add it"),
        (
            {"X": X[:, 1:], "y": Y},
            "X has 15 columns and there are 16 names of features; "
            "store the name of each column as 'feature_names'",
        ),
        ({"X": X[1:], "y": Y}, "X has 3 rows and y has 4; they need to be as many"),
        ({"X": X[0], "y": Y}, "X has shape (16,) and type float64; it needs to be numbers, [rows, features]"),
        (
            {"X": X, "y": np.arange(4)},
            "'y' holds numbers, and nothing says which class each number means; "
            "store names instead, or beside it 'classes', the names in the order of the numbers",
        ),
        (
            {"X": X, "y": np.arange(4), "classes": np.array(["g", "q", "w"])},
            "class 3 in row 4 is none of the numbers 0 to 2; the file names the classes g, q, w",
        ),
        (
            {"X": X, "y": np.zeros(4, int), "classes": np.array(["gluon"])},
            "class 'gluon' in row 1 is none of g, q, w, z, t; "
            "write the class of each row by one of these names",
        ),
        (
            {"X": X, "y": np.ones((4, 5)), "classes": np.array(CLASSES)},
            "row 1 belongs to no class, or to several; "
            "each row needs a 1 in the column of its class and 0 in the others",
        ),
    ],
)
def test_arrays_that_do_not_fit(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    path = tmp_path / "my.npz"
    np.savez(path, **arrays)
    assert told(source="file", path=path) == f"{path}: {message}"


def test_pickled_objects_are_not_loaded(tmp_path: Path) -> None:
    path = tmp_path / "my.npz"
    np.savez(path, X=X, y=np.array([{"g": 1}, None, 2, 3], dtype=object))
    assert told(source="file", path=path) == (
        f"{path}: cannot be read as .npz (Object arrays cannot be loaded when allow_pickle=False); "
        "store X, y, classes and feature_names as plain arrays, no objects, with numpy.savez"
    )


@pytest.mark.parametrize("suffix", [".npz", ".parquet", ".h5"])
def test_a_file_that_is_something_else(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"my{suffix}"
    path.write_bytes(b"not at all what its name says")
    names = {".npz": ".npz", ".parquet": "Parquet", ".h5": "HDF5"}
    assert told(source="file", path=path).startswith(f"{path}: cannot be read as {names[suffix]} (")


def test_hdf5_without_a_known_layout(tmp_path: Path) -> None:
    path = tmp_path / "my.h5"
    with h5py.File(path, "w") as file:
        file["images"] = np.zeros((2, 3, 3))
    assert told(source="file", path=path) == (
        f"{path}: holds images; "
        "it needs X and y, or jets and jetFeatureNames, or one dataset for each feature"
    )


def test_hdf5_of_unequal_lengths(tmp_path: Path) -> None:
    path = tmp_path / "my.h5"
    with h5py.File(path, "w") as file:
        for name in FEATURES:
            file[name] = np.zeros(3 if name == "zlogz" else 2)
        file["class"] = [b"g", b"q"]
    message = told(source="file", path=path)
    assert message.startswith(f"{path}: the datasets differ in length: zlogz 3, c1_b0_mmdt 2, ")


def test_parquet_with_text_for_a_feature(tmp_path: Path) -> None:
    path = tmp_path / "my.parquet"
    frame().astype({"zlogz": str}).to_parquet(path)
    assert told(source="file", path=path).startswith(f"{path}: column 'zlogz' is ")


@pytest.mark.parametrize(("suffix", "library"), [(".parquet", "pyarrow"), (".h5", "h5py")])
def test_a_library_that_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, library: str
) -> None:
    path = tmp_path / f"my{suffix}"
    path.write_bytes(b"")
    monkeypatch.setitem(sys.modules, library, None)
    assert told(source="file", path=path) == (
        f"{path}: {library}, which reads it, is not installed; pip install 'torchq[files]'"
    )
