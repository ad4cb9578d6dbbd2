"""The long training of the best trials, and the network that becomes firmware."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from torchq.autoq import TrainAndPrice
from torchq.autoq.candidate import pruned
from torchq.errors import TorchqError
from torchq.recipe.rundir import RunDir
from torchq.recipe.schema import Recipe
from torchq.recipe.searches import training_of
from torchq.recipe.show import Show
from torchq.recipe.stages import workbench as bench
from torchq.recipe.stages.searching import against, evaluation_of, reference_costs, trials_of
from torchq.scheme import Scheme
from torchq.search import Limit, Settings, Trial, TrialInfo, pick
from torchq.train import EpochRecord, load_weights, save_weights


def train_picked(recipe: Recipe, run: RunDir, show: Show) -> None:
    """Train the most accurate trials that are cheap enough for long, and keep the best of them."""
    reference = reference_costs(run)
    limits = [
        Limit.times_lower(name, reference[name], times) for name, times in recipe.pick.times_lower.items()
    ]
    limits += [Limit(name, most, at_most=True) for name, most in recipe.pick.at_most.items()]
    picked = pick(trials_of(run), limits, count=recipe.pick.candidates)
    show.stage("train", f"{len(picked.trials)} candidates, {recipe.pick.train.epochs} epochs")
    for lack in picked.unmet:
        show.fact(f"no trial is cheap enough; the nearest is trial {picked.best.number}: {lack}", "bold red")
    outcomes = _train_candidates(recipe, run, show, picked.trials)
    best = max(outcomes, key=lambda outcome: (outcome["valid_accuracy"], -outcome["number"]))
    model = _network(recipe, run, best)
    load_weights(run.file(f"candidate_{best['number']}.pt"), model)
    save_weights(run.file("picked.pt"), model)
    facts = bench.measure(recipe, model)
    cost = bench.price(recipe, model)
    show.fact(
        f"picked trial {best['number']}: test accuracy {100 * facts['accuracy']:.2f} %, "
        + ", ".join(
            against(name, cost.total[name], reference, " times lower") for name in bench.figures(recipe)
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
    return load_weights(run.file("picked.pt"), _network(recipe, run, run.read("train.json"))).eval()


def _network(recipe: Recipe, run: RunDir, facts: dict[str, Any]) -> nn.Module:
    """The network that a candidate's facts tell of, with the float network's weights."""
    settings = Settings(**facts.get("settings", {}))
    model = bench.quantized(recipe, run, Scheme.from_dict(facts["scheme"]), settings, facts["seed"])
    pruned(model, settings)  # with the masks that its state has
    return model


def _train_candidates(
    recipe: Recipe, run: RunDir, show: Show, trials: Sequence[Trial]
) -> list[dict[str, Any]]:
    """What came of each candidate that could be trained; those of a stack are kept when all of it is done."""
    left = [trial for trial in trials if not run.file(_kept(trial)).is_file()]
    if left:
        evaluation = evaluation_of(recipe, run)
        for group in [left] if recipe.search.stacked else [[trial] for trial in left]:
            _train_together(recipe, run, show, evaluation, group)
            run.tick()
    return [run.read(_kept(trial)) for trial in trials if run.file(_kept(trial)).is_file()]


def _train_together(
    recipe: Recipe, run: RunDir, show: Show, evaluation: TrainAndPrice, trials: Sequence[Trial]
) -> None:
    jobs = [
        (Scheme.from_dict(trial.scheme), TrialInfo(trial.number, trial.seed, trial.point)) for trial in trials
    ]
    text = f"trial {trials[0].number}" if len(trials) == 1 else f"{len(trials)} candidates"
    highest: dict[int, float] = {}
    with show.bar(text, recipe.pick.train.epochs) as advance:

        def on_epoch(place: int, record: EpochRecord) -> None:
            highest[record.epoch] = max(highest.get(record.epoch, 0.0), record.valid_accuracy)
            if place == 0:
                advance(f"accuracy up to {100 * highest[record.epoch]:.2f} %", record.epoch)

        results = evaluation.trained(jobs, training_of(recipe.pick.train), on_epoch)
    faults = [result for result in results if isinstance(result, TorchqError)]
    for trial, result in zip(trials, results, strict=True):
        if isinstance(result, TorchqError):
            show.fact(f"trial {trial.number} failed: {result}", "bold red")
            continue
        save_weights(run.file(f"candidate_{trial.number}.pt"), result.model)
        outcome = {
            "number": trial.number,
            "seed": trial.seed,
            "scheme": dict(trial.scheme),
            "settings": evaluation.space.settings(trial.point).to_dict(),
            "trial_accuracy": trial.metrics["accuracy"],
            "valid_accuracy": result.history.best.valid_accuracy,
            "history": result.history.to_dict(),
        }
        run.write(_kept(trial), outcome)
    if len(faults) == len(trials):
        raise faults[0]


def _kept(trial: Trial) -> str:
    return f"candidate_{trial.number}.json"
