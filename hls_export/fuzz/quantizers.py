"""Drawing number formats and quantizers: every family that hardware has, any width, rounding and overflow."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from hls_export.qonnx.builder import Builder
from torchq.errors import ExportError
from torchq.formats import FixedPoint, Overflow, Rounding
from torchq.quantizers import QUANTIZERS, Quantizer


class Draw:
    """Choices, each of which moves the generator on.

    Args:
        random: the generator.
    """

    def __init__(self, random: np.random.Generator) -> None:
        self.random = random

    def any(self, options: Any) -> Any:
        """One of some options."""
        return options[int(self.random.integers(len(options)))]

    def upto(self, most: int, least: int = 1) -> int:
        """A whole number."""
        return int(self.random.integers(least, most + 1))

    def chance(self, share: float) -> bool:
        """True in this share of all cases."""
        return bool(self.random.random() < share)

    # ------------------------------------------------------------------ activations

    def activation(self, *, shape: Any = None, most: int = 9, plain: bool = False) -> Any:
        """A format of any width, rounding and overflow; now and then one that differs by element.

        Args:
            shape: of the tensor, where it may differ by element.
            most: bits that are usual; up to 16 are possible.
            plain: whether it must be a fixed-point grid.
        """
        width = self.upto(most) if self.chance(0.93) else self.upto(16)
        if shape is not None and self.chance(0.06):
            return self._by_element(shape, most)
        if not plain and self.chance(0.15):
            return self.any(families("activation"))
        if not plain and self.chance(0.06):
            slope = self.any([0.5, 0.125])
            return f"quantized_relu({self.upto(6, 2)},{self.upto(3, 0)},negative_slope={slope})"
        if self.chance(0.35):
            return f"quantized_bits({max(width, 2)},{self.upto(4, 0)},{self.upto(1, 0)},alpha=1)"
        if self.chance(0.2):
            return f"quantized_relu({width},{self.upto(4, 0)})"
        return self._fixed(width, self.upto(5, -1), signed=self.chance(0.6))

    def _by_element(self, shape: Any, most: int) -> dict[str, Any]:
        fields = {
            "width": self.random.integers(0, most, size=shape).tolist(),
            "integer": self.random.integers(-1, 4, size=shape).tolist(),
            "signed": self.random.integers(0, 2, size=shape).tolist(),
        }
        modes = {"rounding": str(self.any(list(Rounding))), "overflow": str(self.any(list(Overflow)))}
        return {**fields, **modes}

    def _fixed(self, width: int, integer: int, *, signed: bool = True) -> str:
        rounding, overflow = self.any(list(Rounding)), self.any(list(Overflow))
        return f"ap_{'' if signed else 'u'}fixed<{width},{integer},{rounding},{overflow}>"

    def plain(self, most: int = 8) -> str:
        """A format that keeps most of what comes."""
        return f"quantized_bits({self.upto(most, 3)},{self.upto(3, 1)},alpha=1)"

    def address(self, most: int = 8, least: int = 2, integer: int = 4, *, signed: bool | None = None) -> str:
        """What a table is read with: any rounding, no auto scale."""
        sign = self.chance(0.7) if signed is None else signed
        options = f"signed={sign},rounding='{self.any(list(Rounding))}',overflow='{self.any(list(Overflow))}'"
        return f"fixed({self.upto(most, least)},{self.upto(integer, 0)},{options})"

    # ------------------------------------------------------------------ constants

    def weight(self) -> str:
        """Of a weight: any family that freezes to a fixed-point grid."""
        if self.chance(0.25):
            return str(self.any(families("weight")))
        kinds = [
            f"quantized_bits({self.upto(8, 2)},{self.upto(2, 0)},{self.upto(1, 0)},alpha=1)",
            f"quantized_bits({self.upto(5, 2)},0,1,alpha='auto_po2')",
            "ternary(alpha=1)",
            "binary(alpha=1)",
            f"quantized_po2({self.upto(4, 2)},2)",
            f"ap_fixed<{self.upto(16)},{self.upto(2, 0)},{self.any(list(Rounding))},SAT>",
            self._fixed(self.upto(8), self.upto(2, 0)),
        ]
        return str(self.any(kinds))

    def bias(self) -> str:
        """Of a bias."""
        if self.chance(0.12):
            return str(self.any(families("weight")))
        if self.chance(0.2):
            return self._fixed(self.upto(16), self.upto(4, 0))
        return f"quantized_bits({self.upto(9, 2)},{self.upto(3, 0)},alpha=1)"


@lru_cache
def families(role: str) -> tuple[str, ...]:
    """Texts of all registered quantizers that hardware has, as their classes show them.

    Args:
        role: ``"weight"``, or ``"activation"``: there QONNX has those that round to a fixed-point grid.

    Example:
        >>> "ternary()" in families("weight"), any("sigmoid()" == text for text in families("weight"))
        (True, False)
    """
    found = []
    for _, cls in QUANTIZERS.items():
        for example in cls.examples():
            grid = example.format
            one_shape = isinstance(grid, FixedPoint) and not grid.is_scalar
            if one_shape or isinstance(getattr(example, "alpha", None), list):
                continue  # numbers for each channel of some tensor
            if example.hardware_reason() is None and (role == "weight" or _rounds(example)):
                found.append(str(example))
    return tuple(found)


def _rounds(quantizer: Quantizer) -> bool:
    """Whether a file can say what it does with an activation."""
    build = Builder("one")
    try:
        build.quantizer(build.input("x", (3,)), quantizer, "q", "q", "q")
    except ExportError:
        return False
    return True
