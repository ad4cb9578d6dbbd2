"""What a recipe may say. The only config objects of the project: they stop at the door, in ``load``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from torchq.recipe.schema_parts import Counts, Float, Part, Quantizer, Training
from torchq.recipe.schema_search import Pick, Search


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


def _as_names(value: Any) -> Any:
    return tuple(dict.fromkeys(value)) if isinstance(value, list) else value


class Synthesis(Part):
    """Verilog of the networks, compared and counted with open tools, where they are installed."""

    networks: Annotated[tuple[Literal["picked", "q6"], ...], BeforeValidator(_as_names)] = ("picked",)
    latency_cutoff: Annotated[Float, Field(gt=0)] | None = None
    fmax: bool = False


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
    cost: dict[str, str | int | float | bool] = Field(default_factory=dict)
    train: Training
    references: References
    search: Search
    pick: Pick
    lower: Lower = Lower()
    verify: Verify = Verify()
    synthesis: Synthesis | None = None
