"""Counted and estimated resources of networks, as bars beside each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchq.recipe.report.axes import label
from torchq.recipe.report.theme import light, series

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from torchq.recipe.report.synthesized import Synthesized

_HEIGHT = 0.36


def draw_resources(axes: Axes, designs: Sequence[Synthesized], figure: str, title: str) -> None:
    """One figure: a full bar for what was counted, a hollow one for what was estimated."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    for place, one in enumerate(designs):
        pair = one.pair(figure)
        if pair is None:
            continue
        for offset, value, filled in ((-_HEIGHT / 2, pair[1], True), (_HEIGHT / 2, pair[0], False)):
            face = series(0) if filled else light("page")
            axes.barh(place + offset, value, _HEIGHT * 0.9, color=face, edgecolor=series(0), linewidth=1.2)
            axes.annotate(
                f"{value:,.0f}",
                (value, place + offset),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                color=light("quiet"),
            )
    axes.set_yticks(range(len(designs)), [label(one.name) for one in designs])
    axes.set_ylim(len(designs) - 0.4, -0.6)
    axes.margins(x=0.18)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.grid(visible=False, axis="y")
    axes.set_title(title)


def draw_legend(figure: Figure) -> None:
    """What full and hollow bars are, below all axes."""
    from matplotlib.patches import Patch

    faces = {"counted": series(0), "estimated": light("page")}
    handles = [
        Patch(facecolor=face, edgecolor=series(0), linewidth=1.2, label=text) for text, face in faces.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
