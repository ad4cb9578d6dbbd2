"""The pictures of a report: as SVG for the page, or one PNG of the whole.

Figures are made without pyplot: no window system, no state left behind.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from torchq.recipe.report.axes import empty, listed
from torchq.recipe.report.bars import draw_legend, draw_resources
from torchq.recipe.report.losses import draw_losses
from torchq.recipe.report.pareto import draw_pareto, placed
from torchq.recipe.report.roc import draw_roc
from torchq.recipe.report.svg import style, to_svg
from torchq.recipe.report.text import energy, number, one_line, percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from torchq.recipe.report.synthesized import Synthesized
    from torchq.recipe.report.values import ReportData


def roc_svg(data: ReportData) -> str | None:
    """ROC curves of all models as SVG; None without any."""
    models = [model for model in data.models if model.roc]
    if not models:
        return None
    areas = listed(
        [f"{one_line(model.name)} with macro AUC {number(model.auc_macro, 4)}" for model in models]
    )
    alt = f"ROC curves by class, background efficiency (logarithmic) against signal efficiency: {areas}."
    with style("roc"):
        figure = _figure(6.6, 4.7)
        draw_roc(figure.subplots(), models)
        return to_svg(figure, "roc", alt)


def pareto_svg(data: ReportData) -> str | None:
    """Accuracy against energy of all trials as SVG; None without a trial that has both."""
    search = data.search
    shown = [] if search is None else placed(search)
    if search is None or not shown:
        return None
    alt = f"Accuracy against energy (logarithmic) of {len(shown)} trials, {len(search.front)} on the front."
    for point in shown:
        if point.trial.number == search.picked:
            trial = point.trial
            alt += f" Picked: trial {trial.number}, {percent(trial.accuracy)} at {energy(trial.energy_pj)}."
    with style("pareto"):
        figure = _figure(8.4, 4.9)
        hints = draw_pareto(figure.subplots(), search)
        return to_svg(figure, "pareto", alt, hints)


def losses_svg(data: ReportData) -> str | None:
    """Losses by epoch as SVG; None without any."""
    told = [one for one in data.histories if one.loss or one.valid_loss]
    if not told:
        return None
    alt = f"Training and validation loss by epoch: {listed([one.name for one in told])}."
    with style("losses"):
        figure = _figure(8.4, 3.9)
        draw_losses(figure.subplots(), told)
        return to_svg(figure, "losses", alt)


def resources_svg(designs: Sequence[Synthesized]) -> str | None:
    """LUTs and flip-flops, counted and estimated, as SVG; None without any."""
    shown = [one for one in designs if one.pair("lut") is not None]
    if not shown:
        return None
    told = listed([f"{one_line(one.name)} {number(one.resources.get('LUT'))} LUT" for one in shown])
    alt = f"LUTs and flip-flops as counted and as estimated: {told}."
    with style("resources"):
        figure = _figure(8.4, 1.6 + 0.8 * len(shown))
        left, right = figure.subplots(1, 2, sharey=True)
        draw_resources(left, shown, "lut", "LUT primitives")
        draw_resources(right, shown, "ff", "flip-flops")
        draw_legend(figure)
        return to_svg(figure, "resources", alt)


def overview_png(data: ReportData) -> bytes:
    """One picture: the search on the left, the ROC curves on the right; 2240 by 800 pixels."""
    models = [model for model in data.models if model.roc]
    with style("overview"):
        figure = _figure(14.0, 5.0)
        left, right = figure.subplots(1, 2)
        if data.search is not None and placed(data.search):
            draw_pareto(left, data.search)
        else:
            empty(left, "search: not run yet")
        if models:
            draw_roc(right, models)
        else:
            empty(right, "ROC: not run yet")
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=160, metadata={"Software": None})
        return buffer.getvalue()


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")
