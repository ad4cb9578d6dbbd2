"""What is wrong with the search part of a recipe, beyond what each key shows by itself."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from torchq.advice import advice
from torchq.errors import TorchqError
from torchq.recipe.schema import Recipe
from torchq.recipe.searches import (
    autoqkeras_of,
    check_goal_settings,
    executor_name,
    searcher_of,
    space_of,
    untrained,
)
from torchq.recipe.yaml import Path
from torchq.scheme import CLASS, REGEX

Fault = tuple[Path, str]
"""Where in the file, and a sentence."""

_SPACE_KEYS = ("limits", "tune_filters", "tune_filters_exceptions", "multipliers", "learning_rate")


def priced_in(recipe: Recipe) -> Iterator[tuple[Path, str]]:
    """The cost figures that the goal names, each with its place."""
    goal = recipe.search.goal
    if isinstance(goal.cost, str):
        yield ("search", "goal", "cost"), goal.cost
    else:
        for i, name in enumerate(goal.cost):
            yield ("search", "goal", "cost", i), name
    for key in ("times_lower", "at_most"):
        for name in getattr(goal, key):
            yield ("search", "goal", key, name), name


def faults_of_search(recipe: Recipe, broken: bool) -> Iterator[Fault]:
    """Faults of searcher, goal and space.

    Args:
        recipe: the recipe.
        broken: whether its model is unknown, so that no layer can be checked.
    """
    goal = recipe.search.goal
    if goal.kind == "forgiving_factor":
        for key in ("least_accuracy", "most_cost"):
            if getattr(goal, key) is not None:
                yield ("search", "goal", key), "has a meaning with kind: multi_objective only"
    yield from _places(recipe)
    if broken:
        return
    if recipe.search.autoqkeras is not None:
        yield from _autoqkeras(recipe)
    elif not recipe.search.space:
        yield ("search",), "this key is missing: space (or autoqkeras)"
    else:
        layers = list(_unknown_layers(recipe))
        yield from layers or _space(recipe)
    yield from _searcher(recipe)


def _places(recipe: Recipe) -> Iterator[Fault]:
    from torchq.search.executors import EXECUTORS

    search = recipe.search
    try:
        EXECUTORS.get(executor_name(recipe))
    except TorchqError as fault:
        yield ("search", "executor"), str(fault)
        return
    name, gpus = executor_name(recipe), search.gpus_per_worker
    for key in ("address", "gpus_per_worker"):
        if getattr(search, key) is not None and name != "ray":
            yield ("search", key), f"has a meaning with executor: ray only, got {name}"
    if name == "ray" and gpus == 0 and recipe.device.startswith("cuda"):
        yield ("search", "gpus_per_worker"), "device: cuda needs a GPU or a part of one, got 0"
    if name == "ray" and gpus and recipe.device == "cpu":
        yield (
            ("search", "gpus_per_worker"),
            f"device: cpu trains on no GPU, got {gpus:g}; write device: cuda, or leave it out",
        )
    if (search.workers or 1) > 1 and executor_name(recipe) == "serial":
        yield (
            ("search", "workers"),
            f"executor: serial has one worker, got {search.workers}; leave executor out, or write processes",
        )


def _searcher(recipe: Recipe) -> Iterator[Fault]:
    from torchq.search import SEARCHERS
    from torchq.search.options import check_options

    try:
        SEARCHERS.get(searcher_of(recipe)[0])
    except TorchqError as fault:
        if recipe.search.autoqkeras is None or "searcher" in recipe.search.model_fields_set:
            yield ("search", "searcher"), str(fault)
        return
    try:
        check_options(*searcher_of(recipe))
    except TorchqError as fault:
        yield ("search", "options"), str(fault).removeprefix("options: ")


def _autoqkeras(recipe: Recipe) -> Iterator[Fault]:
    search = recipe.search
    for key in ("space", *_SPACE_KEYS):
        if key in search.model_fields_set:
            yield ("search", key), "says in our words what autoqkeras says in its own; write one of them"
    if "goal" in search.model_fields_set and "goal" in (search.autoqkeras or {}):
        yield ("search", "goal"), "says in our words what autoqkeras.goal says in its own; write one of them"
        return
    try:
        autoqkeras_of(recipe, untrained(recipe))
        check_goal_settings(recipe)
    except TorchqError as fault:
        yield ("search", "autoqkeras"), str(fault).removeprefix("autoqkeras: ")


def _space(recipe: Recipe) -> Iterator[Fault]:
    try:
        space_of(recipe)
    except TorchqError as fault:
        text = str(fault)
        key = "limits" if "limit " in text else "tune_filters" if "tune_filters" in text else "space"
        yield ("search", key), text.removeprefix(f"{key}: ")


def _unknown_layers(recipe: Recipe) -> Iterator[Fault]:
    model = untrained(recipe)
    layers = dict(model.named_modules())
    sizes = [name for name, m in layers.items() if isinstance(m, nn.Linear | nn.Conv1d | nn.Conv2d)]
    last = sizes[-1]
    for group, part in (("space", recipe.search.space), ("fixed", recipe.search.fixed)):
        for name, knobs in part.items():
            path = ("search", group, name)
            if "*" in name or name.startswith((REGEX, CLASS)):
                continue
            if name not in layers:
                known = [key for key in layers if key]
                yield path, f"the model has no layer of this name; {advice(name, known)}"
                continue
            if getattr(knobs, "units", None) is None:
                continue
            if name not in sizes:
                yield (*path, "units"), f"{name} has no neurons of its own; give units to a linear layer"
            elif name == last:
                yield (*path, "units"), f"{name} is the output layer: one neuron a class"
