"""What the report says, in which order: from the data to a :class:`Document`."""

from __future__ import annotations

from torchq.recipe.report import synthesis, tables
from torchq.recipe.report.checks import evaluate, figures, ratio
from torchq.recipe.report.document import (
    Banner,
    Block,
    Details,
    Document,
    Figure,
    Listing,
    Paragraph,
    Picture,
    Row,
    Section,
)
from torchq.recipe.report.estimates import estimates_table, notes_table
from torchq.recipe.report.plots import losses_svg, pareto_svg, roc_svg
from torchq.recipe.report.text import MISSING, duration, energy, number, one_line, percent, points, times
from torchq.recipe.report.values import ReportData


def compose(data: ReportData, *, pictures: bool = True) -> Document:
    """The whole report; without pictures for pages that show none."""
    return Document(
        title=one_line(data.title) or "Run report",
        subtitle=one_line(data.description),
        facts=_facts(data),
        warning=_warning(data),
        banner=_banner(data),
        figures=_figures(data),
        sections=tuple(
            one
            for one in (
                Section("shown", "Results", _results(data)),
                Section("models", "Models", _models(data, pictures)),
                Section("search", "Search", _search(data, pictures)),
                Section("layers", "Picked model", _layers(data)),
                Section("estimates", "On an FPGA: estimates", _estimates(data)),
                Section("synthesis", "Synthesis", _synthesis(data, pictures)),
                Section("firmware", "Firmware and verification", _firmware(data)),
                Section("training", "Training", _training(data, pictures)),
                Section("data", "Data", _data(data)),
                Section("again", "How to run this again", _again(data)),
            )
            if one.blocks
        ),
    )


def _facts(data: ReportData) -> tuple[tuple[str, str], ...]:
    wall = "" if data.wall_s is None else duration(data.wall_s)
    pairs = (("recipe", data.recipe), ("run", data.run_dir), ("made", data.created), ("wall time", wall))
    return tuple((name, one_line(value)) for name, value in pairs if value)


def _warning(data: ReportData) -> str:
    if data.data is None or not data.data.simulated:
        return ""
    return f"SIMULATED data: {one_line(data.data.source or data.data.name)}"


def _banner(data: ReportData) -> Banner:
    verified = data.verification
    if verified is None:
        return Banner(
            "open", "not verified yet", "The run stopped before the firmware was compared with torch."
        )
    if verified.exact:
        return Banner("good", verified.headline, one_line(verified.verdict))
    first = f"First difference: {verified.first}" if verified.first else ""
    told = (one_line(part) for part in (verified.verdict, first))
    return Banner("bad", verified.headline, " ".join(part for part in told if part))


def _figures(data: ReportData) -> tuple[Figure, ...]:
    of = figures(data)
    name = "the reference" if data.reference is None else one_line(data.reference.name)
    picked, full = of["accuracy_picked"], of["accuracy_float"]
    lost = "" if picked is None or full is None else f"{points(full - picked)} below float"
    saved, fewer = ratio(of["energy_pj_bf"], of["energy_pj_picked"]), ratio(of["bits_bf"], of["bits_picked"])
    met = [check.met for check in evaluate(data)]
    shown = [
        Figure(percent(picked) if picked is not None else MISSING, "test accuracy, picked model", lost),
        Figure(
            times(saved) if saved is not None else MISSING,
            "less energy",
            f"{energy(of['energy_pj_picked'])} against {energy(of['energy_pj_bf'])} of {name}"
            if saved
            else "",
        ),
        Figure(
            times(fewer) if fewer is not None else MISSING,
            "fewer weight and bias bits",
            f"{number(of['bits_picked'])} against {number(of['bits_bf'])} of {name}" if fewer else "",
        ),
    ]
    if met:
        missing = met.count(None)
        note = f"{missing} not measured" if missing else ""
        shown.append(Figure(f"{met.count(True)} of {len(met)}", "targets met", note))
    return tuple(shown)


def _results(data: ReportData) -> tuple[Block, ...]:
    table = tables.checks_table(data)
    goal = (Paragraph(f"Goal of the search: {one_line(data.goal)}"),) if data.goal else ()
    return (*goal, table) if table is not None else (goal or (Paragraph("Nothing was asked of this run."),))


def _models(data: ReportData, pictures: bool) -> tuple[Block, ...]:
    table = tables.models_table(data)
    if table is None:
        return (_missing("models"),)
    blocks: list[Block] = [table]
    if data.data is not None and data.data.sizes.get("test"):
        blocks.append(
            Paragraph(
                "± is one statistical standard deviation of the accuracy on the test split. The models are "
                "measured on the same examples, so their differences are known better than that."
            )
        )
    side: list[Block] = []
    svg = roc_svg(data) if pictures else None
    if svg is not None:
        side.append(Picture(svg, "ROC by class on the test split. Lower and further right is better."))
    auc = tables.auc_table(data)
    if auc is not None:
        side.append(auc)
    if side:
        blocks.append(Row(tuple(side)))
    return tuple(blocks)


def _search(data: ReportData, pictures: bool) -> tuple[Block, ...]:
    search = data.search
    if search is None or not search.trials:
        return (_missing("search"),)
    blocks: list[Block] = []
    svg = pareto_svg(data) if pictures else None
    if svg is not None:
        caption = f"Every trial, its {one_line(search.split)} accuracy and its energy. Up and left is better."
        blocks.append(Picture(svg, caption))
    if search.effort is not None:
        blocks.append(tables.effort_table(search.effort))
    front = tables.trials_table(search, only_front=True)
    if front is not None:
        blocks.append(front)
    every = tables.trials_table(search, only_front=False)
    if every is not None:
        blocks.append(Details(f"All {number(len(search.trials))} trials", (every,)))
    return tuple(blocks)


def _layers(data: ReportData) -> tuple[Block, ...]:
    table = tables.layers_table(data.layers)
    return (_missing("picked model"),) if table is None else (table,)


def _estimates(data: ReportData) -> tuple[Block, ...]:
    table = estimates_table(data.estimates)
    if table is None:
        return (_missing("FPGA estimates"),)
    notes = notes_table(data.estimates)
    return (table,) if notes is None else (table, Details("How wrong these estimates are", (notes,)))


def _synthesis(data: ReportData, pictures: bool) -> tuple[Block, ...]:
    """Nothing for a run whose recipe asks for no synthesis."""
    return () if data.synthesis is None else synthesis.blocks(data.synthesis, pictures=pictures)


def _firmware(data: ReportData) -> tuple[Block, ...]:
    blocks: list[Block] = []
    verified = data.verification
    if verified is None:
        blocks.append(_missing("verification"))
    else:
        blocks.append(Paragraph(f"{verified.headline}. {one_line(verified.verdict)}".strip()))
        if verified.first:
            blocks.append(Paragraph(f"First difference: {one_line(verified.first)}"))
    side: list[Block] = []
    table = None if verified is None else tables.comparisons_table(verified)
    if table is not None:
        side.append(table)
    if data.firmware is not None:
        side.append(tables.firmware_table(data.firmware))
    else:
        blocks.append(_missing("HLS project"))
    return (*blocks, Row(tuple(side))) if side else tuple(blocks)


def _training(data: ReportData, pictures: bool) -> tuple[Block, ...]:
    table = tables.training_table(data.histories)
    if table is None:
        return (_missing("training"),)
    svg = losses_svg(data) if pictures else None
    if svg is None:
        return (table,)
    caption = "Loss by epoch; the dot marks the epoch whose weights were kept."
    return (Picture(svg, caption), table)


def _data(data: ReportData) -> tuple[Block, ...]:
    if data.data is None:
        return (_missing("data"),)
    table, features = tables.data_table(data.data), tables.features_table(data.data)
    if features is None:
        return (table,)
    told = Paragraph("The firmware expects every input as (x - mean) / scale, in this order:")
    return (table, Details("Inputs and their standardisation", (told, features)))


def _again(data: ReportData) -> tuple[Block, ...]:
    blocks: list[Block] = []
    if data.command:
        blocks.append(Listing(one_line(data.command)))
    side: list[Block] = []
    if data.seeds:
        side.append(tables.pairs_table("Seeds", ((name, str(seed)) for name, seed in data.seeds.items())))
    if data.versions:
        side.append(tables.pairs_table("Versions", data.versions.items()))
    if side:
        blocks.append(Row(tuple(side)))
    if data.recipe_text:
        blocks.append(Details("The recipe", (Listing(data.recipe_text),)))
    return tuple(blocks) or (Paragraph("Nothing was recorded.", missing=True),)


def _missing(what: str) -> Paragraph:
    return Paragraph(f"{what[:1].upper()}{what[1:]}: {MISSING}.", missing=True)
