"""``python -m hls_export.support --write docs/support.md``: measure what is not known, and write the page."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

from hls_export.support.cases import Case, Reference, layer_cases
from hls_export.support.cells import COLUMNS, EXACT, Cell, Column
from hls_export.support.measure import Written, measure, missing, tools, written
from hls_export.support.others import other_cases, skipped
from hls_export.support.page import page
from hls_export.support.record import Entry, Record
from torchq.errors import TorchqError
from torchq.files import atomic_write_text


def main(arguments: list[str] | None = None) -> int:
    """Measure and write; 0 if no cell is broken, 1 if one is, 2 for something to mend.

    Args:
        arguments: of the command line.
    """
    parser = argparse.ArgumentParser(prog="python -m hls_export.support", description=__doc__)
    parser.add_argument(
        "--write", type=Path, required=True, metavar="PAGE", help="the page, such as docs/support.md"
    )
    parser.add_argument("--only", action="append", metavar="WORD", help="networks with this in their name")
    parser.add_argument(
        "--columns", default=",".join(c.key for c in COLUMNS), help="readings, separated by commas"
    )
    parser.add_argument("--again", action="store_true", help="measure also what is known to be exact")
    given = parser.parse_args(arguments)
    wanted = [column for column in COLUMNS if column.key in given.columns.split(",")]
    warnings.filterwarnings("ignore")
    try:
        with tempfile.TemporaryDirectory(prefix="support-headers-") as headers:
            return _run(given.write, wanted, given.only, Path(headers), again=given.again)
    except TorchqError as fault:
        sys.stderr.write(f"error: {fault}\n")
        return 2


def _run(
    target: Path, columns: Sequence[Column], only: list[str] | None, headers: Path, *, again: bool
) -> int:
    store = target.with_suffix(".json")
    record = Record.load(store)
    layers, others = list(layer_cases()), list(other_cases())
    for text in skipped():
        _say(f"kept as they are: {text}")
    record.update(layers, [*others, *_unavailable(record, others)])
    began = time.perf_counter()
    usable = [column for column in columns if not missing(column)]
    for column in columns:
        if missing(column):
            _say(f"{column.title} is not measured: {missing(column)}")
    for number, case in enumerate([*layers, *others], 1):
        if only and not any(word.lower() in f"{case.key} {case.group}".lower() for word in only):
            continue
        entry = record.layers.get(case.key) or record.others[case.key]
        with tempfile.TemporaryDirectory(prefix="support-") as folder:
            _measure_case(case, entry, usable, Path(folder), headers, again=again)
        record.save(store)
        seconds = time.perf_counter() - began
        results = ", ".join(f"{c.title} {_short(entry, c)}" for c in usable)
        _say(f"[{number}/{len(layers) + len(others)}, {seconds:.0f} s] {case.key}: {results}")
    atomic_write_text(target, page(record))
    cells = [c for e in (*record.layers.values(), *record.others.values()) for c in e.cells.values()]
    broken = sum(cell.result == "broken" for cell in cells)
    _say(f"{target}: {len(cells)} cells, {sum(c.result == EXACT for c in cells)} exact, {broken} broken")
    return int(broken > 0)


def _measure_case(
    case: Case, entry: Entry, columns: Sequence[Column], folder: Path, headers: Path, *, again: bool
) -> None:
    made = written(case, folder)
    if entry.digest != made.digest:
        entry.digest, entry.cells = made.digest, {}
    for column in columns:
        old = entry.cells.get(column.key)
        if old and old.result == EXACT and dict(old.tools) == tools(column.backend) and not again:
            continue
        entry.cells[column.key] = _measured(made, column, folder / column.key, headers)


def _measured(made: Written, column: Column, folder: Path, headers: Path) -> Cell:
    folder.mkdir()
    return measure(made, column, folder, headers=headers)


def _unavailable(record: Record, others: Sequence[Case]) -> list[Case]:
    """What was measured where more tools were installed."""
    known = {case.key for case in others}
    gone = {key: entry for key, entry in record.others.items() if key not in known}

    def never(path: Path) -> Reference:
        raise TypeError(path)

    return [Case(key, entry.group, entry.text, never) for key, entry in gone.items()]


def _short(entry: Entry, column: Column) -> str:
    cell = entry.cells.get(column.key)
    return "not measured" if cell is None else str(cell)[:90]


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
