"""The last stage: what the run directory holds, as a report, and as one table at the end."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from torchq.errors import VerifyError
from torchq.quantizers import parse
from torchq.recipe.report import (
    Check,
    CostReference,
    DataSummary,
    FirmwareFacts,
    FpgaEstimate,
    LayerRow,
    Limits,
    ModelResult,
    ReportData,
    SearchEffort,
    SearchResult,
    Synthesis,
    Synthesized,
    TrainingHistory,
    TrialPoint,
    Verification,
    figures,
    save_overview_png,
    summary_table,
)
from torchq.recipe.report import (
    write_report as write_pages,
)
from torchq.recipe.report.text import MISSING
from torchq.recipe.rundir import RunDir
from torchq.recipe.schema import Recipe
from torchq.recipe.searches import goal_costs, own_goal
from torchq.recipe.show import Show
from torchq.recipe.stages import synthesis
from torchq.recipe.stages.searching import trials_of
from torchq.recipe.versions import versions
from torchq.scheme import Scheme
from torchq.search import Trial, non_dominated


def write_report(recipe: Recipe, run: RunDir, show: Show) -> None:
    """Write report.html, report.md, overview.png and summary.json, as far as the run has come."""
    show.stage("report", "report.html, report.md, overview.png, summary.json")
    run.tick()
    data = gather(recipe, run)
    write_pages(data, run.path)
    save_overview_png(data, run.file("overview.png"))
    run.write("summary.json", figures(data))
    run.finish(
        "report",
        {"created": data.created, "files": ["report.html", "report.md", "overview.png", "summary.json"]},
    )


def require_agreement(run: RunDir) -> None:
    """Turn a verification that failed into an error, when everything else is done.

    Raises:
        VerifyError: two readings of the network differ; the message says where.
    """
    if run.done("verify") and not (facts := run.read("verify.json"))["agree"]:
        raise VerifyError(
            f"{run.file('verify.json')}: {facts['first']['message']}",
            hint=_DEFECT,
        )
    different = synthesis.first_difference(run)
    if different:
        raise VerifyError(different, hint=_DEFECT)


_DEFECT = "the firmware is not the network; this is a defect worth reporting"


def print_summary(recipe: Recipe, run: RunDir, show: Show) -> None:
    """The table at the end, and where the report lies."""
    if show.console is not None:
        show.console.print()
        show.console.print(summary_table(gather(recipe, run)))
        show.say(f"report: {run.file('report.html')}")


def gather(recipe: Recipe, run: RunDir) -> ReportData:
    """Everything the report shows, from the files of the run."""
    found = {stage: run.read(f"{stage}.json") for stage in _STAGES if run.done(stage)}
    about = run.about() or {}
    references, train = found.get("references"), found.get("train")
    bf = None if references is None else references["bf"]["cost"]["total"]
    created = found.get("report", {}).get("created") or datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return ReportData(
        title=recipe.title,
        recipe=str(about.get("recipe", "")),
        description=recipe.description,
        created=created,
        wall_s=about.get("elapsed_s"),
        run_dir=run.path.name,
        goal=_goal_text(recipe),
        models=tuple(_models(found)),
        reference=None if bf is None else _reference(bf),
        search=_search(run, found),
        layers=tuple(_layers(train, found.get("lower"))),
        estimates=tuple(_estimates(found)),
        synthesis=_synthesis(run, found.get("synthesis")),
        verification=_verification(found.get("verify")),
        firmware=_firmware(recipe, found.get("lower")),
        histories=tuple(_histories(found)),
        data=_data(recipe, found.get("data")),
        limits=Limits(
            energy_ratio=recipe.pick.times_lower.get("energy_pj"),
            bits_ratio=recipe.pick.times_lower.get("bits"),
            picked_drop=recipe.pick.most_accuracy_lost,
        ),
        checks=tuple(_limited_costs(recipe, train, bf)),
        seeds={"recipe": recipe.seed, "splits": recipe.data.seed, "search": recipe.search.seed}
        | ({} if train is None else {"picked trial": train["seed"]}),
        versions=versions(),
        command=" ".join(["torchq run", str(about.get("recipe", "")), *about.get("overrides", ())]),
        recipe_text=run.file("recipe.yaml").read_text(encoding="utf-8"),
    )


_STAGES = (
    *("data", "float", "references", "search", "train"),
    *("export", "lower", "verify", "synthesis", "report"),
)


def _goal_text(recipe: Recipe) -> str:
    goal = recipe.search.goal
    named = " and ".join(goal_costs(recipe)) if not own_goal(recipe) else " and ".join(goal.costs)
    if not own_goal(recipe):
        text = f"AutoQKeras's forgiving factor of {named} against the float network"
    elif goal.kind == "forgiving_factor":
        text = (
            f"accuracy x (1 + delta), {goal.delta_p:g} % of the accuracy forgiven for every factor "
            f"{goal.rate:g} in {named} below BF"
        )
    else:
        text = f"highest accuracy and lowest {named} at once"
    kept = [f"{name} at least {times:g} times lower than BF" for name, times in goal.times_lower.items()]
    kept += [f"{name} at most {most:g}" for name, most in goal.at_most.items()]
    if goal.most_accuracy_lost is not None:
        kept.append(f"at most {100 * goal.most_accuracy_lost:g} points of accuracy lost")
    if kept:
        text = f"{text}, with {' and '.join(kept)}"
    wanted = [
        f"{name} at least {times:g} times lower than BF" for name, times in recipe.pick.times_lower.items()
    ]
    wanted += [f"{name} at most {most:g}" for name, most in recipe.pick.at_most.items()]
    return f"{text}; picked: the most accurate trial with {' and '.join(wanted)}" if wanted else text


def _limited_costs(
    recipe: Recipe, train: Mapping[str, Any] | None, bf: Mapping[str, float] | None
) -> Iterator[Check]:
    """Limits on other figures than energy and bits, which have lines of their own."""
    cost: Mapping[str, Any] = {} if train is None else train["cost"]
    limits = [(name, float(most), f"at most {most:g}") for name, most in recipe.pick.at_most.items()]
    for name, times in recipe.pick.times_lower.items():
        if name not in ("energy_pj", "bits"):
            most = math.nan if bf is None else bf[name] / times
            limits.append((name, most, f"at least {times:g} times lower than BF"))
    for name, most, target in limits:
        value = cost.get("total", {}).get(name)
        unit, note = (cost.get(part, {}).get(name, "") for part in ("units", "notes"))
        measured = MISSING if value is None else f"{value:,.6g} {unit}"
        met = None if value is None or math.isnan(most) else value <= most
        yield Check("picked model", f"{name}, {note}" if note else name, measured, target, met)


def _models(found: Mapping[str, Any]) -> list[ModelResult]:
    models = []
    rows = (
        ("float", "float32", found.get("float")),
        ("q6", "uniform 6-bit (Q6)", found.get("references", {}).get("q6")),
        ("picked", "picked", found.get("train")),
    )
    for role, name, facts in rows:
        if facts is None:
            continue
        total = facts.get("cost", {}).get("total", {})
        models.append(
            ModelResult(
                role=role,
                name=name if role != "picked" else f"picked (trial {facts['number']})",
                accuracy=facts["accuracy"],
                auc_macro=facts["auc_macro"],
                auc=facts["auc"],
                roc={k: (curve["fpr"], curve["tpr"]) for k, curve in facts["roc"].items()},
                energy_pj=total.get("energy_pj"),
                bits=total.get("bits"),
            )
        )
    return models


def _estimates(found: Mapping[str, Any]) -> Iterator[FpgaEstimate]:
    references = found.get("references", {})
    rows = (
        ("BF (16-bit reference)", references.get("bf")),
        ("uniform 6-bit (Q6)", references.get("q6")),
        ("picked", found.get("train")),
    )
    for name, facts in rows:
        report = (facts or {}).get("fpga")
        if report is not None:
            used = (f"{key}={value}" for one in report["settings"].values() for key, value in one.items())
            units, notes = report["units"], report["notes"]
            yield FpgaEstimate(name, report["total"], units, notes, ", ".join(used))


def _reference(total: Mapping[str, Any]) -> CostReference:
    return CostReference(
        "BF (16-bit reference)", energy_pj=total["energy_pj"], bits=total["bits"], note="priced, not trained"
    )


def _search(run: RunDir, found: Mapping[str, Any]) -> SearchResult | None:
    trials = trials_of(run)
    if not trials:
        return None
    complete = [trial for trial in trials if trial.complete]
    front = non_dominated([(t.metrics["accuracy"], -t.metrics["energy_pj"]) for t in complete])
    q6 = found.get("references", {}).get("q6")
    drawn = (
        ()
        if q6 is None
        else (
            CostReference(
                "Q6",
                energy_pj=q6["cost"]["total"]["energy_pj"],
                bits=q6["cost"]["total"]["bits"],
                accuracy=q6["valid_accuracy"],
            ),
        )
    )
    return SearchResult(
        trials=tuple(_point(trial) for trial in trials),
        picked=found.get("train", {}).get("number"),
        front=tuple(trial.number for trial, on in zip(complete, front, strict=True) if on),
        references=drawn,
        effort=_effort(found.get("search")),
    )


def _effort(facts: Mapping[str, Any] | None) -> SearchEffort | None:
    if facts is None or "train_s" not in facts:  # of a run before stacks
        return None
    return SearchEffort(
        train_s=facts["train_s"],
        ask_s=facts["ask_s"],
        stacks=tuple(facts["stacks"]),
        compiled=facts["compiled"],
        hypervolume=facts["hypervolume"],
        notes=tuple(facts["notes"]),
    )


def _point(trial: Trial) -> TrialPoint:
    bits = trial.metrics.get("bits")
    return TrialPoint(
        number=trial.number,
        accuracy=trial.metrics.get("accuracy"),
        energy_pj=trial.metrics.get("energy_pj"),
        bits=None if bits is None else int(bits),
        score=trial.score,
        status="completed" if trial.complete else f"failed: {trial.reason}",
        searcher=trial.searcher,
        seed=trial.seed,
        scheme=_scheme_text(Scheme.from_dict(trial.scheme)),
        wall_s=trial.wall_s,
    )


def _scheme_text(scheme: Scheme) -> str:
    """A scheme in one line: neurons, and the width of each slot, with the family where it is no usual one."""
    layers = dict.fromkeys([*scheme.units, *(layer for layer in scheme.layers if layer != "*")])
    parts = []
    for layer in layers:
        words = [f"{scheme.units[layer]} neurons"] if layer in scheme.units else []
        for slot, text in scheme.layers.get(layer, {}).items():
            quantizer = parse(text)
            family = "" if quantizer.name in ("quantized_bits", "quantized_relu") else f" {quantizer.name}"
            words.append(f"{slot} {quantizer.bits} bit{family}")
        parts.append(f"{layer}: {', '.join(words)}")
    return "; ".join(parts)


def _layers(train: Mapping[str, Any] | None, lower: Mapping[str, Any] | None) -> list[LayerRow]:
    if train is None:
        return []
    hardware = {} if lower is None else {row["name"]: row for row in lower["report"]["layers"]}
    rows = []
    for row in train["cost"]["layers"]:
        known = hardware.get(row["layer"], {})
        facts = train["shapes"].get(row["layer"], {"shape": [], "parameters": 0})
        parameters = facts["parameters"]
        rows.append(
            LayerRow(
                name=row["layer"],
                kind=row["kind"],
                shape=tuple(facts["shape"]),
                weight=row["weight"] or None,
                bias=row["bias"] or None,
                accumulator=known.get("accumulator_type") or row["accumulator"] or None,
                output=known.get("output_type") or row["output"],
                bits=row["costs"].get("bits"),
                energy_pj=row["costs"].get("energy_pj"),
                zeros=row["zeros"] / parameters if parameters else None,
                multiplications=row["macs"],
            )
        )
    return rows


def _verification(verify: Mapping[str, Any] | None) -> Verification | None:
    return None if verify is None else Verification.from_dict(verify)


def _synthesis(run: RunDir, facts: Mapping[str, Any] | None) -> Synthesis | None:
    if facts is None:
        return None
    return Synthesis(
        designs=tuple(Synthesized.from_dict(one) for one in synthesis.designs(run)),
        left_out=facts["left_out"],
    )


def _firmware(recipe: Recipe, lower: Mapping[str, Any] | None) -> FirmwareFacts | None:
    if lower is None:
        return None
    return FirmwareFacts(
        backend=recipe.lower.backend,
        part=recipe.lower.part,
        clock_ns=recipe.lower.clock_ns,
        io_type=recipe.lower.io_type,
        strategy=recipe.lower.strategy,
        reuse_factor=recipe.lower.reuse_factor,
        state=lower.get("state", ""),
        files=tuple(f"{lower['project']}/{file}" for file in lower.get("files", ())),
    )


def _histories(found: Mapping[str, Any]) -> list[TrainingHistory]:
    rows = (
        ("float", "float32", found.get("float")),
        ("q6", "Q6", found.get("references", {}).get("q6")),
        ("picked", "picked", found.get("train")),
    )
    return [
        TrainingHistory(
            role=role,
            name=name,
            loss=tuple(e["loss"] for e in facts["history"]["epochs"]),
            valid_loss=tuple(e["valid_loss"] for e in facts["history"]["epochs"]),
            valid_accuracy=tuple(e["valid_accuracy"] for e in facts["history"]["epochs"]),
            best_epoch=facts["history"]["best_epoch"] - 1,
            wall_s=sum(e["seconds"] for e in facts["history"]["epochs"]),
        )
        for role, name, facts in rows
        if facts is not None
    ]


def _data(recipe: Recipe, data: Mapping[str, Any] | None) -> DataSummary | None:
    if data is None:
        return None
    return DataSummary(
        name=data["name"],
        source=data["source"],
        simulated=recipe.data.source == "embedded",
        classes=tuple(data["classes"]),
        sizes=data["samples"],
        features=tuple(data["features"]),
        mean=tuple(data["mean"]),
        scale=tuple(data["scale"]),
    )
