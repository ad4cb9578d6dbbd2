"""Tables of words, as aligned text and as HTML."""

from __future__ import annotations

import html
from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """One line a row, columns aligned left, a rule below the first row.

    Example:
        >>> aligned([["layer", "type"], ["fc1", "ap_fixed<6,1>"]])
        ['layer  type', '-----  -------------', 'fc1    ap_fixed<6,1>']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    ruled = [rows[0], ["-" * width for width in widths], *rows[1:]]
    return [
        "  ".join(f"{word:<{width}}" for word, width in zip(row, widths, strict=True)).rstrip()
        for row in ruled
    ]


def html_row(tag: str, words: Sequence[str]) -> str:
    """One ``<tr>``.

    Example:
        >>> html_row("td", ["a < b"])
        '<tr><td>a &lt; b</td></tr>'
    """
    return "<tr>" + "".join(f"<{tag}>{html.escape(word)}</{tag}>" for word in words) + "</tr>"
