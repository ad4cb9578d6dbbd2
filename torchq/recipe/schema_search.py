"""What a recipe may say of the search: the space, the goal, the searcher, and what is picked."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from torchq.recipe.schema_parts import Choices, Counts, Float, Part, Quantizers, Training


def _listed(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _one_or_more(value: Any) -> Any:
    return _listed([value] if isinstance(value, str | int | float) else value)


def _activation(text: str) -> str:
    from torchq.errors import TorchqError
    from torchq.search.space_settings import check_activation

    try:
        check_activation("activation", text)
    except TorchqError as fault:
        raise ValueError(str(fault)) from None
    return text


Names = Annotated[tuple[str, ...], BeforeValidator(_listed), Field(min_length=1)]
Rates = Annotated[
    tuple[Annotated[Float, Field(gt=0)], ...], BeforeValidator(_one_or_more), Field(min_length=1)
]
Shares = Annotated[
    tuple[Annotated[Float, Field(ge=0, lt=1)], ...], BeforeValidator(_one_or_more), Field(min_length=1)
]
Activations = Annotated[
    tuple[Annotated[str, AfterValidator(_activation)], ...],
    BeforeValidator(_one_or_more),
    Field(min_length=1),
]
Folds = Annotated[
    tuple[Literal["now", "train", "apart"], ...], BeforeValidator(_one_or_more), Field(min_length=1)
]
Bound = Annotated[int, Field(ge=1)] | Choices
Positive = Annotated[Float, Field(gt=0)]


class Knobs(Part):
    """What may change in one layer, or in all that a pattern means together; lists run from cheap to dear."""

    weight: Choices | None = None
    bias: Choices | None = None
    output: Choices | None = None
    units: Counts | None = None
    activation: Activations | None = None
    pruning: Shares | None = None
    inverse: Choices | None = None
    mean: Choices | None = None
    shift: Choices | None = None
    scale: Choices | None = None
    variance: Choices | None = None


class Goal(Part):
    """What the search maximises, and what it must keep."""

    kind: Literal["forgiving_factor", "multi_objective"] = "forgiving_factor"
    cost: str | Names = "energy_pj"
    delta_p: Positive = 8.0
    delta_n: Positive = 8.0
    rate: Annotated[Float, Field(gt=1)] = 2.0
    stress: Positive = 1.0
    least_accuracy: Annotated[Float, Field(gt=0, lt=1)] | None = None
    most_cost: Positive | None = None
    times_lower: dict[str, Positive] = Field(default_factory=dict)
    at_most: dict[str, Positive] = Field(default_factory=dict)
    most_accuracy_lost: Annotated[Float, Field(gt=0, lt=1)] | None = None

    @property
    def costs(self) -> tuple[str, ...]:
        """The costs by name."""
        return (self.cost,) if isinstance(self.cost, str) else self.cost


class Search(Part):
    """The search over the space of schemes."""

    searcher: str = "ax"
    options: dict[str, Any] = Field(default_factory=dict)
    trials: Annotated[int, Field(gt=0)]
    seed: Annotated[int, Field(ge=0)] = 0
    batch: Annotated[int, Field(ge=1)] = 1
    stacked: bool = True
    executor: str | None = None
    workers: Annotated[int, Field(ge=1)] | None = None
    address: str | None = None
    gpus_per_worker: Annotated[Float, Field(ge=0)] | None = None
    transfer: str | None = None
    goal: Goal = Goal()
    train: Training
    input: Choices
    space: dict[str, Knobs] = Field(default_factory=dict)
    limits: dict[str, dict[str, Bound]] = Field(default_factory=dict)
    tune_filters: Literal["none", "layer", "block"] = "none"
    tune_filters_exceptions: str = ""
    multipliers: Rates = (0.5, 0.75, 1.0, 1.5, 2.0)
    learning_rate: Rates | None = None
    fold: Folds | None = None
    fixed: dict[str, Quantizers] = Field(default_factory=dict)
    autoqkeras: dict[str, Any] | None = None

    @model_validator(mode="before")
    @classmethod
    def _in_autoqkeras_words(cls, data: Any) -> Any:
        """``max_trials`` stands for ``trials``, unless that is said as well."""
        if isinstance(data, dict) and isinstance(data.get("autoqkeras"), dict):
            most = data["autoqkeras"].get("max_trials")
            if most is not None:
                return {"trials": most, **data}
        return data


class Pick(Part):
    """Which trial becomes the firmware: the most accurate one that is cheap enough.

    ``times_lower`` limits a cost figure against BF, ``at_most`` in its own unit.
    """

    times_lower: dict[str, Positive] = Field(default_factory=dict)
    at_most: dict[str, Annotated[Float, Field(ge=0)]] = Field(default_factory=dict)
    most_accuracy_lost: Annotated[Float, Field(gt=0, lt=1)] | None = None
    candidates: Annotated[int, Field(ge=1)] = 1
    train: Training
