"""A quantizer that only states a format, and formats that our own files state in words."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from torchq.errors import FormatError
from torchq.formats import Binary, FixedPoint, Format, PowerOfTwo, Ternary
from torchq.quantizers import Quantizer

_NUMBER = r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?"
_TERNARY = re.compile(rf"^ternary<({_NUMBER})>$")
_BINARY = re.compile(rf"^binary<({_NUMBER}),({_NUMBER})>$")
_POWERS = re.compile(r"^po2<(\d+),(-?\d+)\.\.(-?\d+)>$")


class Stated(Quantizer):
    """Stands in a slot of a layer whose numbers are on their grid already.

    Args:
        format: of the numbers.
    """

    name = "stated"

    def __init__(self, format: Format) -> None:
        super().__init__()
        self._format = format

    def forward(self, x: Tensor) -> Tensor:
        """The values as they are."""
        return x

    @property
    def format(self) -> Format:
        """The format that was stated."""
        return self._format


def parsed(text: str) -> Format | None:
    """The format that a text names; None where it names none, or one that differs by element.

    Example:
        >>> parsed("ternary<0.5>"), str(parsed("po2<4,-4..3>")), parsed("ap_fixed<2..4,1,TRN,WRAP>")
        (Ternary(scale=0.5), 'po2<4,-4..3>', None)
    """
    if match := _TERNARY.match(text):
        return Ternary(float(match[1]))
    if match := _BINARY.match(text):
        return Binary(float(match[2]), use_01=float(match[1]) == 0)
    if match := _POWERS.match(text):
        width, low, high = map(int, match.groups())
        return PowerOfTwo(width, low, high)
    try:
        return FixedPoint.parse(text)
    except FormatError:
        return None


def stated_formats(metadata: Mapping[str, str]) -> dict[str, Format]:
    """What a file of ours says of its layers' formats; empty for other files.

    ``Quant`` has words for integers only, and a ternary weight is written as two bits. What is said here is
    believed where it fits what the ``Quant`` says (:func:`refined`).
    """
    try:
        said = json.loads(metadata.get("torchq.formats", "{}"))
    except ValueError:
        return {}
    if not isinstance(said, dict):
        return {}
    found = {name: parsed(text) for name, text in said.items() if isinstance(text, str)}
    return {name: format for name, format in found.items() if format is not None}


def refined(grid: Format, stated: Format | None) -> Format:
    """The stated format, if all its values stand on the grid that the file's quantizer names.

    Example:
        >>> two_bits = FixedPoint(2, 1, overflow="SAT_SYM")
        >>> str(refined(two_bits, Ternary(0.5))), str(refined(two_bits, Ternary(8.0)))
        ('ternary<0.5>', 'ap_fixed<2,1,RND_CONV,SAT_SYM>')
    """
    if stated is None or not isinstance(grid, FixedPoint) or not grid.is_scalar:
        return grid
    if isinstance(stated, PowerOfTwo):
        stated = replace(stated, signed=bool(grid.signed))  # the text does not say it
    try:
        exact = stated.as_fixed()
    except FormatError:
        return grid
    fits = exact.lsb == grid.lsb and grid.lo <= exact.lo and exact.hi <= grid.hi
    return stated if fits else grid
