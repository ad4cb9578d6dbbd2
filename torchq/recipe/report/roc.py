"""ROC curves of all models and classes, drawn as trigger people do: background against signal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from torchq.recipe.report.axes import label, line_style, plain_ticks
from torchq.recipe.report.theme import light, series

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from torchq.recipe.report.values import ModelResult


def draw_roc(axes: Axes, models: Sequence[ModelResult]) -> None:
    """Background against signal efficiency; a colour a class, a line style a model."""
    from matplotlib.lines import Line2D

    classes = list(dict.fromkeys(name for model in models for name in model.roc))
    lowest = 1.0
    for model in models:
        for name, (fpr, tpr) in model.roc.items():
            x, y = thin(fpr, tpr)
            lowest = min([lowest, *y.tolist()])
            colour = series(classes.index(name))
            axes.plot(x, y, color=colour, linestyle=line_style(model.role), linewidth=_width(model))
    axes.set_yscale("log")
    axes.set_xlim(0, 1)
    axes.set_ylim(10 ** math.floor(math.log10(min(0.1, max(lowest, 1e-3)))), 1.15)
    plain_ticks(axes.yaxis, (1,))
    axes.set_xlabel("signal efficiency")
    axes.set_ylabel("background efficiency")
    colours = [Line2D([], [], color=series(place), linewidth=2.2) for place in range(len(classes))]
    lines = [
        Line2D([], [], color=light("ink"), linestyle=line_style(one.role), linewidth=_width(one))
        for one in models
    ]
    names = [label(name) for name in classes]
    upper = axes.legend(colours, names, title="class", loc="upper left", alignment="left")
    axes.add_artist(upper)
    axes.legend(lines, [label(model.name) for model in models], loc="lower right", handlelength=3.2)


def thin(fpr: Sequence[float], tpr: Sequence[float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The points of a curve that can be told apart in a picture, at least 1e-5 of the background left.

    Returns:
        tpr and fpr, each ``[points]``, in the order given.

    Example:
        >>> x, y = thin([0.0, 0.1, 0.1, 1.0], [0.0, 0.5, 0.5, 1.0])
        >>> x.tolist(), y.tolist()
        ([0.5, 1.0], [0.1, 1.0])
    """
    size = min(len(fpr), len(tpr))
    y, x = np.asarray(fpr, dtype=np.float64)[:size], np.asarray(tpr, dtype=np.float64)[:size]
    kept = np.isfinite(x) & np.isfinite(y) & (y >= 1e-5)
    x, y = x[kept], y[kept]
    cells = np.stack([np.round(x * 240), np.round(np.log10(y) * 50)], axis=1)
    _, first = np.unique(cells, axis=0, return_index=True)
    first = np.sort(first)
    return x[first], y[first]


def _width(model: ModelResult) -> float:
    return 1.3 if model.role == "float" else 1.7
