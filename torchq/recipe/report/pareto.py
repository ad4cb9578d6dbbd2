"""The search in one picture: accuracy against energy of every trial, its front, the picked one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torchq.recipe.report.axes import DASHED, label, plain_ticks
from torchq.recipe.report.text import energy, one_line, percent
from torchq.recipe.report.theme import light, series

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from torchq.recipe.report.values import CostReference, SearchResult, TrialPoint

_MARKERS = "osD^v"
_DEPTH = 15.0
"""Percentage points below the best that are shown; deeper trials stand on the lower edge."""

_PAPER = {"boxstyle": "square,pad=0.1", "facecolor": light("page"), "edgecolor": "none", "alpha": 0.8}


@dataclass(frozen=True)
class Point:
    """A trial's place in the picture: pJ and per cent."""

    x: float
    y: float
    trial: TrialPoint


def placed(search: SearchResult) -> list[Point]:
    """The trials that have an accuracy and an energy above zero."""
    return [
        Point(trial.energy_pj, 100 * trial.accuracy, trial)
        for trial in search.trials
        if trial.accuracy is not None
        and trial.energy_pj is not None
        and math.isfinite(trial.accuracy)
        and 0 < trial.energy_pj < math.inf
    ]


def draw_pareto(axes: Axes, search: SearchResult) -> dict[str, list[str]]:
    """Draw the picture; there must be at least one :func:`placed` trial.

    Returns:
        By the gid of every scatter, one text a point that says which trial it is.
    """
    shown = placed(search)
    floor, ceiling = _window(shown, search.references)
    hints = _draw_trials(axes, shown, floor)
    _draw_front(axes, shown, search, floor)
    _draw_references(axes, search.references)
    low, high = _range(shown, search.references)
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.set_ylim(floor, ceiling)
    plain_ticks(axes.xaxis, (1, 2, 5) if high / low < 300 else (1,))
    axes.set_xlabel("energy of one inference [pJ]")
    axes.set_ylabel(f"{one_line(search.split)} accuracy [%]")
    below = sum(point.y < floor for point in shown)
    title = f"{below} lie lower than drawn" if below else None
    above = {"loc": "lower left", "bbox_to_anchor": (0.0, 1.01), "borderaxespad": 0.0}
    axes.legend(ncols=5, title=title, alignment="left", handletextpad=0.3, columnspacing=1.6, **above)
    return hints


def _draw_trials(axes: Axes, shown: Sequence[Point], floor: float) -> dict[str, list[str]]:
    hints: dict[str, list[str]] = {}
    searchers = sorted(
        dict.fromkeys(point.trial.searcher for point in shown), key=lambda one: one == "random"
    )
    for place, searcher in enumerate(searchers):
        points = [point for point in shown if point.trial.searcher == searcher]
        gid = f"trials-{place}"
        hints[gid] = [_hint(point.trial) for point in points]
        axes.scatter(
            [point.x for point in points],
            [max(floor, point.y) for point in points],
            s=26,
            marker=_MARKERS[place % len(_MARKERS)],
            color=series(0 if place == 0 else place + 4),
            alpha=0.55,
            linewidths=0,
            gid=gid,
            clip_on=False,
            label=label(f"{searcher or 'search'}: {len(points)} trial" + "s" * (len(points) != 1)),
        )
    return hints


def _draw_front(axes: Axes, shown: Sequence[Point], search: SearchResult, floor: float) -> None:
    front = sorted((point.x, point.y) for point in shown if point.trial.number in search.front)
    if front:
        x, y = zip(*front, strict=True)
        axes.plot(x, y, color=light("front"), linewidth=1.6, drawstyle="steps-post", zorder=1.8)
        axes.plot(x, y, "o", color=light("picked"), markersize=4.2, label="Pareto front", zorder=3)
    for point in shown:
        if point.trial.number == search.picked:
            axes.plot(
                [point.x],
                [max(floor, point.y)],
                "*",
                color=light("picked"),
                markersize=17,
                markeredgecolor=light("page"),
                markeredgewidth=1.2,
                zorder=4,
                label=f"picked: trial {point.trial.number}",
            )


def _draw_references(axes: Axes, references: Sequence[CostReference]) -> None:
    """A cross for a model with accuracy and energy, a line for one that has only one of them."""
    lines = 0
    for one in references:
        x, y, name = _energy(one), _accuracy(one), label(one.name)
        if x is not None and y is not None:
            axes.plot([x], [y], "X", color=light("ink"), markersize=8, markeredgewidth=0, zorder=3.5)
            axes.annotate(
                name, (x, y), (0, -8), textcoords="offset points", ha="center", va="top", bbox=_PAPER
            )
        elif y is not None:
            axes.axhline(y, color=light("quiet"), linewidth=1.0, linestyle=DASHED, zorder=1.5)
            axes.annotate(
                name,
                (0.0, y),
                (5, 4),
                xycoords=("axes fraction", "data"),
                textcoords="offset points",
                color=light("quiet"),
            )
        elif x is not None:
            axes.axvline(x, color=light("quiet"), linewidth=1.0, linestyle=DASHED, zorder=1.5)
            axes.annotate(
                name,
                (x, 0.03 + 0.07 * (lines % 5)),
                (-6, 0),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                ha="right",
                color=light("quiet"),
                bbox=_PAPER,
            )
            lines += 1


def _window(shown: Sequence[Point], references: Sequence[CostReference]) -> tuple[float, float]:
    """Lower and upper edge in per cent: what is within :data:`_DEPTH` of the best, and some room."""
    levels = [point.y for point in shown]
    levels += [level for level in map(_accuracy, references) if level is not None]
    top = max(levels)
    low = min(level for level in levels if level >= top - _DEPTH)
    room = max(0.4, 0.08 * (top - low))
    return low - room, top + 1.4 * room


def _range(shown: Sequence[Point], references: Sequence[CostReference]) -> tuple[float, float]:
    energies = [point.x for point in shown]
    energies += [value for value in map(_energy, references) if value is not None]
    room = max(1.12, (max(energies) / min(energies)) ** 0.06)
    return min(energies) / room, max(energies) * room


def _energy(one: CostReference) -> float | None:
    return one.energy_pj if one.energy_pj is not None and 0 < one.energy_pj < math.inf else None


def _accuracy(one: CostReference) -> float | None:
    return 100 * one.accuracy if one.accuracy is not None and math.isfinite(one.accuracy) else None


def _hint(trial: TrialPoint) -> str:
    told = f"trial {trial.number}, {percent(trial.accuracy)}, {energy(trial.energy_pj)}"
    return one_line(f"{told}: {trial.scheme}" if trial.scheme else told)[:300]
