"""The section about synthesis: what was counted, how far the estimates are off, and what was left out."""

from __future__ import annotations

from torchq.recipe.report.document import Block, Cell, Column, Details, Paragraph, Picture, Table
from torchq.recipe.report.plots import resources_svg
from torchq.recipe.report.synthesized import Synthesis, Synthesized
from torchq.recipe.report.text import NONE, number, one_line

_FIGURES = {"lut": "LUT", "ff": "FF", "dsp": "DSP", "bram": "BRAM18", "latency_cycles": "cycles"}


def blocks(synthesis: Synthesis, *, pictures: bool) -> tuple[Block, ...]:
    """Tables, the picture, and a sentence for each thing that was not done."""
    found: list[Block] = []
    if synthesis.left_out:
        found.append(Paragraph(f"Nothing was synthesised: {one_line(synthesis.left_out)}."))
    counted = [one for one in synthesis.designs if one.resources]
    svg = resources_svg(counted) if pictures else None
    if svg is not None:
        found.append(Picture(svg, "LUTs and flip-flops as yosys counts them, and what was estimated before."))
    if synthesis.designs:
        found.append(counted_table(synthesis.designs))
    errors = errors_table(counted)
    if errors is not None:
        found.append(errors)
    for one in synthesis.designs:
        for what, reason in one.left_out.items():
            found.append(Paragraph(f"{one_line(one.name)}: no {what}: {one_line(reason)}."))
    if counted:
        notes = tuple(Paragraph(one_line(note)) for note in dict.fromkeys(_notes(counted)))
        found.append(Details("What these figures are", notes))
    return tuple(found) or (Paragraph("No network was asked for."),)


def counted_table(designs: tuple[Synthesized, ...]) -> Table:
    """One row a network: what was counted, and whether its Verilog computes what torch computes.

    Example:
        >>> table = counted_table((Synthesized("Q6", {"LUT": 44009, "LUT_memory": 485}),))
        >>> [cell.text for cell in table.rows[0]][:2]
        ['Q6', '44,009 + 485 shift registers']
    """
    placed = any(one.fmax_mhz is not None for one in designs)
    titles = ("LUT", "CLB LUTs, estimated", "CARRY4", "FF", "DSP", "BRAM18", "depth", "cycles")
    ends = ("vectors", "mismatches", *(("ECP5 [MHz]",) if placed else ()))
    columns = (Column("network"), *(Column(title, "number") for title in (*titles, *ends)))
    return Table("Synthesised with open tools", columns, tuple(_counted(one, placed) for one in designs))


def _counted(one: Synthesized, placed: bool) -> tuple[Cell, ...]:
    of = one.resources
    lut = number(of.get("LUT"))
    if of.get("LUT_memory"):
        lut += f" + {number(of['LUT_memory'])} shift registers"
    packed = number(of.get("LUT_packed"))
    if one.packed:
        packed += f" ({number(one.packed[0])} to {number(one.packed[1])})"
    names = ("CARRY4", "FF", "DSP", "BRAM18", "depth", "latency_cycles")
    cells = [one_line(one.name), lut, packed, *(number(of.get(name)) for name in names)]
    return (*map(Cell, cells), *_verified(one), *((Cell(number(one.fmax_mhz, 1)),) if placed else ()))


def _verified(one: Synthesized) -> tuple[Cell, Cell]:
    if one.verification is None:
        return Cell(NONE), Cell("not simulated")
    compared = [c for c in one.verification.comparisons if c.reading == "RTL simulation"]
    wrong = sum(c.mismatches for c in compared)
    return Cell(number(sum(c.vectors for c in compared))), Cell(
        number(wrong), tone="bad" if wrong else "good"
    )


def errors_table(designs: list[Synthesized]) -> Table | None:
    """What was estimated beside what was measured; None where nothing was.

    Example:
        >>> one = Synthesized("Q6", {"LUT": 100, "latency_cycles": 9}, estimate={"lut": 90.0})
        >>> [cell.text for cell in errors_table([one]).rows[0]]
        ['Q6', 'LUT', '90', '100', '-10.0 %']
    """
    rows = []
    for one in designs:
        for figure, title in _FIGURES.items():
            pair = one.pair(figure)
            if pair is not None:
                words = (one_line(one.name), title, number(pair[0]), number(pair[1]), _off(one, figure))
                rows.append(tuple(map(Cell, words)))
    titles = ("estimated", "measured", "error")
    columns = (Column("network"), Column("figure"), *(Column(title, "number") for title in titles))
    return Table("Estimates against the synthesis", columns, tuple(rows)) if rows else None


def _off(one: Synthesized, figure: str) -> str:
    error = one.error(figure)
    if error is not None:
        return f"{100 * error:+.1f} %"
    estimated, measured = one.pair(figure) or (0.0, 0.0)
    return "equal" if estimated == measured else f"{estimated - measured:+,.0f}"


def _notes(designs: list[Synthesized]) -> list[str]:
    found = []
    for one in designs:
        found += [f"counted by {one.tool}", *(n for n in one.notes if "LUT_packed" not in n)]
        if one.packed:
            found.append(
                "CLB LUTs are an estimate: a placer packs some LUT primitives into one site, 0.74 sites each "
                "in the mean of seven public Vivado reports, from 0.64 to 0.82"
            )
        if one.fmax_mhz is not None:
            found.append(
                f"the clock frequency is that of {one.placed_by}, after routing; not the FPGA's above"
            )
    return found
