"""A matplotlib figure as a piece of SVG that belongs to the page around it.

The piece has no document type, metadata, style sheet or font of its own, its ids carry the name of the
picture, and its colours are the page's CSS variables, so that it turns dark with the page. The same
figure gives the same bytes.
"""

from __future__ import annotations

import html
import io
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from torchq.recipe.report.theme import COLOURS, light

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SETTINGS = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": ["DejaVu Sans"],
    "font.size": 9.5,
    "axes.unicode_minus": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.edgecolor": light("quiet"),
    "axes.labelcolor": light("ink"),
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": light("line"),
    "grid.linewidth": 0.7,
    "text.color": light("ink"),
    "xtick.color": light("quiet"),
    "ytick.color": light("quiet"),
    "legend.frameon": False,
    "legend.fontsize": 9.0,
    "legend.title_fontsize": 9.0,
    "lines.solid_capstyle": "round",
    "axes.titlelocation": "left",
    "axes.titlesize": 10.5,
    "figure.facecolor": light("page"),
    "axes.facecolor": light("page"),
}


@contextmanager
def style(salt: str) -> Iterator[None]:
    """Settings for drawing and saving, whatever the user's own matplotlib settings are."""
    import matplotlib as mpl

    with mpl.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from", category=UserWarning)
        mpl.rcdefaults()
        mpl.rcParams.update({**_SETTINGS, "svg.hashsalt": salt})
        yield


def to_svg(figure: Figure, name: str, alt: str, hints: Mapping[str, Sequence[str]] | None = None) -> str:
    """The figure as text to be put into an HTML page.

    Args:
        figure: drawn within :func:`style`, and still within it.
        name: goes before every id of the picture; letters and dashes.
        alt: says in words what the picture shows.
        hints: by gid of a scatter, one text a point that browsers show when the mouse rests on it.
    """
    buffer = io.StringIO()
    nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
    figure.savefig(buffer, format="svg", metadata=nothing, transparent=True)
    text = _OWN_STYLE.sub("", buffer.getvalue(), count=1)
    for gid, titles in (hints or {}).items():
        text = _hinted(text, gid, titles)
    body = text[text.index(">", text.index("<svg")) + 1 :].strip()
    body = _TAG.sub(lambda tag: _adapted(tag.group(), name), body)
    width, height = (72 * float(side) for side in figure.get_size_inches())
    spaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    label = f'role="img" aria-labelledby="{name}-title"'
    title = f'<title id="{name}-title">{html.escape(alt)}</title>'
    return f'<svg {spaces} viewBox="0 0 {width:g} {height:g}" {label}>{title}\n{body}'


_OWN_STYLE = re.compile(r"\s*<defs>\s*<style type=\"text/css\">.*?</style>\s*</defs>", re.DOTALL)
_TAG = re.compile(r"<[^>]*>")


def _adapted(tag: str, name: str) -> str:
    """One tag with named ids and references, the page's colours and font, and short numbers."""
    tag = re.sub(r'^<g id="[^"]*"', "<g", tag)
    tag = re.sub(r' id="([^"]*)"', rf' id="{name}-\1"', tag)
    tag = tag.replace('xlink:href="#', f'xlink:href="#{name}-').replace("url(#", f"url(#{name}-")
    tag = re.sub(r"font-family: [^;\"]*;? ?", "", tag)
    tag = re.sub(r"(fill|stroke): (#[0-9a-f]{6})\b", _themed, tag)
    return re.sub(r"(\.\d\d)\d+", r"\1", tag)


def _themed(match: re.Match[str]) -> str:
    names = {pair[0]: name for name, pair in COLOURS.items()}
    name = names.get(match.group(2))
    return match.group() if name is None else f"{match.group(1)}: var(--{name})"


def _hinted(text: str, gid: str, titles: Sequence[str]) -> str:
    start = text.find(f'<g id="{gid}">')
    if start < 0:
        return text
    end = text.find('<g id="', start + 1)
    group = text[start:end]
    ready = iter(titles)

    def with_title(match: re.Match[str]) -> str:
        title = next(ready, None)
        return (
            match.group() if title is None else f"{match.group(1)}><title>{html.escape(title)}</title></use>"
        )

    return text[:start] + re.sub(r"(<use [^>]*?)/>", with_title, group) + text[end:]
