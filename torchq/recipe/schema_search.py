"""What a recipe may say of the search: the space, the goal, the searcher, and what is picked."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from torchq.recipe.schema_parts import Choices, Counts, Float, Part, Quantizers, Training


class Knobs(Part):
    """What may change in one layer; each list runs from cheap to dear."""

    weight: Choices | None = None
    bias: Choices | None = None
    output: Choices | None = None
    units: Counts | None = None


class Goal(Part):
    """What the search maximises."""

    kind: Literal["forgiving_factor", "multi_objective"] = "forgiving_factor"
    cost: str = "energy_pj"
    delta_p: Annotated[Float, Field(gt=0)] = 8.0
    delta_n: Annotated[Float, Field(gt=0)] = 8.0
    rate: Annotated[Float, Field(gt=1)] = 2.0
    stress: Annotated[Float, Field(gt=0)] = 1.0
    least_accuracy: Annotated[Float, Field(gt=0, lt=1)] | None = None
    most_cost: Annotated[Float, Field(gt=0)] | None = None


class Search(Part):
    """The search over the space of schemes."""

    searcher: str = "ax"
    trials: Annotated[int, Field(gt=0)]
    seed: Annotated[int, Field(ge=0)] = 0
    batch: Annotated[int, Field(ge=1)] = 1
    goal: Goal = Goal()
    train: Training
    input: Choices
    space: Annotated[dict[str, Knobs], Field(min_length=1)]
    fixed: dict[str, Quantizers] = Field(default_factory=dict)


class Pick(Part):
    """Which trial becomes the firmware: the most accurate one that is cheap enough.

    ``times_lower`` limits a cost figure against BF, ``at_most`` in its own unit.
    """

    times_lower: dict[str, Annotated[Float, Field(gt=0)]] = Field(default_factory=dict)
    at_most: dict[str, Annotated[Float, Field(ge=0)]] = Field(default_factory=dict)
    most_accuracy_lost: Annotated[Float, Field(gt=0, lt=1)] | None = None
    candidates: Annotated[int, Field(ge=1)] = 1
    train: Training
