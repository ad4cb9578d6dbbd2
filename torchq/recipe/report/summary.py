"""The end of a run on the terminal: one table that fits a screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchq.recipe.report.checks import evaluate, figures, ratio
from torchq.recipe.report.text import MISSING, NONE, duration, energy, number, one_line, percent, times
from torchq.recipe.report.values import ReportData

if TYPE_CHECKING:
    from rich.table import Table

_HEAD = ("model", "accuracy", "energy", "energy saved", "bits", "bits saved")


def summary_rows(data: ReportData) -> tuple[tuple[str, ...], ...]:
    """Model, accuracy, energy, energy saved, bits and bits saved of every model and the reference."""
    base = data.reference
    rows = []
    for model in data.models:
        saved = times(ratio(None if base is None else base.energy_pj, model.energy_pj))
        fewer = times(ratio(None if base is None else base.bits, model.bits))
        costs = (energy(model.energy_pj), saved, number(model.bits), fewer)
        rows.append((one_line(model.name), percent(model.accuracy), *costs))
    if base is not None:
        costs = (energy(base.energy_pj), NONE, number(base.bits), NONE)
        rows.append((one_line(base.name), percent(base.accuracy), *costs))
    return tuple(rows)


def summary_lines(data: ReportData) -> tuple[str, ...]:
    r"""The summary as plain text, a line an entry.

    Example:
        >>> print("\n".join(summary_lines(ReportData("Jets", limits=None))))
        Jets
        models        not run yet
        verification  not run yet
    """
    lines = [one_line(data.title)]
    rows = summary_rows(data)
    if rows:
        table = (_HEAD, *rows)
        widths = [max(len(row[place]) for row in table) for place in range(len(_HEAD))]
        for row in table:
            numbers = (text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True))
            lines.append("  ".join([row[0].ljust(widths[0]), *numbers]).rstrip())
    else:
        lines.append(f"models        {MISSING}")
    return (*lines, *(f"{name.ljust(14)}{text}".rstrip() for name, text in _closing(data)))


def summary_table(data: ReportData) -> Table:
    """The summary as a table for ``rich.console.Console.print``; no text in it is taken for markup."""
    from rich.table import Table
    from rich.text import Text

    closing = "\n".join(f"{name.ljust(14)}{text}" for name, text in _closing(data))
    table = Table(title=Text(one_line(data.title)), caption=Text(closing), caption_justify="left")
    for place, head in enumerate(_HEAD):
        table.add_column(head, justify="right" if place else "left", no_wrap=place > 0)
    for row, model in zip(summary_rows(data), [*(model.role for model in data.models), ""], strict=False):
        table.add_row(*(Text(text) for text in row), style="bold" if model == "picked" else None)
    return table


def _closing(data: ReportData) -> tuple[tuple[str, str], ...]:
    verified, wall = data.verification, figures(data)["wall_s"]
    lines = [("verification", MISSING if verified is None else verified.headline)]
    if verified is not None and verified.first:
        lines.append(("", f"first difference: {one_line(verified.first)}"))
    lines += _synthesised(data)
    checks = evaluate(data)
    if checks:
        lines.append(("targets met", f"{sum(check.met is True for check in checks)} of {len(checks)}"))
    for check in checks:
        if check.met is False:
            lines.append(
                ("not met", one_line(f"{check.figure}, {check.where}: {check.measured}, {check.target}"))
            )
    if wall is not None:
        lines.append(("wall time", duration(wall)))
    return tuple(lines)


def _synthesised(data: ReportData) -> list[tuple[str, str]]:
    """One line a network, or why there is none; nothing where none was asked for."""
    if data.synthesis is None:
        return []
    if data.synthesis.left_out:
        return [("synthesis", f"left out: {one_line(data.synthesis.left_out)}")]
    lines = []
    for one in data.synthesis.designs:
        of = one.resources
        told = (
            f"{number(of.get('LUT'))} LUT, {number(of.get('FF'))} FF, {number(of.get('DSP'))} DSP, "
            f"{number(of.get('latency_cycles'))} cycles"
        )
        lines.append(("synthesis", f"{one_line(one.name)}: {told if of else 'not counted'}"))
    return lines
