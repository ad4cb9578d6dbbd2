"""The search over schemes: what is tried, where, and what the journal keeps."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from torchq.autoq import TrainAndPrice
from torchq.recipe.rundir import RunDir
from torchq.recipe.schema import Recipe
from torchq.recipe.searches import (
    cost_settings,
    executor_of,
    goal_of,
    own_goal,
    searcher_of,
    space_of,
    training_of,
)
from torchq.recipe.show import Show
from torchq.recipe.stages import workbench as bench
from torchq.search import SearchResult, Trial, read_journal, run_search

JOURNAL = "trials.jsonl"


def reference_costs(run: RunDir) -> dict[str, float]:
    """What the reference BF costs, by figure."""
    total: dict[str, float] = run.read("references.json")["bf"]["cost"]["total"]
    return total


def evaluation_of(recipe: Recipe, run: RunDir) -> TrainAndPrice:
    """What trains and prices the trials of a recipe."""
    data = bench.dataset(recipe.data)
    figures = bench.figures(recipe)
    model = bench.trained_float(recipe, run)
    return TrainAndPrice(
        model,
        (data.train.x, data.train.y),
        (data.valid.x, data.valid.y),
        space_of(recipe, model),
        training=training_of(recipe.search.train),
        costs=figures,
        cost_settings=cost_settings(recipe, figures),
        device=recipe.device,
        stacked=recipe.search.stacked,
        trials=recipe.search.trials,
    )


def search_schemes(recipe: Recipe, run: RunDir, show: Show) -> None:
    """Try schemes: quantize, train briefly, price; all that ends stands in the journal before more begins."""
    evaluation = evaluation_of(recipe, run)
    space = evaluation.space
    reference = reference_costs(run)
    accuracy = run.read("float.json")["valid_accuracy"]
    inputs = len(bench.dataset(recipe.data).features)
    goal = goal_of(recipe, reference, accuracy, evaluation.model, inputs)
    searcher, options = searcher_of(recipe)
    names = bench.figures(recipe)
    show.stage(
        "search",
        f"{searcher}, {recipe.search.trials} trials, {len(space.knobs)} knobs, {space.cardinality:,} schemes",
    )
    with (
        show.bar("trials", recipe.search.trials, len(trials_of(run))) as advance,
        executor_of(recipe) as executor,
    ):
        asked = trained = 0.0

        def on_trial(trial: Trial) -> None:
            nonlocal asked, trained
            asked, trained = asked + trial.ask_s, trained + trial.wall_s
            run.tick()
            share = f"  asking {100 * asked / max(asked + trained, 1e-9):.0f} %"
            advance(_trial_text(trial, reference, names) + share)

        result = run_search(
            space,
            evaluation,
            goal=goal,
            trials=recipe.search.trials,
            journal=run.file(JOURNAL),
            searcher=searcher,
            options=options,
            seed=recipe.search.seed,
            batch=recipe.search.batch,
            executor=executor,
            price=evaluation.price if evaluation.priced_early else None,
            transfer=recipe.search.transfer,
            identity=_identity(recipe, evaluation),
            on_trial=on_trial,
        )
    _tell(show, result, evaluation, reference, names)
    run.finish(
        "search",
        {
            "trials": len(result.trials),
            "failed": sum(not trial.complete for trial in result.trials),
            "best": result.best.number,
            "pareto": [trial.number for trial in result.pareto],
            "goal": goal.to_dict(),
            "reference": "BF" if own_goal(recipe) else "the float network, by AutoQKeras's rules",
            "unmet": list(result.unmet),
            "exhausted": result.exhausted,
            "train_s": round(result.trained_s, 3),
            "ask_s": round(result.ask_s, 3),
            "ask_share": round(result.ask_share, 4),
            "hypervolume": result.hypervolume,
            "reached": [list(one) for one in result.reached],
            "stacks": list(evaluation.log.stacks),
            "compiled": evaluation.log.compiled,
            "notes": [*result.notes, *evaluation.log.reasons],
        },
    )


def trials_of(run: RunDir) -> list[Trial]:
    """The trials in a run's journal, without opening it for writing."""
    path = run.file(JOURNAL)
    if not path.is_file() or b"\n" not in path.read_bytes():  # killed before the head was whole
        return []
    return list(read_journal(path)[1])


def against(name: str, value: float, reference: Mapping[str, float], times: str) -> str:
    """How many times lower than BF's a figure is; the figure itself where one of them is 0."""
    if value > 0 and reference[name] > 0:
        return f"{name} {reference[name] / value:.1f}{times}"
    return f"{name} {value:.6g}"


def _tell(
    show: Show,
    result: SearchResult,
    evaluation: TrainAndPrice,
    reference: Mapping[str, float],
    names: Sequence[str],
) -> None:
    for note in (*result.notes, *evaluation.log.reasons):
        show.fact(note)
    for lack in result.unmet:
        show.fact(
            f"no trial keeps every limit; the nearest is trial {result.best.number}: {lack}", "bold red"
        )
    show.fact(f"best score at trial {result.best.number}: {_trial_text(result.best, reference, names)}")
    if evaluation.log.stacks:
        show.fact(evaluation.log.text())
    show.fact(
        f"{result.trained_s:.0f} s of training, {result.ask_s:.0f} s of asking the searcher "
        f"({100 * result.ask_share:.0f} % of the search); hypervolume {result.hypervolume:.4g}"
    )


def _identity(recipe: Recipe, evaluation: TrainAndPrice) -> dict[str, Any]:
    """Everything beside space, goal and seed that a trial's outcome depends on."""
    plain: dict[str, Any] = json.loads(recipe.model_dump_json())
    kept = {name: plain[name] for name in ("seed", "data", "model", "train", "cost")}
    search = {"search_train": plain["search"]["train"], "stacked": recipe.search.stacked}
    return {**kept, **search, "evaluation": evaluation.identity()}


def _trial_text(trial: Trial, reference: Mapping[str, float], figures: Sequence[str]) -> str:
    if not trial.complete:
        return f"#{trial.number} failed: {trial.reason}"
    saved = "  ".join(against(name, trial.metrics[name], reference, "x") for name in figures)
    return (
        f"#{trial.number} accuracy {100 * trial.metrics['accuracy']:.2f} %  {saved}  score {trial.score:.4f}"
    )
