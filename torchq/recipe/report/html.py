"""The report as one HTML file that needs nothing else: no script, no font, no picture from outside."""

from __future__ import annotations

import re
from html import escape as _escape
from importlib.resources import files

from torchq.recipe.report.content import compose
from torchq.recipe.report.document import (
    Block,
    Cell,
    Column,
    Details,
    Document,
    Listing,
    Paragraph,
    Picture,
    Row,
    Section,
    Table,
)
from torchq.recipe.report.text import clean
from torchq.recipe.report.theme import variables
from torchq.recipe.report.values import ReportData

_BEFORE_MODES = re.compile(",(?=[A-Z])")
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def render_html(data: ReportData) -> str:
    """The whole page as text; the same data gives the same text.

    Example:
        >>> render_html(ReportData("<Jets>")).count("&lt;Jets&gt;")
        2
    """
    return render_document(compose(data))


def render_document(document: Document) -> str:
    """Any document as one page."""
    sections = document.sections
    links = "".join(f'<a href="#{one.anchor}">{escape(one.title)}</a>' for one in sections)
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{escape(document.title)}</title>",
            f"<style>\n{_style()}</style>",
            "</head>",
            "<body>",
            _header(document),
            f'<nav aria-label="Sections">{links}</nav>',
            "<main>",
            *(_section(one) for one in sections),
            "</main>",
            "</body>",
            "</html>",
            "",
        ]
    )


def escape(text: str) -> str:
    """Text for an element or an attribute: nothing in it is markup, nothing unprintable is left."""
    return _escape(clean(text), quote=True)


def _style() -> str:
    sheet = files("torchq.recipe.report").joinpath("style.css").read_text(encoding="utf-8")
    dark = f"@media (prefers-color-scheme: dark) {{ @media screen {{ :root {{{variables(1)}}} }} }}"
    return f":root {{{variables(0)}}}\n{dark}\n{sheet}"


def _header(document: Document) -> str:
    facts = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(text)}</dd></div>" for name, text in document.facts
    )
    banner = document.banner
    mark = {"good": "✓", "bad": "✗", "open": "…"}[banner.tone]
    more = f"<p>{escape(banner.text)}</p>" if banner.text else ""
    cards = "".join(
        f'<div class="card"><b>{escape(one.value)}</b><span>{escape(one.label)}</span>'
        f"<i>{escape(one.note)}</i></div>"
        for one in document.figures
    )
    parts = [
        "<header>",
        f"<h1>{escape(document.title)}</h1>",
        f'<p class="lead">{escape(document.subtitle)}</p>' if document.subtitle else "",
        f'<dl class="facts">{facts}</dl>' if facts else "",
        f'<p class="warning">{escape(document.warning)}</p>' if document.warning else "",
        f'<div class="banner {banner.tone}"><span aria-hidden="true">{mark}</span>'
        f"<div><strong>{escape(banner.title)}</strong>{more}</div></div>",
        f'<div class="cards">{cards}</div>',
        "</header>",
    ]
    return "\n".join(part for part in parts if part)


def _section(section: Section) -> str:
    blocks = "\n".join(_block(block) for block in section.blocks)
    return f'<section id="{section.anchor}">\n<h2>{escape(section.title)}</h2>\n{blocks}\n</section>'


def _block(block: Block) -> str:
    match block:
        case Paragraph():
            return (
                f'<p class="missing">{escape(block.text)}</p>'
                if block.missing
                else f"<p>{escape(block.text)}</p>"
            )
        case Table():
            return _table(block)
        case Picture():
            return f"<figure>{block.svg}<figcaption>{escape(block.caption)}</figcaption></figure>"
        case Listing():
            return f"<pre><code>{escape(block.text)}</code></pre>"
        case Details():
            inner = "\n".join(_block(one) for one in block.blocks)
            return f"<details><summary>{escape(block.title)}</summary>\n{inner}\n</details>"
        case Row():
            return '<div class="row">' + "\n".join(_block(one) for one in block.blocks) + "</div>"


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col"{_class(column)}>{escape(column.title)}</th>' for column in table.columns)
    rows = []
    for place, row in enumerate(table.rows):
        sort = "strong" if place in table.strong else ""
        if table.total and place == len(table.rows) - 1:
            sort = "total"
        cells = "".join(_cell(cell, column) for cell, column in zip(row, table.columns, strict=True))
        rows.append(f'<tr class="{sort}">{cells}</tr>' if sort else f"<tr>{cells}</tr>")
    body = "\n".join(rows)
    top = f"<thead><tr>{head}</tr></thead>\n" if any(column.title for column in table.columns) else ""
    return (
        f'<div class="table" tabindex="0" role="group" aria-label="{escape(table.caption)}"><table>'
        f"<caption>{escape(table.caption)}</caption>\n{top}<tbody>\n{body}\n"
        "</tbody></table></div>"
    )


def _cell(cell: Cell, column: Column) -> str:
    text = escape(cell.text)
    if cell.tone:
        text = f'<span class="{cell.tone}">{text}</span>'
    if column.kind == "code" and cell.text:
        text = f"<code>{_BEFORE_MODES.sub(',<wbr>', text, count=1)}</code>"
    if cell.bar is None:
        return f"<td{_class(column)}>{text}</td>"
    return f'<td class="number bar" style="--bar:{100 * cell.bar:.1f}%">{text}</td>'


def _class(column: Column) -> str:
    return "" if column.kind == "text" else f' class="{column.kind}"'
