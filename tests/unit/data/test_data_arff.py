"""ARFF as it is found in the wild, and refused where it is not dense text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from torchq.data.files.arff import open_arff
from torchq.errors import DataError


def read(tmp_path: Path, text: str) -> tuple[list[float], list[str]]:
    path = tmp_path / "a.arff"
    path.write_text(text)
    held = open_arff(path).read(["a b"], "class")
    return held["a b"].tolist(), held["class"].tolist()


@pytest.mark.parametrize("name", ["'a b'", '"a b"'])
@pytest.mark.parametrize("kind", ["numeric", "REAL", "Integer"])
def test_declarations(tmp_path: Path, name: str, kind: str) -> None:
    text = f"@relation r\n@Attribute {name}\t{kind}\n@ATTRIBUTE class {{g,q}}\n@Data\n1, g\n 2.5e-1 ,'q'\n"
    assert read(tmp_path, text) == ([1.0, 0.25], ["g", "q"])


def test_comments_and_empty_lines(tmp_path: Path) -> None:
    text = '% top\n\n@attribute "a b" real\n% more\n@attribute class string\n@data\n\n% none\n3,"g"\n\n'
    assert read(tmp_path, text) == ([3.0], ["g"])


def test_a_missing_value_is_nan(tmp_path: Path) -> None:
    values, _ = read(tmp_path, "@attribute 'a b' real\n@attribute class {g}\n@data\n?,g\n2,g\n")
    assert np.isnan(values[0])
    assert values[1] == 2.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no ARFF file (it has no @attribute lines followed by @data)"),
        ("<html></html>", "is no ARFF file (it has no @attribute lines followed by @data)"),
        ("@attribute 'a b'\n@data\n", "cannot read the declaration \"@attribute 'a b'\""),
        (
            "@attribute 'a b' real\n@attribute class {g}\n@data\n{0 1.5}\n",
            "holds sparse rows; save it as dense ARFF, or as CSV",
        ),
        (
            "@attribute 'a b' real\n@attribute class {g}\n@data\n1\n",
            "row 1 has 1 cells and needs 2; each row needs one cell for each column",
        ),
        (
            "@attribute 'a b' real\n@attribute class {g}\n@data\n1,g\nx,g\n",
            "'x' in row 2 of column 'a b' is not a number; repair or remove this row",
        ),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError) as told:
        read(tmp_path, text)
    assert str(told.value) == f"{tmp_path / 'a.arff'}: {message}"
