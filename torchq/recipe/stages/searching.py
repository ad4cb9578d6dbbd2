"""The search over schemes, and the long training of the best ones."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from torchq.convert import quantize
from torchq.recipe.rundir import RunDir
from torchq.recipe.schema import Recipe
from torchq.recipe.show import Show
from torchq.recipe.stages import workbench as bench
from torchq.scheme import Scheme
from torchq.search import (
    ForgivingFactor,
    Goal,
    Knob,
    Limit,
    MultiObjective,
    Space,
    Trial,
    TrialInfo,
    pick,
    read_journal,
    run_search,
)
from torchq.train import load_weights, save_weights

JOURNAL = "trials.jsonl"


def space_of(recipe: Recipe) -> Space:
    """The search space that a recipe describes; a slot with one choice is fixed, not a knob."""
    search = recipe.search
    base = Scheme()
    knobs: list[Knob] = []
    for layer, fixed in search.fixed.items():
        for slot in ("weight", "bias", "output"):
            text = getattr(fixed, slot)
            if text is not None:
                base = base.with_slot(layer, slot, text)
    if len(search.input) == 1:
        base = base.with_input(search.input[0])
    else:
        knobs.append(Knob.input(search.input))
    for layer, choices in search.space.items():
        for slot in ("weight", "bias", "output"):
            texts = getattr(choices, slot)
            if texts is not None and len(texts) == 1:
                base = base.with_slot(layer, slot, texts[0])
            elif texts is not None:
                knobs.append(Knob.quantizer(layer, slot, texts))
        if choices.units is not None and len(choices.units) == 1:
            base = base.with_units(layer, choices.units[0])
        elif choices.units is not None:
            knobs.append(Knob.units(layer, choices.units))
    return Space(tuple(knobs), base)


def goal_of(recipe: Recipe, reference: Mapping[str, float]) -> Goal:
    """The goal that a recipe describes, against the costs of the reference BF."""
    goal = recipe.search.goal
    if goal.kind == "forgiving_factor":
        return ForgivingFactor(
            goal.cost,
            reference=reference[goal.cost],
            delta_p=goal.delta_p,
            delta_n=goal.delta_n,
            rate=goal.rate,
            stress=goal.stress,
        )
    return MultiObjective(goal.cost, least_accuracy=goal.least_accuracy, most_cost=goal.most_cost)


def reference_costs(run: RunDir) -> dict[str, float]:
    """What the reference BF costs, by figure."""
    total: dict[str, float] = run.read("references.json")["bf"]["cost"]["total"]
    return total


def search_schemes(recipe: Recipe, run: RunDir, show: Show) -> None:
    """Try schemes: quantize, train briefly, price; a trial stands in the journal before the next begins."""
    space = space_of(recipe)
    reference = reference_costs(run)
    goal = goal_of(recipe, reference)
    source = bench.trained_float(recipe, run)
    names = bench.figures(recipe)
    show.stage(
        "search",
        f"{recipe.search.searcher}, {recipe.search.trials} trials, {len(space.knobs)} knobs, "
        f"{space.cardinality:,} schemes",
    )

    def evaluate(scheme: Scheme, info: TrialInfo) -> dict[str, float]:
        model = quantize(source, scheme, example=bench.example(recipe), exportable=True)
        history = bench.train(recipe, model, recipe.search.train, info.seed)
        return {"accuracy": history.best.valid_accuracy, **bench.costs(recipe, bench.price(recipe, model))}

    with show.bar("trials", recipe.search.trials, len(trials_of(run))) as advance:

        def on_trial(trial: Trial) -> None:
            run.tick()
            advance(_trial_text(trial, reference, names))

        result = run_search(
            space,
            evaluate,
            goal=goal,
            trials=recipe.search.trials,
            journal=run.file(JOURNAL),
            searcher=recipe.search.searcher,
            seed=recipe.search.seed,
            batch=recipe.search.batch,
            identity=_identity(recipe),
            on_trial=on_trial,
        )
    for note in result.notes:
        show.fact(note)
    trained_s = sum(trial.wall_s for trial in result.trials)
    show.fact(f"best score at trial {result.best.number}: {_trial_text(result.best, reference, names)}")
    show.fact(f"{trained_s:.0f} s of training, {result.ask_s:.0f} s of asking the searcher")
    run.finish(
        "search",
        {
            "trials": len(result.trials),
            "failed": sum(not trial.complete for trial in result.trials),
            "best": result.best.number,
            "pareto": [trial.number for trial in result.pareto],
            "goal": goal.to_dict(),
            "exhausted": result.exhausted,
            "train_s": round(trained_s, 3),
            "ask_s": round(result.ask_s, 3),
        },
    )


def trials_of(run: RunDir) -> list[Trial]:
    """The trials in a run's journal, without opening it for writing."""
    path = run.file(JOURNAL)
    if not path.is_file() or b"\n" not in path.read_bytes():  # killed before the head was whole
        return []
    return list(read_journal(path)[1])


def train_picked(recipe: Recipe, run: RunDir, show: Show) -> None:
    """Train the most accurate trials that are cheap enough for long, and keep the best of them."""
    reference = reference_costs(run)
    limits = [
        Limit.times_lower(name, reference[name], times) for name, times in recipe.pick.times_lower.items()
    ]
    limits += [Limit(name, most, at_most=True) for name, most in recipe.pick.at_most.items()]
    picked = pick(trials_of(run), limits, count=recipe.pick.candidates)
    show.stage("train", f"{len(picked.trials)} candidates, {recipe.pick.train.epochs} epochs each")
    for lack in picked.unmet:
        show.fact(f"no trial is cheap enough; the nearest is trial {picked.best.number}: {lack}", "bold red")
    outcomes = []
    for trial in picked.trials:
        outcomes.append(_train_candidate(recipe, run, show, trial))
        run.tick()
    best = max(outcomes, key=lambda outcome: (outcome["valid_accuracy"], -outcome["number"]))
    model = bench.quantized(recipe, run, Scheme.from_dict(best["scheme"]))
    load_weights(run.file(f"candidate_{best['number']}.pt"), model)
    save_weights(run.file("picked.pt"), model)
    facts = bench.measure(recipe, model)
    cost = bench.price(recipe, model)
    show.fact(
        f"picked trial {best['number']}: test accuracy {100 * facts['accuracy']:.2f} %, "
        + ", ".join(
            _against(name, cost.total[name], reference, " times lower") for name in bench.figures(recipe)
        )
    )
    for name in bench.figures(recipe):
        if name in cost.notes:
            show.fact(f"{name}: {cost.notes[name]}")
    run.finish(
        "train",
        {
            **facts,
            **best,
            "cost": cost.to_dict(),
            "fpga": bench.price_on_fpga(recipe, model).to_dict(),
            "shapes": bench.shapes(recipe, model),
            "unmet": list(picked.unmet),
            "candidates": outcomes,
        },
    )


def picked_model(recipe: Recipe, run: RunDir) -> nn.Module:
    """The picked network as the train stage left it."""
    scheme = Scheme.from_dict(run.read("train.json")["scheme"])
    return load_weights(run.file("picked.pt"), bench.quantized(recipe, run, scheme)).eval()


def _train_candidate(recipe: Recipe, run: RunDir, show: Show, trial: Trial) -> dict[str, Any]:
    kept = f"candidate_{trial.number}.json"
    if run.file(kept).is_file():
        return run.read(kept)
    model = bench.quantized(recipe, run, Scheme.from_dict(trial.scheme))
    checkpoint = run.file(f"candidate_{trial.number}.training.pt")
    history = bench.train(
        recipe,
        model,
        recipe.pick.train,
        trial.seed,
        checkpoint=checkpoint,
        show=show,
        text=f"trial {trial.number}",
    )
    save_weights(run.file(f"candidate_{trial.number}.pt"), model)
    outcome = {
        "number": trial.number,
        "seed": trial.seed,
        "scheme": dict(trial.scheme),
        "trial_accuracy": trial.metrics["accuracy"],
        "valid_accuracy": history.best.valid_accuracy,
        "history": history.to_dict(),
    }
    run.write(kept, outcome)
    checkpoint.unlink(missing_ok=True)
    return outcome


def _identity(recipe: Recipe) -> dict[str, Any]:
    """Everything beside space, goal and seed that a trial's outcome depends on."""
    plain: dict[str, Any] = json.loads(recipe.model_dump_json())
    kept = {name: plain[name] for name in ("seed", "data", "model", "train", "cost")}
    return {**kept, "search_train": plain["search"]["train"]}


def _trial_text(trial: Trial, reference: Mapping[str, float], figures: Sequence[str]) -> str:
    if not trial.complete:
        return f"#{trial.number} failed: {trial.reason}"
    saved = "  ".join(_against(name, trial.metrics[name], reference, "x") for name in figures)
    return (
        f"#{trial.number} accuracy {100 * trial.metrics['accuracy']:.2f} %  {saved}  score {trial.score:.4f}"
    )


def _against(name: str, value: float, reference: Mapping[str, float], times: str) -> str:
    """How many times lower than BF's a figure is; the figure itself where one of them is 0."""
    if value > 0 and reference[name] > 0:
        return f"{name} {reference[name] / value:.1f}{times}"
    return f"{name} {value:.6g}"
