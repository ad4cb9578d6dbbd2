"""What a person sees: the table of layers and the verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hls_export.report import FpgaReport
from hls_export.verify import Verification

if TYPE_CHECKING:
    from rich.console import Console


def show_report(console: Console, report: FpgaReport) -> None:
    """One row a layer, with the types that stand in the C++."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in ("layer", "shape", "weight", "bias", "accumulator", "output"):
        table.add_column(head, overflow="fold")
    table.add_column("nonzero", justify="right")
    for row in report.layers:
        nonzero = f"{row.nonzero:,} of {row.multiplications:,}" if row.multiplications else ""
        types = (row.weight_type, row.bias_type, row.accumulator_type, row.output_type)
        table.add_row(row.name, "x".join(map(str, row.shape)), *map(short, types), nonzero)
    console.print(table)
    for note in report.notes:
        console.print(f"{report.tool}: {note}", highlight=False, markup=False)


def show_resources(console: Console, report: FpgaReport) -> None:
    """One line a figure, and where the figures come from."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column("figure")
    table.add_column("value", justify="right")
    for name, value in report.resources.items():
        table.add_row(name, f"{value:,.6g}" if isinstance(value, float) else f"{value:,}")
    console.print(table)
    console.print(f"source: {report.tool}", highlight=False, markup=False)
    if report.source == "yosys":
        for note in report.notes:
            console.print(note, highlight=False, markup=False)


def short(text: str) -> str:
    """A type without what C++ takes for granted.

    Example:
        >>> short("ap_fixed<15,6,TRN,WRAP>"), short("ap_ufixed<6,2,RND_CONV,SAT>")
        ('fixed<15,6>', 'ufixed<6,2,RND_CONV,SAT>')
    """
    return text.removeprefix("ap_").replace(",TRN,WRAP>", ">")


def console() -> Console:
    """For a terminal as wide as it is, and for a file as wide as the table needs."""
    from rich.console import Console

    found = Console(soft_wrap=True)
    return found if found.is_terminal else Console(soft_wrap=True, width=160)


def show_verdict(console: Console, verdict: Verification) -> None:
    """Equal, or where it differs first."""
    word, colour = ("equal", "green") if verdict.agree else ("DIFFERENT", "red")
    console.print(f"[bold {colour}]{word}[/]  ", end="")
    console.print(str(verdict), highlight=False, markup=False)
