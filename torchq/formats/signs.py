"""``ScaledSigns``: signs whose scale, a power of two, differs from channel to channel."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from torchq.formats.fixed import FixedPoint, IntLike, Overflow
from torchq.formats.others import Binary, Ternary


@dataclass(frozen=True, eq=False)
class ScaledSigns(FixedPoint):
    """The values of a :class:`Ternary` or :class:`Binary`, each channel times a power of two of its own.

    Everywhere it is the fixed-point format that holds these values. Whoever counts bits or gates may ask for
    ``signs``: hardware selects with them, and a power of two that stays the same is wiring.

    Args:
        signs: the values without the scales.

    Example:
        >>> format = ScaledSigns.of(Ternary(), np.array([[-2], [0]]))
        >>> str(format), format.signs, str(format.as_fixed())
        ('ternary<0.25..1>', Ternary(scale=1.0), 'ap_fixed<2,0..2,RND_CONV,SAT_SYM>')
        >>> format.quantize(np.array([[0.2], [0.7]])).tolist()
        [[0.25], [1.0]]
    """

    signs: Ternary | Binary = field(default_factory=Ternary)

    @classmethod
    def of(cls, signs: Ternary | Binary, exponent: IntLike) -> ScaledSigns:
        """The format of signs times ``2 ** exponent``.

        Args:
            signs: of scale 1.
            exponent: of a shape that broadcasts against the tensor.
        """
        unit = signs.as_fixed()
        integer = np.asarray(exponent, dtype=np.int64) + unit.integer
        return cls(unit.width, integer, unit.signed, unit.rounding, unit.overflow, signs)

    def as_fixed(self) -> FixedPoint:
        """The same values, and no word of signs."""
        return FixedPoint(self.width, self.integer, self.signed, self.rounding, Overflow(self.overflow))

    def _key(self) -> tuple[Any, ...]:
        return (*super()._key(), self.signs)

    def __str__(self) -> str:
        scales = np.exp2(np.asarray(self.integer, dtype=np.float64) - self.signs.as_fixed().integer)
        low, high = float(np.min(scales)), float(np.max(scales))
        worth = f"{low:g}" if low == high else f"{low:g}..{high:g}"
        if isinstance(self.signs, Ternary):
            return f"ternary<{worth}>"
        return f"binary<{'0,' if self.signs.use_01 else '+-'}{worth}>"
