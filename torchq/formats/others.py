"""The formats beside fixed point: ``Ternary``, ``Binary``, ``PowerOfTwo`` and ``Float``."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torchq.errors import FormatError
from torchq.formats.fixed import FixedPoint


@dataclass(frozen=True)
class Ternary:
    """The values ``-scale, 0, +scale``; two bits.

    Example:
        >>> str(Ternary(0.5)), str(Ternary(0.5).as_fixed())
        ('ternary<0.5>', 'ap_fixed<2,1,RND_CONV,SAT_SYM>')
    """

    scale: float = 1.0

    @property
    def width(self) -> int:
        """Bits of one value."""
        return 2

    @property
    def signed(self) -> bool:
        """Always true."""
        return True

    def as_fixed(self) -> FixedPoint:
        """The fixed-point format that holds these values.

        Raises:
            FormatError: the scale is no power of two, so the values stand on no fixed-point grid.
        """
        return FixedPoint(2, 2 + _exponent(self.scale, "ternary"), overflow="SAT_SYM")  # type: ignore[arg-type]

    def __str__(self) -> str:
        return f"ternary<{self.scale:g}>"


@dataclass(frozen=True)
class Binary:
    """The values ``-scale, +scale``, or ``0, scale`` with ``use_01``; one bit.

    Example:
        >>> str(Binary()), str(Binary().as_fixed()), str(Binary(use_01=True).as_fixed())
        ('binary<-1,1>', 'ap_fixed<2,2,RND_CONV,SAT_SYM>', 'ap_ufixed<1,1,RND_CONV,SAT>')
    """

    scale: float = 1.0
    use_01: bool = False

    @property
    def width(self) -> int:
        """Bits of one value."""
        return 1

    @property
    def signed(self) -> bool:
        """Whether the smaller value is negative."""
        return not self.use_01

    def as_fixed(self) -> FixedPoint:
        """The fixed-point format that holds these values (with zero beside them when signed).

        Raises:
            FormatError: the scale is no power of two, so the values stand on no fixed-point grid.
        """
        exponent = _exponent(self.scale, "binary")
        if self.use_01:
            return FixedPoint(1, 1 + exponent, signed=False)
        return FixedPoint(2, 2 + exponent, overflow="SAT_SYM")  # type: ignore[arg-type]

    def __str__(self) -> str:
        return f"binary<{0 if self.use_01 else -self.scale:g},{self.scale:g}>"


@dataclass(frozen=True)
class PowerOfTwo:
    """The values ``+-2**e`` with ``exponent_min <= e <= exponent_max``; there is no zero.

    Args:
        width: bits of one value: the sign (if signed) and the exponent.
        exponent_min: smallest exponent.
        exponent_max: largest exponent.
        signed: whether negative values exist.

    Example:
        >>> f = PowerOfTwo(4, -4, 3)
        >>> str(f), str(f.as_fixed())
        ('po2<4,-4..3>', 'ap_fixed<9,5,RND_CONV,SAT_SYM>')
    """

    width: int
    exponent_min: int
    exponent_max: int
    signed: bool = True

    def __post_init__(self) -> None:
        if self.exponent_min > self.exponent_max:
            raise FormatError(
                f"exponent_min must be at most exponent_max, got {self.exponent_min} > {self.exponent_max}"
            )

    def as_fixed(self) -> FixedPoint:
        """The fixed-point format that holds these values."""
        integer = self.exponent_max + 1 + int(self.signed)
        width = integer - self.exponent_min
        overflow = "SAT_SYM" if self.signed else "SAT"
        return FixedPoint(width, integer, self.signed, overflow=overflow)  # type: ignore[arg-type]

    def __str__(self) -> str:
        return f"po2<{self.width},{self.exponent_min}..{self.exponent_max}>"


@dataclass(frozen=True)
class Float:
    """An IEEE float of 16, 32 or 64 bits: no hardware grid.

    Example:
        >>> str(Float(32))
        'float32'
    """

    width: int = 32

    def __post_init__(self) -> None:
        if self.width not in (16, 32, 64):
            raise FormatError(f"a float has 16, 32 or 64 bits, got {self.width}")

    @property
    def signed(self) -> bool:
        """Always true."""
        return True

    def as_fixed(self) -> FixedPoint:
        """Refused.

        Raises:
            FormatError: always.
        """
        raise FormatError(f"float{self.width} stands on no fixed-point grid", hint="put a quantizer on it")

    def __str__(self) -> str:
        return f"float{self.width}"


def _exponent(scale: float, what: str) -> int:
    mantissa, exponent = math.frexp(scale)
    if mantissa != 0.5:
        raise FormatError(
            f"{what} with scale {scale:g} stands on no fixed-point grid",
            hint="give a scale that is a power of two (alpha=1, or alpha='auto_po2')",
        )
    return exponent - 1
