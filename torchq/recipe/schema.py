"""What a recipe may say. The only config objects of the project: they stop at the door, in ``load``."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from torchq.errors import TorchqError

_RANGE = re.compile(r"\{(-?\d+)\.\.(-?\d+)\}")


class Part(BaseModel):
    """A group of keys: known ones only, each of its own type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def _quantizer(text: str) -> str:
    from torchq.quantizers import parse

    try:
        quantizer = parse(text)
    except TorchqError as fault:
        raise ValueError(str(fault)) from None
    reason = quantizer.hardware_reason()
    if reason is not None:
        raise ValueError(f"{reason} (a recipe ends in firmware)")
    return str(quantizer)


def _whole_numbers_as_float(value: Any) -> Any:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def expand(text: str) -> tuple[str, ...]:
    """All texts that ``{a..b}`` stands for.

    Raises:
        ValueError: a range that runs backwards.

    Example:
        >>> expand("quantized_bits({2..4},0,alpha=1)")
        ('quantized_bits(2,0,alpha=1)', 'quantized_bits(3,0,alpha=1)', 'quantized_bits(4,0,alpha=1)')
    """
    match = _RANGE.search(text)
    if match is None:
        return (text,)
    low, high = int(match[1]), int(match[2])
    if low > high:
        raise ValueError(f"the range {match[0]} runs backwards; write {{{high}..{low}}}")
    return tuple(
        one
        for number in range(low, high + 1)
        for one in expand(text[: match.start()] + str(number) + text[match.end() :])
    )


def _choices(value: Any) -> Any:
    """One text or a list of texts, with ``{a..b}`` written out."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(t, str) for t in texts):
        return value
    return tuple(one for text in texts for one in expand(text))


Float = Annotated[float, BeforeValidator(_whole_numbers_as_float)]
Quantizer = Annotated[str, AfterValidator(_quantizer)]
Choices = Annotated[tuple[Quantizer, ...], BeforeValidator(_choices), Field(min_length=1)]
Counts = Annotated[tuple[Annotated[int, Field(ge=1)], ...], BeforeValidator(_as_tuple), Field(min_length=1)]


class Data(Part):
    """Where the samples come from and how they are split."""

    name: str = "jets"
    source: Literal["embedded", "openml", "file"] = "embedded"
    path: str | None = None
    label: str | None = None
    train: Annotated[Float, Field(gt=0, lt=1)] = 0.64
    valid: Annotated[Float, Field(gt=0, lt=1)] = 0.16
    limit: Annotated[int, Field(ge=100)] | None = None
    seed: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _consistent(self) -> Data:
        if self.train + self.valid >= 1:
            raise ValueError(
                f"train and valid must leave a part for the test, got {self.train:g} + {self.valid:g}"
            )
        if (self.source == "file") != (self.path is not None):
            raise ValueError("path must be given with source: file, and only then")
        return self


class Model(Part):
    """The float network that is quantized."""

    name: str = "jets_mlp"
    units: Counts = (64, 32, 32)
    batch_norm: bool = False


class Training(Part):
    """One training."""

    epochs: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=1)] = 512
    learning_rate: Annotated[Float, Field(gt=0)] = 2e-3
    weight_decay: Annotated[Float, Field(ge=0)] = 0.0
    schedule: Literal["constant", "cosine"] = "cosine"
    patience: Annotated[int, Field(ge=1)] | None = None


class Quantizers(Part):
    """The quantizers of the slots of one layer or of a whole network."""

    weight: Quantizer | None = None
    bias: Quantizer | None = None
    output: Quantizer | None = None


class Uniform(Part):
    """One network quantized the same everywhere."""

    input: Quantizer
    weight: Quantizer
    bias: Quantizer
    output: Quantizer


class References(Part):
    """The networks that the picked one is compared with."""

    bf: Uniform
    q6: Uniform
    train: Training


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
    fixed: dict[str, Quantizers] = {}


class Pick(Part):
    """Which trial becomes the firmware: the most accurate one that is cheap enough.

    ``times_lower`` limits a cost figure against BF, ``at_most`` in its own unit.
    """

    times_lower: dict[str, Annotated[Float, Field(gt=0)]] = {}
    at_most: dict[str, Annotated[Float, Field(ge=0)]] = {}
    most_accuracy_lost: Annotated[Float, Field(gt=0, lt=1)] | None = None
    candidates: Annotated[int, Field(ge=1)] = 1
    train: Training


class Lower(Part):
    """The firmware project."""

    backend: str = "vitis"
    part: str = "xcvu9p-flga2577-2-e"
    clock_ns: Annotated[Float, Field(gt=0)] = 5.0
    io_type: Literal["io_parallel", "io_stream"] = "io_parallel"
    strategy: Literal["latency", "resource"] = "latency"
    reuse_factor: Annotated[int, Field(ge=1)] = 1


class Verify(Part):
    """How much is compared."""

    jets: Annotated[int, Field(ge=1)] = 12_000
    adversarial: Annotated[int, Field(ge=1)] = 2_000
    seed: Annotated[int, Field(ge=0)] = 0


class Recipe(Part):
    """A whole recipe: from data to firmware."""

    title: str
    description: str = ""
    task: Literal["search"] = "search"
    seed: Annotated[int, Field(ge=0)] = 0
    threads: Annotated[int, Field(ge=1)] = 1
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")] = "cpu"
    data: Data = Data()
    model: Model = Model()
    cost: dict[str, str | int | float | bool] = {}
    train: Training
    references: References
    search: Search
    pick: Pick
    lower: Lower = Lower()
    verify: Verify = Verify()
