"""The page and the table of a recipe that prices: ours, published, and the difference."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torchq.recipe.report.document import (
    Banner,
    Block,
    Cell,
    Column,
    Details,
    Document,
    Figure,
    Listing,
    Paragraph,
    Row,
    Section,
    Table,
)
from torchq.recipe.report.tables import pairs_table
from torchq.recipe.report.text import NONE, number, one_line

if TYPE_CHECKING:
    from rich.table import Table as TerminalTable

EQUAL, DIFFERS = "=", "≠"


@dataclass(frozen=True)
class PricesData:
    """What a run that priced designs found.

    Args:
        title: of the recipe.
        description: of the recipe.
        source: where the published figures come from.
        figure: what is shown layer by layer.
        unit: of that.
        designs: as they stand in ``prices.json``.
        equal: how many published figures are equal to the printed digit.
        of: how many published figures there are.
        facts: what stands under the title.
        versions: what the figures were made with.
        command: how to do it again.
        recipe_text: the recipe.
    """

    title: str
    description: str = ""
    source: str = ""
    figure: str = ""
    unit: str = ""
    designs: tuple[Mapping[str, Any], ...] = ()
    equal: int = 0
    of: int = 0
    facts: tuple[tuple[str, str], ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    command: str = ""
    recipe_text: str = ""


def compose(data: PricesData) -> Document:
    """The page.

    Example:
        >>> compose(PricesData("Energies")).banner.title
        'nothing was published to compare with'
    """
    sections = [_section(place, design, data) for place, design in enumerate(data.designs)]
    return Document(
        title=one_line(data.title),
        subtitle=one_line(data.description),
        facts=tuple((name, one_line(text)) for name, text in data.facts if text),
        warning="",
        banner=_banner(data),
        figures=tuple(_figures(data)),
        sections=(*sections, Section("again", "How to run this again", tuple(_again(data)))),
    )


def prices_table(data: PricesData) -> TerminalTable:
    """All designs as one table for a terminal; ``=`` marks what is equal to the last printed digit."""
    from rich.table import Table as TerminalTable
    from rich.text import Text

    table = TerminalTable(title=Text(one_line(data.title)), title_justify="left")
    for title in ("design", "layer"):
        table.add_column(title)
    for title in (f"{data.figure} [{data.unit}]", "published", "difference"):
        table.add_column(Text(title), justify="right")
    table.add_column("")
    for design in data.designs:
        name = one_line(str(design["name"]))
        for row in design["rows"]:
            table.add_row(*map(Text, (name, *_words(row["layer"], row, 2))))
            name = ""
        totals = list(design["totals"])
        for place, total in enumerate(totals):
            label = f"total {total['figure']}"
            words = map(Text, (name, *_words(label, total, _digits(total))))
            table.add_row(*words, style="bold", end_section=place == len(totals) - 1)
            name = ""
    return table


def _words(label: str, cell: Mapping[str, Any], digits: int) -> tuple[str, str, str, str, str]:
    published = cell["published"]
    if published is None:
        return one_line(label), number(cell["ours"], digits), "", "", ""
    return (
        one_line(label),
        number(cell["ours"], digits),
        str(published),
        _signed(cell["difference"], digits),
        EQUAL if cell["equal"] else DIFFERS,
    )


def _digits(total: Mapping[str, Any]) -> int:
    """One more than were printed; none of what is counted."""
    if total["unit"] == "bit":
        return 0
    published = total["published"]
    return 2 if published is None else len(str(published).partition(".")[2]) + 1


def _signed(value: float, digits: int) -> str:
    text = f"{value:+,.{digits}f}"
    return "0" if not text.strip("+-0.,") else text


def _banner(data: PricesData) -> Banner:
    if not data.of:
        return Banner("open", "nothing was published to compare with", "")
    tone = "good" if data.equal == data.of else "open"
    return Banner(
        tone,  # type: ignore[arg-type]
        f"{data.equal} of {data.of} published figures are equal to the last printed digit",
        one_line(data.source),
    )


def _figures(data: PricesData) -> Iterable[Figure]:
    for design in data.designs:
        total = design["totals"][0]
        published = total["published"]
        note = "" if published is None else f"published {published} {total['unit']}"
        value = f"{number(total['ours'], _digits(total))} {total['unit']}"
        yield Figure(value, one_line(f"{design['name']}: total {total['figure']}"), note)


def _section(place: int, design: Mapping[str, Any], data: PricesData) -> Section:
    columns = (
        Column("layer"),
        Column("kind"),
        Column("weight", "code"),
        Column("output", "code"),
        Column(f"ours [{data.unit}]", "number"),
        Column("published", "number"),
        Column("difference", "number"),
        Column(""),
    )
    most = max((float(row["ours"]) for row in design["rows"]), default=0.0)
    rows = [
        (
            Cell(one_line(row["layer"])),
            Cell(one_line(row["kind"])),
            Cell(one_line(row["weight"])),
            Cell(one_line(row["output"])),
            *_cells(row, 2, float(row["ours"]) / most if most else None),
        )
        for row in design["rows"]
    ]
    name = one_line(str(design["name"]))
    ours = (Column("figure"), Column("unit"), Column("ours", "number"), *columns[-3:])
    totals = tuple(
        (Cell(one_line(total["figure"])), Cell(total["unit"]), *_cells(total, _digits(total), None))
        for total in design["totals"]
    )
    blocks: list[Block] = [
        Table(f"{data.figure} of {name}, layer by layer", columns, tuple(rows)),
        Table(f"The whole network {name}", ours, totals),
    ]
    if design["note"]:
        blocks.append(Paragraph(one_line(str(design["note"]))))
    settings = [
        pairs_table(f"Settings of {target}", [(key, str(value)) for key, value in found.items()])
        for target, found in design["settings"].items()
        if found
    ]
    if settings:
        blocks.append(Details("Settings", (Row(tuple(settings)),)))
    return Section(f"design-{place}", one_line(str(design["name"])), tuple(blocks))


def _cells(cell: Mapping[str, Any], digits: int, bar: float | None) -> tuple[Cell, ...]:
    ours = Cell(number(cell["ours"], digits), bar)
    if cell["published"] is None:
        return (ours, Cell(NONE), Cell(""), Cell(""))
    mark = Cell(EQUAL, tone="good") if cell["equal"] else Cell(DIFFERS, tone="bad")
    return (ours, Cell(str(cell["published"])), Cell(_signed(cell["difference"], digits)), mark)


def _again(data: PricesData) -> Iterable[Block]:
    if data.command:
        yield Listing(one_line(data.command))
    if data.versions:
        yield pairs_table("Versions", data.versions.items())
    if data.recipe_text:
        yield Details("The recipe", (Listing(data.recipe_text),))
