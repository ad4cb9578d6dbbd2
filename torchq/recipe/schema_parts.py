"""What the groups of keys of every recipe are made of: checked kinds of values, and the groups used twice."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

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
