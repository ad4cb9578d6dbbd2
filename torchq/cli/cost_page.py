"""What ``torchq cost`` shows: text, plain values for JSON, and a page."""

from __future__ import annotations

import html
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from torchq.cli.cost_prices import Found

if TYPE_CHECKING:
    from torchq.cost import CostReport

_STYLE = (
    "body{font:14px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:80rem;padding:0 1rem}"
    "table{border-collapse:collapse;margin:1rem 0;display:block;overflow-x:auto}"
    "th,td{border-bottom:1px solid #ccc;padding:.2rem .6rem;text-align:left;white-space:nowrap}"
)


def text(found: Found, *, parts: bool = False) -> str:
    """The table of layers, the totals beside others, and the notes.

    Args:
        found: what is shown.
        parts: whether the parts of the figures are shown beside them.
    """
    report = found.report if parts else _without_parts(found.report)
    pieces = [found.name if found.beside else "", report.text()]
    if found.beside:
        pieces.append(_aligned(_beside(found)))
    if found.types is not None:
        pieces.append(found.types.text())
    if found.notes:
        pieces.append("\n".join(f"note: {note}" for note in found.notes))
    return "\n\n".join(piece for piece in pieces if piece)


def _without_parts(report: CostReport) -> CostReport:
    rows = [
        replace(row, costs={name: value for name, value in row.costs.items() if name in report.units})
        for row in report.layers
    ]
    return replace(report, layers=tuple(rows))


def to_dict(found: Found) -> dict[str, Any]:
    """Plain values for JSON."""
    plain: dict[str, Any] = {
        "what": found.what,
        "network": found.name,
        **found.report.to_dict(),
        "beside": {name: dict(total) for name, total in found.beside.items() if name != found.name},
        "remarks": list(found.notes),
    }
    if found.types is not None:
        plain["types"] = found.types.to_dict()
    return plain


def page(found: Found) -> str:
    """A whole page in one file, with no scripts and nothing from elsewhere."""
    title = html.escape(f"{found.what}: cost")
    body = [f"<h1>{title}</h1>", f"<p>{html.escape(found.name)}</p>", found.report.to_html()]
    if found.beside:
        head, *rows = _beside(found)
        body += [
            "<h2>Beside</h2>",
            "<table>",
            _row("th", head),
            *(_row("td", row) for row in rows),
            "</table>",
        ]
    if found.types is not None:
        body += ["<h2>Types</h2>", found.types.to_html()]
    body += [f"<p>{html.escape(note)}</p>" for note in found.notes]
    content = "\n".join(body)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n{content}\n</body>\n</html>\n"
    )


def _beside(found: Found) -> list[list[str]]:
    """A row for each network, a column for each figure with a unit."""
    figures = [name for name in found.report.units if name in found.report.total]
    rows = [["network", *(f"{name} [{found.report.units[name]}]" for name in figures)]]
    for network, total in found.beside.items():
        rows.append([network, *(_figure(total.get(name)) for name in figures)])
    return rows


def _figure(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"


def _aligned(rows: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            word.ljust(width) if i == 0 else word.rjust(width)
            for i, (word, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _row(tag: str, words: list[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(word)}</{tag}>" for word in words) + "</tr>"
