"""Losses by epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchq.recipe.report.axes import DOTTED, label
from torchq.recipe.report.theme import light, series

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from torchq.recipe.report.values import TrainingHistory


def draw_losses(axes: Axes, histories: Sequence[TrainingHistory]) -> None:
    """Training (dotted) and validation (solid) losses; a dot marks the epoch whose weights were kept."""
    from matplotlib.ticker import MaxNLocator

    for place, one in enumerate(histories):
        colour = light("picked") if one.role == "picked" else series(place)
        axes.plot(_epochs(one.loss), one.loss, color=colour, linestyle=DOTTED, linewidth=1.3)
        axes.plot(_epochs(one.valid_loss), one.valid_loss, color=colour, linewidth=1.6, label=label(one.name))
        best = one.best_epoch
        if best is not None and 0 <= best < len(one.valid_loss):
            axes.plot([best + 1], [one.valid_loss[best]], "o", color=colour, markersize=5.5)
    axes.plot([], [], color=light("quiet"), linestyle=DOTTED, linewidth=1.3, label="on the training data")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epoch")
    axes.set_ylabel("loss (solid: validation)")
    axes.legend(loc="upper right")


def _epochs(values: Sequence[float]) -> range:
    return range(1, len(values) + 1)
