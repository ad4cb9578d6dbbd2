"""What the models would take of an FPGA: estimates, and how wrong they are."""

from __future__ import annotations

from collections.abc import Sequence

from torchq.recipe.report.document import Cell, Column, Table
from torchq.recipe.report.text import number, one_line
from torchq.recipe.report.values import FpgaEstimate

_TITLES = {
    "ebops": "EBOPs",
    "lut": "LUT",
    "ff": "FF",
    "dsp": "DSP",
    "bram": "BRAM18",
    "latency_cycles": "cycles",
    "latency_ns": "latency [ns]",
    "initiation_interval": "interval",
}


def estimates_table(estimates: Sequence[FpgaEstimate]) -> Table | None:
    """A row for each model; None where nothing was estimated.

    Example:
        >>> estimates_table([FpgaEstimate("Q6", {"lut": 39203.0})]).rows[0][1].text
        '39,203'
    """
    if not estimates:
        return None
    names = [name for name in _TITLES if any(name in one.figures for one in estimates)]
    rows = tuple(
        (Cell(one_line(one.name)), *(Cell(number(one.figures.get(name))) for name in names))
        for one in estimates
    )
    columns = (Column("model"), *(Column(_TITLES[name], "number") for name in names))
    return Table(f"Estimated, not synthesised ({one_line(estimates[-1].settings)})", columns, rows)


def notes_table(estimates: Sequence[FpgaEstimate]) -> Table | None:
    """Where each figure of the last model comes from, and how wrong it was on held-out designs."""
    notes = estimates[-1].notes
    rows = tuple((Cell(_TITLES[name]), Cell(one_line(notes[name]))) for name in _TITLES if name in notes)
    columns = (Column("figure"), Column("source and error"))
    return Table("Sources of the estimates", columns, rows) if rows else None
