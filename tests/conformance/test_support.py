"""``docs/support.md`` says what is measured: every layer, every reading."""

from __future__ import annotations

import datetime
import os
import random
from pathlib import Path

import pytest

from hls_export.support import COLUMNS, Record, layer_cases, measure, page
from hls_export.support.cells import BROKEN, column
from hls_export.support.measure import missing, written
from hls_export.support.page import COMMAND

PAGE = Path(__file__).parents[2] / "docs" / "support.md"
RECORD = Record.load(PAGE.with_suffix(".json"))
CASES = {case.key: case for case in layer_cases()}
RUN = f"; run {COMMAND}"

SLOW = [(key, c.key) for key in CASES for c in COLUMNS if c.backend]
TODAY = datetime.datetime.now(datetime.UTC).date().toordinal()
A_DAY = 12
ALL = os.environ.get("SUPPORT_CELLS") == "all"
CHOSEN = SLOW if ALL else random.Random(TODAY).sample(SLOW, A_DAY)
"""Another dozen every day; ``SUPPORT_CELLS=all`` takes every one."""


def test_every_layer_and_every_example_is_on_the_page() -> None:
    new = [key for key in CASES if key not in RECORD.layers]
    assert not new, f"docs/support.md does not know {', '.join(new)}{RUN}"
    gone = [key for key in RECORD.layers if key not in CASES]
    assert not gone, f"docs/support.md has {', '.join(gone)}, which are no layers{RUN}"


def test_every_cell_is_exact_or_refused_with_a_reason() -> None:
    for key, entry in {**RECORD.layers, **RECORD.others}.items():
        for reading in COLUMNS:
            assert reading.key in entry.cells, f"{key} is not measured in {reading.title}{RUN}"
            cell = entry.cells[reading.key]
            assert cell.result != BROKEN, f"{key} {reading.title}: {cell.reason}"
            assert (cell.result == "exact") == (not cell.reason)
            assert cell.vectors >= 150 or cell.reason
            assert cell.tools


def test_the_page_is_what_the_record_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(RECORD), f"docs/support.md was edited{RUN}"


def compared(key: str, columns: list[str], folder: Path, vectors: int) -> None:
    entry = RECORD.layers.get(key)
    assert entry is not None, f"docs/support.md does not know {key}{RUN}"
    case = CASES[key]
    assert (entry.group, entry.text) == (case.group, case.text), f"docs/support.md has another {key}{RUN}"
    made = written(case, folder)
    for name in columns:
        (folder / name).mkdir()
        found, known = measure(made, column(name), folder / name, vectors), entry.cells[name]
        assert found.says == known.says, (
            f"docs/support.md has {known} for {key} in {name}, it is {found}{RUN}"
        )


@pytest.mark.parametrize("key", CASES)
def test_onnx_and_emulator(key: str, tmp_path: Path) -> None:
    compared(key, ["onnx", "emulator"], tmp_path, 60)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("key", "name"), CHOSEN)
def test_cpp_and_rtl(key: str, name: str, tmp_path: Path) -> None:
    if missing(column(name)):
        pytest.skip(missing(column(name)))
    compared(key, [name], tmp_path, 100)
