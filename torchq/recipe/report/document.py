"""The form between the data and the pages: sections of paragraphs, tables, pictures and listings.

Everything that both pages say is said once, in these values; :mod:`~torchq.recipe.report.html` and
:mod:`~torchq.recipe.report.markdown` only write them down.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Tone = Literal["", "good", "bad", "picked"]


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Attributes:
        bar: length of a bar drawn behind the text, from 0 to 1; pages without pictures leave it out.
        tone: colours the text; the text must say it too.
    """

    text: str
    bar: float | None = None
    tone: Tone = ""


@dataclass(frozen=True)
class Column:
    """Head of a column; numbers stand on the right, code in a fixed-width font."""

    title: str
    kind: Literal["text", "number", "code"] = "text"


@dataclass(frozen=True)
class Table:
    """A table; ``strong`` are the rows (from 0) set apart, ``total`` says that the last row is a sum."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    strong: tuple[int, ...] = ()
    total: bool = False


@dataclass(frozen=True)
class Paragraph:
    """Plain text; ``missing`` says that something was not run yet."""

    text: str
    missing: bool = False


@dataclass(frozen=True)
class Picture:
    """A picture as ready SVG text; only pages with pictures show it."""

    svg: str
    caption: str


@dataclass(frozen=True)
class Listing:
    """Text to be shown as it is, such as the recipe."""

    text: str


@dataclass(frozen=True)
class Details:
    """Blocks that are folded away at first."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Row:
    """Blocks that stand side by side where the page is wide enough."""

    blocks: tuple[Block, ...]


Block = Paragraph | Table | Picture | Listing | Details | Row


@dataclass(frozen=True)
class Section:
    """A part of the page; ``anchor`` is its place in links."""

    anchor: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Banner:
    """The verdict above everything else."""

    tone: Literal["good", "bad", "open"]
    title: str
    text: str


@dataclass(frozen=True)
class Figure:
    """One number of the first screen, with what it means below it."""

    value: str
    label: str
    note: str = ""


@dataclass(frozen=True)
class Document:
    """The whole page."""

    title: str
    subtitle: str
    facts: tuple[tuple[str, str], ...]
    warning: str
    banner: Banner
    figures: tuple[Figure, ...]
    sections: tuple[Section, ...]
