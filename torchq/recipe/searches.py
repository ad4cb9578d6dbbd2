"""From the search part of a recipe to a space, a goal, an executor and the arguments of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from torch import nn

from torchq.autoq import Training
from torchq.cost import TARGETS, target_of
from torchq.errors import SearchError
from torchq.recipe.schema import Recipe
from torchq.recipe.schema_parts import Training as TrainingPart
from torchq.scheme import Scheme
from torchq.search import ForgivingFactor, Goal, Limit, MultiObjective, Space
from torchq.search.autoqkeras import AutoQKerasSearch, from_autoqkeras
from torchq.search.autoqkeras_goal import GoalPlan, goal_plan
from torchq.search.executors import EXECUTORS, Executor
from torchq.search.space_build import Filters, build_space

ACCURACY = "accuracy"


def untrained(recipe: Recipe, inputs: int | None = None, classes: int | None = None) -> nn.Module:
    """The float network of a recipe, before any training.

    Args:
        recipe: the recipe.
        inputs: number of features; the model's default where no data is read.
        classes: number of classes, likewise.
    """
    from torchq.models import MODELS

    sizes = {"inputs": inputs, "classes": classes}
    return MODELS.get(recipe.model.name)(
        units=recipe.model.units,
        batch_norm=recipe.model.batch_norm,
        seed=recipe.seed,
        **{name: size for name, size in sizes.items() if size is not None},
    )


def fixed_scheme(recipe: Recipe) -> Scheme:
    """The quantizers that are not searched."""
    base = Scheme()
    for layer, fixed in recipe.search.fixed.items():
        for slot in ("weight", "bias", "output"):
            text = getattr(fixed, slot)
            if text is not None:
                base = base.with_slot(layer, slot, text)
    return base


def space_of(recipe: Recipe, model: nn.Module | None = None) -> Space:
    """The space of a recipe; a slot with one choice is fixed, not a knob.

    Raises:
        SearchError: the space is empty, or limits leave no option.
    """
    search, model = recipe.search, model or untrained(recipe)
    if search.autoqkeras is not None:
        return autoqkeras_of(recipe, model).space
    layers = {
        key: {slot: options for slot in type(knobs).model_fields if (options := getattr(knobs, slot))}
        for key, knobs in search.space.items()
    }
    return build_space(
        model,
        layers,
        base=fixed_scheme(recipe),
        input=search.input,
        limits=search.limits,
        filters=Filters(search.tune_filters, search.tune_filters_exceptions, search.multipliers),
        learning_rate=search.learning_rate or (),
        fold=search.fold or (),
    )


def autoqkeras_of(recipe: Recipe, model: nn.Module) -> AutoQKerasSearch:
    """What the recipe says in AutoQKeras's words.

    Raises:
        SearchError: words that it does not have, or limits that leave nothing.
    """
    search = recipe.search
    return from_autoqkeras(
        search.autoqkeras or {},
        model,
        input=search.input,
        learning_rate=search.train.learning_rate,
        base=fixed_scheme(recipe) if search.fixed else None,
        fold=search.fold or (),
    )


def own_goal(recipe: Recipe) -> bool:
    """Whether the goal stands in the recipe's own words, and not in AutoQKeras's."""
    return recipe.search.autoqkeras is None or "goal" in recipe.search.model_fields_set


def goal_costs(recipe: Recipe) -> tuple[str, ...]:
    """The figures that the goal reads."""
    if not own_goal(recipe):
        return (_plan_of(recipe).cost,)
    limited = (*recipe.search.goal.times_lower, *recipe.search.goal.at_most)
    return tuple(dict.fromkeys((*recipe.search.goal.costs, *limited)))


def goal_of(
    recipe: Recipe, reference: Mapping[str, float], accuracy: float, model: nn.Module, inputs: int
) -> Goal:
    """The goal of a recipe.

    Args:
        recipe: the recipe.
        reference: the costs of BF.
        accuracy: of the float network, on the validation samples.
        model: the float network.
        inputs: its number of features.
    """
    if not own_goal(recipe):
        return autoqkeras_of(recipe, model).goal(model, (inputs,))
    goal = recipe.search.goal
    limits = [Limit.times_lower(name, reference[name], times) for name, times in goal.times_lower.items()]
    limits += [Limit(name, most, at_most=True) for name, most in goal.at_most.items()]
    if goal.most_accuracy_lost is not None:
        limits.append(Limit.lost(ACCURACY, accuracy, goal.most_accuracy_lost))
    if goal.kind == "forgiving_factor":
        references = tuple(reference[name] for name in goal.costs)
        return ForgivingFactor(
            goal.cost,
            reference=references if len(references) > 1 else references[0],
            delta_p=goal.delta_p,
            delta_n=goal.delta_n,
            rate=goal.rate,
            stress=goal.stress,
            limits=tuple(limits),
        )
    return MultiObjective(
        goal.cost, least_accuracy=goal.least_accuracy, most_cost=goal.most_cost, limits=tuple(limits)
    )


def searcher_of(recipe: Recipe) -> tuple[str, dict[str, Any]]:
    """The searcher's name and options; AutoQKeras's ``mode`` where the recipe itself names none."""
    search = recipe.search
    if search.autoqkeras is None or "searcher" in search.model_fields_set:
        return search.searcher, dict(search.options)
    theirs = autoqkeras_of(recipe, untrained(recipe))
    return theirs.searcher, {**theirs.options, **search.options}


def executor_of(recipe: Recipe) -> Executor:
    """Where trials are evaluated: here, unless workers or an address are named.

    Raises:
        SearchError: arguments that the executor does not take, or workers that cannot be reached.
    """
    search = recipe.search
    more = {} if search.gpus_per_worker is None else {"gpus_per_worker": search.gpus_per_worker}
    return EXECUTORS.get(executor_name(recipe))(workers=search.workers, address=search.address, **more)


def executor_name(recipe: Recipe) -> str:
    """The executor's name."""
    search = recipe.search
    if search.executor is not None:
        return search.executor
    if search.address is not None:
        return "ray"
    return "serial" if (search.workers or 1) == 1 else "processes"


def training_of(part: TrainingPart) -> Training:
    """A training of a recipe as a plain value."""
    return Training(
        epochs=part.epochs,
        batch_size=part.batch_size,
        learning_rate=part.learning_rate,
        weight_decay=part.weight_decay,
        schedule=part.schedule,
        patience=part.patience,
    )


def cost_settings(recipe: Recipe, figures: Sequence[str]) -> dict[str, Any]:
    """Those settings of the recipe that the targets of these figures have."""
    known = {"softmax", *(field.name for name in figures for field in fields(TARGETS.get(target_of(name))))}
    given = {**goal_settings(recipe), **recipe.cost}
    return {key: value for key, value in given.items() if key in known}


def goal_settings(recipe: Recipe) -> dict[str, Any]:
    """The cost settings that a goal in AutoQKeras's words brings along."""
    if own_goal(recipe):
        return {}
    return dict(_plan_of(recipe).settings)


def check_goal_settings(recipe: Recipe) -> None:
    """Raise SearchError where the goal and ``cost`` disagree on a setting."""
    for name, value in goal_settings(recipe).items():
        if name in recipe.cost and recipe.cost[name] != value:
            raise SearchError(
                f"goal: its trials have {name} {value!r}, and cost has {recipe.cost[name]!r}",
                hint="write both alike, or leave it out of cost",
            )


def _plan_of(recipe: Recipe) -> GoalPlan:
    return goal_plan((recipe.search.autoqkeras or {}).get("goal"))
