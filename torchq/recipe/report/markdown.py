"""The report as Markdown: the same words and tables, without pictures and without links."""

from __future__ import annotations

import re

from torchq.recipe.report.content import compose
from torchq.recipe.report.document import Block, Details, Document, Listing, Paragraph, Picture, Row, Table
from torchq.recipe.report.text import clean, one_line
from torchq.recipe.report.values import ReportData

_MARKS = {"good": "✓", "bad": "✗", "open": "…"}


def render_markdown(data: ReportData) -> str:
    r"""The whole page as text; the same data gives the same text.

    Example:
        >>> print(render_markdown(ReportData("Jets | *all*")).splitlines()[0])
        # Jets \| \*all\*
    """
    return render_document(compose(data, pictures=False))


def render_document(document: Document) -> str:
    """Any document as text; its pictures are left out."""
    parts = [*_head(document)]
    for section in document.sections:
        parts.append(f"## {escape(section.title)}")
        parts += [_block(block) for block in section.blocks]
    return "\n\n".join(part for part in parts if part) + "\n"


def escape(text: str) -> str:
    r"""Text as text: what Markdown or HTML would read as a mark is escaped; one line comes out.

    Example:
        >>> escape("a_b <i> | `c`")
        'a\\_b &lt;i&gt; \\| \\`c\\`'
    """
    text = re.sub(r"([\\`*_\[\]|~#])", r"\\\1", one_line(text))
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"^([-+=]|\d+[.)])(?=\s|$)", r"\\\1", text)


def _head(document: Document) -> list[str]:
    banner = document.banner
    facts = " · ".join(f"{escape(name)}: {escape(text)}" for name, text in document.facts)
    figures = (
        f"- **{escape(one.value)}** {escape(one.label)}" + (f" ({escape(one.note)})" if one.note else "")
        for one in document.figures
    )
    return [
        f"# {escape(document.title)}",
        escape(document.subtitle),
        facts,
        f"> {escape(document.warning)}" if document.warning else "",
        f"**{_MARKS[banner.tone]} {escape(banner.title)}** {escape(banner.text)}".rstrip(),
        "\n".join(figures),
    ]


def _block(block: Block) -> str:
    match block:
        case Paragraph():
            return f"*{escape(block.text)}*" if block.missing else escape(block.text)
        case Table():
            return _table(block)
        case Picture():
            return ""
        case Listing():
            return _fenced(block.text)
        case Details():
            return "\n\n".join([f"### {escape(block.title)}", *(_block(one) for one in block.blocks)])
        case Row():
            return "\n\n".join(_block(one) for one in block.blocks)


def _table(table: Table) -> str:
    head = [escape(column.title) for column in table.columns]
    rule = ["---:" if column.kind == "number" else "---" for column in table.columns]
    rows = []
    for place, row in enumerate(table.rows):
        bold = place in table.strong or (table.total and place == len(table.rows) - 1)
        rows.append([f"**{escape(cell.text)}**" if bold and cell.text else escape(cell.text) for cell in row])
    lines = [f"| {' | '.join(cells)} |" for cells in (head, rule, *rows)]
    return f"{escape(table.caption)}:\n\n" + "\n".join(lines)


def _fenced(text: str) -> str:
    """A listing between fences longer than any in it."""
    text = clean(text).rstrip("\n")
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"
