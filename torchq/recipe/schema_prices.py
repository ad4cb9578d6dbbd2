"""What a recipe with ``task: price`` may say: designs that are priced, beside what was published of them."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from torchq.recipe.schema import Model
from torchq.recipe.schema_parts import Counts, Part, Quantizer, Quantizers

_NUMBER = re.compile(r"^-?\d+(\.\d+)?$")


def _printed(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not _NUMBER.match(value):
        raise ValueError(
            f"must be a whole number, or a text such as '0.00700' whose digits count, got {value!r}"
        )
    return value


def _names(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


Printed = Annotated[str, BeforeValidator(_printed)]
"""A number as it was printed: to how many digits it is known stands in it."""

Names = Annotated[tuple[str, ...], BeforeValidator(_names)]
Settings = dict[str, str | int | float | bool]


class Published(Part):
    """The figures that somebody printed of a design."""

    layers: dict[str, Printed] = Field(default_factory=dict)
    total: dict[str, Printed] = Field(default_factory=dict)


class KeptBatchNorms(Part):
    """Batch norms that are neither quantized nor folded: their numbers are read, as QTools counts them."""

    behind: dict[str, str]
    numbers: Annotated[int, Field(ge=1)] = 4
    bits: Annotated[int, Field(ge=1)] = 32


class Design(Part):
    """One network in one choice of number formats."""

    input: Quantizer
    layers: Annotated[dict[str, Quantizers], Field(min_length=1)]
    units: Counts | None = None
    without_bias: Names = ()
    batch_norms: KeptBatchNorms | None = None
    cost: Settings = Field(default_factory=dict)
    published: Published = Published()
    note: str = ""


class PriceRecipe(Part):
    """A whole recipe that prices designs; it reads no data and trains nothing."""

    title: str
    description: str = ""
    task: Literal["price"]
    source: str = ""
    model: Model = Model()
    softmax: bool = False
    softmax_bits: Literal[16, 32] = 32
    cost: Settings = Field(default_factory=dict)
    figure: str = "energy_pj"
    designs: Annotated[dict[str, Design], Field(min_length=1)]
