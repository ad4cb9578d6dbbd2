"""What the pictures have in common: line styles, labels and tick marks."""

from __future__ import annotations

from typing import Any

from torchq.recipe.report.text import one_line
from torchq.recipe.report.theme import light

DASHED: Any = (0, (4.5, 2.0))
DOTTED: Any = (0, (1, 1.6))


def line_style(role: str) -> Any:
    """Float solid, the 6-bit model dotted, the picked one dashed, others in dots and dashes."""
    return {"float": "-", "q6": DOTTED, "picked": DASHED}.get(role, "-.")


def label(text: str) -> str:
    """A label that matplotlib shows even if it begins with an underscore, and no longer than a line.

    Example:
        >>> label("_hidden"), len(label(60 * "x"))
        (' _hidden', 40)
    """
    text = one_line(text)
    text = text if len(text) <= 40 else text[:39] + "…"
    return f" {text}" if text.startswith("_") else text


def listed(names: list[str]) -> str:
    """Names in a sentence.

    Example:
        >>> listed(["float", "Q6", "picked"])
        'float, Q6 and picked'
    """
    names = [one_line(name) for name in names]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def plain_ticks(axis: Any, multiples: tuple[float, ...]) -> None:
    """Ticks of a logarithmic axis at these multiples of the powers of ten, written out."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(base=10, subs=multiples))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def empty(axes: Any, text: str) -> None:
    """Axes that only say what is missing."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", color=light("quiet"), transform=axes.transAxes)
