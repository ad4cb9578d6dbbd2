"""``docs/support.md``, from the record alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hls_export.support.cells import BROKEN, COLUMNS, EXACT, REFUSED, Cell, Column
from hls_export.support.record import Entry, Record

COMMAND = "python -m hls_export.support --write docs/support.md"

_INTRODUCTION = """\
Every registered layer ({layers}, in {variants} variants), exported, read back, lowered, compiled and run on
adversarial and random vectors. `exact`: no value of any vector differs from torch in float64. `refused`: the
reason is said before a file is written. Nothing is approximated. C++ is Vitis HLS code by hls4ml, compiled
with g++ in its C simulation; RTL is Verilog by alkaid, simulated clock cycle by clock cycle.

`{command}` measures what is new and writes this page; the
tests compare it with what they measure."""
_NETWORKS = """\
The networks of the table above: the float layers, the quantizers by slot, options, and the shape of a
sample. An input quantizer stands in front (an embedding reads whole numbers); weights are drawn at random and
doubled, so that some saturate."""
_FILES = """\
Files that this project did not write. For Brevitas the reference is Brevitas's own model in float64, for
files of qonnx it is qonnx's executor."""


def page(record: Record) -> str:
    """The page.

    Args:
        record: what was measured.
    """
    layers = list(record.layers.values())
    parts = [
        "# What is lowered exactly",
        "",
        f"<!-- Written by `{COMMAND}`; do not edit. -->",
        "",
        _introduction(layers),
        "",
        "## Layers",
        "",
        _summary(layers, COLUMNS),
        "",
        *_table(record.layers, COLUMNS),
        "",
        "## What the numbers stand for",
        "",
        _NETWORKS,
        "",
        *(f"* **{_name(key)}** {_cell_text(entry.text)}" for key, entry in record.layers.items()),
        "",
        "## Networks of other tools",
        "",
        _FILES,
        "",
        *_others(record.others),
        "## Measured with",
        "",
        *_tools([*layers, *record.others.values()]),
        "",
    ]
    return "\n".join(parts)


def _introduction(entries: list[Entry]) -> str:
    groups = {entry.group for entry in entries}
    return _INTRODUCTION.format(layers=len(groups), variants=len(entries), command=COMMAND)


def _summary(entries: list[Entry], columns: Iterable[Column]) -> str:
    lines = ["| | " + " | ".join(column.title for column in columns) + " |"]
    lines.append("|---|" + "---:|" * len(COLUMNS))
    for result in (EXACT, REFUSED, BROKEN):
        counts = [sum(_result(entry, column) == result for entry in entries) for column in columns]
        if result != BROKEN or any(counts):
            lines.append(f"| {result} | " + " | ".join(map(str, counts)) + " |")
    open_ = [sum(column.key not in entry.cells for entry in entries) for column in columns]
    if any(open_):
        lines.append("| not measured | " + " | ".join(map(str, open_)) + " |")
    return "\n".join(lines)


def _result(entry: Entry, column: Column) -> str:
    cell = entry.cells.get(column.key)
    return "" if cell is None else cell.result


def _table(entries: Mapping[str, Entry], columns: Iterable[Column]) -> list[str]:
    titles = [column.title for column in columns]
    lines = ["| layer | " + " | ".join(titles) + " |", "|---|" + "---|" * len(titles)]
    for key, entry in entries.items():
        cells = [_shown(entry.cells.get(column.key)) for column in columns]
        lines.append(f"| {_name(key)} | " + " | ".join(cells) + " |")
    return lines


def _name(key: str) -> str:
    """``QLinear 2`` for ``QLinear-1``."""
    layer, _, number = key.rpartition("-")
    return f"{layer} {int(number) + 1}"


def _shown(cell: Cell | None) -> str:
    if cell is None:
        return "not measured"
    text = _cell_text(str(cell))
    return f"**{text}**" if cell.result == BROKEN else text


def _cell_text(text: str) -> str:
    """Without what a Markdown table or list would take for its own."""
    for sign in "|*<>_":
        text = text.replace(sign, f"\\{sign}")
    return text


def _others(entries: Mapping[str, Entry]) -> list[str]:
    lines = []
    for group in dict.fromkeys(entry.group for entry in entries.values()):
        mine = {key: entry for key, entry in entries.items() if entry.group == group}
        titles = [column.title for column in COLUMNS]
        lines += [f"### {group}", "", "| network | " + " | ".join(titles) + " |"]
        lines.append("|---|" + "---|" * len(titles))
        for entry in mine.values():
            cells = [_shown(entry.cells.get(column.key)) for column in COLUMNS]
            if len(set(cells)) == 1 and cells[0].startswith("refused"):
                cells = [cells[0], *["refused"] * (len(cells) - 1)]
            lines.append(f"| {_cell_text(entry.text)} | " + " | ".join(cells) + " |")
        lines.append("")
    return lines


def _tools(entries: Iterable[Entry]) -> list[str]:
    found = {
        f"{name} {version}"
        for entry in entries
        for cell in entry.cells.values()
        for name, version in cell.tools.items()
    }
    return [f"* {line.replace('simulator ', '')}" for line in sorted(found, key=str.lower)]
