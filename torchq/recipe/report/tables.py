"""The tables of the report, one function each; both pages and the terminal show the same ones."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TypeGuard

from torchq.recipe.report.checks import evaluate, ratio
from torchq.recipe.report.document import Cell, Column, Table
from torchq.recipe.report.firmware import FirmwareFacts, Verification
from torchq.recipe.report.text import (
    NONE,
    duration,
    energy,
    number,
    one_line,
    percent,
    sigma,
    significant,
    times,
)
from torchq.recipe.report.values import (
    DataSummary,
    LayerRow,
    ReportData,
    SearchEffort,
    SearchResult,
    TrainingHistory,
    TrialPoint,
)


def checks_table(data: ReportData) -> Table | None:
    """What the run had to show, measured and wanted."""
    rows = tuple(
        (_text(one.figure), _text(one.where), _text(one.measured), _text(one.target), _met(one.met))
        for one in evaluate(data)
    )
    columns = _columns("figure", "where", "measured>", "target>", "met")
    return Table("What this run had to show", columns, rows) if rows else None


def models_table(data: ReportData) -> Table | None:
    """Accuracy, AUC and cost of every model, and of the reference that costs are measured against."""
    if not data.models and data.reference is None:
        return None
    tests = None if data.data is None else data.data.sizes.get("test")
    base = data.reference
    rows: list[tuple[Cell, ...]] = []
    for model in data.models:
        saved = ratio(None if base is None else base.energy_pj, model.energy_pj)
        fewer = ratio(None if base is None else base.bits, model.bits)
        rows.append(
            (
                _text(model.name),
                _text(_accuracy(model.accuracy, tests)),
                _text(number(model.auc_macro, 4)),
                _text(energy(model.energy_pj)),
                _text(times(saved)),
                _text(number(model.bits)),
                _text(times(fewer)),
                _text(model.note),
            )
        )
    if base is not None:
        shown = (base.name, _accuracy(base.accuracy, tests), NONE, energy(base.energy_pj), NONE)
        rows.append(tuple(_text(one) for one in (*shown, number(base.bits), NONE, base.note)))
    titles = (
        "model",
        "test accuracy>",
        "macro AUC>",
        "energy>",
        "energy saved>",
        "bits>",
        "bits saved>",
        "note",
    )
    strong = tuple(row for row, model in enumerate(data.models) if model.role == "picked")
    columns = _columns(*titles)
    if not any(row[-1].text for row in rows):
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    return Table("Models on the test split", columns, tuple(rows), strong)


def auc_table(data: ReportData) -> Table | None:
    """One-against-all AUC by class and model."""
    models = [model for model in data.models if model.auc]
    if not models:
        return None
    classes = list(dict.fromkeys(name for model in models for name in model.auc))
    rows = [(_text(name), *(_text(number(model.auc.get(name), 4)) for model in models)) for name in classes]
    rows.append((_text("macro"), *(_text(number(model.auc_macro, 4)) for model in models)))
    columns = (Column("class"), *(Column(one_line(model.name), "number") for model in models))
    return Table("Area under the ROC curve, each class against all others", columns, tuple(rows), total=True)


def layers_table(layers: tuple[LayerRow, ...]) -> Table | None:
    """The picked model by layer: formats as they stand in the firmware, and costs."""
    if not layers:
        return None
    dearest = max((one for row in layers if _finite(one := row.energy_pj)), default=0.0)
    decimals = 1 if dearest >= 100 else 2
    biggest = max((row.bits for row in layers if row.bits is not None), default=0)
    rows = [
        (
            _text(row.name),
            _text(row.kind),
            _text("×".join(str(size) for size in row.shape) or NONE),
            *(_text(text or NONE) for text in (row.weight, row.bias, row.accumulator, row.output)),
            Cell(number(row.bits), bar=_share(row.bits, biggest)),
            Cell(number(row.energy_pj, decimals), bar=_share(row.energy_pj, dearest)),
            _text(percent(row.zeros, 1)),
            _text(number(row.multiplications)),
        )
        for row in layers
    ]
    bits = _sum(row.bits for row in layers)
    total = (number(bits), number(_sum(row.energy_pj for row in layers), decimals), NONE)
    products = number(_sum(row.multiplications for row in layers))
    rows.append(tuple(_text(one) for one in ("sum", *([""] * 6), *total, products)))
    titles = ("layer", "kind", "shape>", "weight`", "bias`", "accumulator`", "output`")
    costs = ("bits>", "energy [pJ]>", "zeros>", "multiplications>")
    return Table("The picked model, layer by layer", _columns(*titles, *costs), tuple(rows), total=True)


def trials_table(search: SearchResult, *, only_front: bool) -> Table | None:
    """All trials by number, or those of the Pareto front from cheap to dear; the picked one is marked."""
    front = set(search.front) | ({search.picked} if search.picked is not None else set())
    trials = [trial for trial in search.trials if not only_front or trial.number in front]
    if not trials:
        return None
    if only_front:
        trials.sort(key=lambda one: (one.energy_pj if _finite(one.energy_pj) else math.inf, one.number))
    else:
        trials.sort(key=lambda one: one.number)
    titles = (
        "trial>",
        "",
        "accuracy>",
        "energy>",
        "bits>",
        "score>",
        "searcher",
        "seed>",
        "time>",
        "scheme`",
    )
    strong = tuple(row for row, trial in enumerate(trials) if trial.number == search.picked)
    caption = "Trials that no other one beats" if only_front else "Every trial, by number"
    return Table(caption, _columns(*titles), tuple(_trial(trial, search) for trial in trials), strong)


def effort_table(effort: SearchEffort) -> Table:
    """What the search took, and what it found, in a few pairs.

    Example:
        >>> table = effort_table(SearchEffort(30.0, 10.0, (24, 24, 1), True))
        >>> [row[1].text for row in table.rows]
        ['30.0 s', '10.0 s, 25.00 % of the search', '49 in 2 stacks of up to 24 (compiled), 1 alone']
    """
    together = [size for size in effort.stacks if size > 1]
    trained = number(sum(effort.stacks))
    if together:
        trained += f" in {number(len(together))} stacks of up to {number(max(together))}"
        trained += " (compiled)" if effort.compiled else ""
    alone = len(effort.stacks) - len(together)
    if alone:
        trained += f", {number(alone)} alone" if together else " one by one"
    asked = f"{duration(effort.ask_s)}, {percent(effort.ask_share)} of the search"
    pairs = [
        ("training and pricing", duration(effort.train_s)),
        ("asking the searcher", asked if effort.ask_share is not None else ""),
        ("trainings", trained if effort.stacks else ""),
        ("hypervolume", "" if effort.hypervolume is None else significant(effort.hypervolume)),
        ("notes", "; ".join(effort.notes)),
    ]
    return pairs_table("What the search took", pairs)


def comparisons_table(verification: Verification) -> Table | None:
    """Every pair of readings over every set of vectors."""
    if not verification.comparisons:
        return None
    rows = tuple(
        (
            _text(f"{one.reading} = {one.against}"),
            _text(one.kind),
            _text(number(one.vectors)),
            Cell(number(one.mismatches), tone="bad" if one.mismatches else "good"),
        )
        for one in verification.comparisons
    )
    return Table("Readings compared", _columns("readings", "vectors of", "vectors>", "mismatches>"), rows)


def firmware_table(facts: FirmwareFacts) -> Table:
    """The HLS project's settings and files."""
    pairs = [
        ("state", facts.state),
        ("backend", facts.backend),
        ("part", facts.part),
        ("clock", "" if facts.clock_ns is None else f"{facts.clock_ns:g} ns"),
        ("interface", facts.io_type),
        ("strategy", facts.strategy),
        ("reuse factor", "" if facts.reuse_factor is None else str(facts.reuse_factor)),
        ("files", ", ".join(facts.files)),
    ]
    return pairs_table("HLS project", pairs)


def training_table(histories: tuple[TrainingHistory, ...]) -> Table | None:
    """Epochs, best epoch and its losses."""
    if not histories:
        return None
    rows = []
    for one in histories:
        best = one.best_epoch
        rows.append(
            (
                _text(one.name),
                _text(number(max(len(one.loss), len(one.valid_loss)))),
                _text(NONE if best is None else number(best + 1)),
                _text(number(_at(one.loss, best), 4)),
                _text(number(_at(one.valid_loss, best), 4)),
                _text(percent(_at(one.valid_accuracy, best))),
                _text(duration(one.wall_s)),
            )
        )
    titles = ("model", "epochs>", "best epoch>", "training loss>", "validation loss>", "validation accuracy>")
    return Table("Trainings, at their best epoch", _columns(*titles, "time>"), tuple(rows))


def data_table(data: DataSummary) -> Table:
    """Where the data comes from and how it is split."""
    sizes = ", ".join(f"{split} {number(size)}" for split, size in data.sizes.items())
    pairs = [
        ("data set", f"{data.name} (SIMULATED)" if data.simulated else data.name),
        ("source", data.source),
        ("classes", ", ".join(data.classes)),
        ("examples", sizes),
        ("inputs", number(len(data.features)) if data.features else ""),
        ("note", data.note),
    ]
    return pairs_table("Source and splits", pairs)


def features_table(data: DataSummary) -> Table | None:
    """The standardisation of every input: ``(x - mean) / scale``."""
    if not data.features:
        return None
    rows = tuple(
        (
            _text(number(place)),
            _text(name),
            _text(significant(_at(data.mean, place), 6)),
            _text(significant(_at(data.scale, place), 6)),
        )
        for place, name in enumerate(data.features)
    )
    return Table("Inputs of the firmware, in order", _columns("index>", "feature`", "mean>", "scale>"), rows)


def pairs_table(caption: str, pairs: Iterable[tuple[str, str]]) -> Table:
    """Names and values; pairs without a value are left out."""
    rows = tuple((_text(name), _text(value)) for name, value in pairs if value)
    return Table(caption, _columns("", ""), rows)


def _trial(trial: TrialPoint, search: SearchResult) -> tuple[Cell, ...]:
    marks = [trial.status] if trial.status != "completed" else []
    if trial.number == search.picked:
        mark = Cell("★ picked", tone="picked")
    else:
        mark = Cell(", ".join([*marks, *(["front"] if trial.number in search.front else [])]))
    return (
        _text(number(trial.number)),
        Cell(one_line(mark.text), tone=mark.tone),
        _text(percent(trial.accuracy)),
        _text(energy(trial.energy_pj)),
        _text(number(trial.bits)),
        _text(significant(trial.score)),
        _text(trial.searcher),
        _text(NONE if trial.seed is None else str(trial.seed)),
        _text(duration(trial.wall_s)),
        _text(trial.scheme),
    )


def _columns(*titles: str) -> tuple[Column, ...]:
    """Heads of columns: ``name>`` is a column of numbers, ``name``` one of code."""
    numbers = {title: Column(title[:-1], "number") for title in titles if title.endswith(">")}
    codes = {title: Column(title[:-1], "code") for title in titles if title.endswith("`")}
    return tuple(numbers.get(title) or codes.get(title) or Column(title) for title in titles)


def _text(text: str) -> Cell:
    return Cell(one_line(text))


def _met(met: bool | None) -> Cell:
    if met is None:
        return Cell("not run yet")
    return Cell("✓ yes", tone="good") if met else Cell("✗ no", tone="bad")


def _accuracy(accuracy: float | None, examples: int | None) -> str:
    spread = sigma(accuracy, examples)
    if accuracy is None or spread is None:
        return percent(accuracy)
    return f"{number(100 * accuracy, 2)} ± {percent(spread)}"


def _finite(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def _share(value: float | None, largest: float) -> float | None:
    return min(1.0, max(0.0, value / largest)) if _finite(value) and largest > 0 else None


def _sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _at(values: tuple[float, ...], place: int | None) -> float | None:
    return values[place] if place is not None and 0 <= place < len(values) else None
