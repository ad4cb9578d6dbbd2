"""The long training of the best trials, and the network that becomes firmware."""

from __future__ import annotations

from typing import Any

from torch import nn

from torchq.autoq.candidate import pruned
from torchq.recipe.rundir import RunDir
from torchq.recipe.schema import Recipe
from torchq.recipe.searches import space_of
from torchq.recipe.show import Show
from torchq.recipe.stages import workbench as bench
from torchq.recipe.stages.searching import against, reference_costs, trials_of
from torchq.scheme import Scheme
from torchq.search import Limit, Settings, Trial, pick
from torchq.train import load_weights, save_weights


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


def _train_candidate(recipe: Recipe, run: RunDir, show: Show, trial: Trial) -> dict[str, Any]:
    kept = f"candidate_{trial.number}.json"
    if run.file(kept).is_file():
        return run.read(kept)
    settings = space_of(recipe).settings(trial.point)
    model = bench.quantized(recipe, run, Scheme.from_dict(trial.scheme), settings, trial.seed)
    checkpoint = run.file(f"candidate_{trial.number}.training.pt")
    history = bench.train(
        recipe,
        model,
        recipe.pick.train,
        trial.seed,
        settings=settings,
        checkpoint=checkpoint,
        show=show,
        text=f"trial {trial.number}",
    )
    save_weights(run.file(f"candidate_{trial.number}.pt"), model)
    outcome = {
        "number": trial.number,
        "seed": trial.seed,
        "scheme": dict(trial.scheme),
        "settings": settings.to_dict(),
        "trial_accuracy": trial.metrics["accuracy"],
        "valid_accuracy": history.best.valid_accuracy,
        "history": history.to_dict(),
    }
    run.write(kept, outcome)
    checkpoint.unlink(missing_ok=True)
    return outcome
