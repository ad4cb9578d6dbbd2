"""What a ``Quant`` node says, and which of it is a fixed-point format: both directions in one place."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from torchq.errors import ExportError
from torchq.formats import FixedPoint, Overflow, Rounding

DOMAIN = "qonnx.custom_op.general"
DOMAINS = (DOMAIN, "finn.custom_op.general", "onnx.brevitas")
"""The domains that tools have put ``Quant`` in; we write the first."""

CHANNELS_LAST = "qonnx.custom_op.channels_last"
"""The domain of operators that read and write samples with the channels last."""

WRITTEN = {Rounding.RND_CONV: "ROUND", Rounding.TRN: "FLOOR"}
"""What we write: the modes that every reader of QONNX knows (hls4ml takes no others)."""

READ = {
    "ROUND": Rounding.RND_CONV,
    "HALF_EVEN": Rounding.RND_CONV,
    "FLOOR": Rounding.TRN,
    "DOWN": Rounding.TRN_ZERO,
    "HALF_UP": Rounding.RND_INF,
    "HALF_DOWN": Rounding.RND_ZERO,
}
"""What we read; QONNX's half-up is away from zero. CEIL and UP have no counterpart in ``ap_fixed``."""

MOST_BITS = 64


@dataclass(frozen=True)
class QuantWords:
    """The parameters of a ``Quant`` node that are no scale: bits and three attributes."""

    bits: int
    signed: bool
    narrow: bool
    rounding: str


def sayable(grid: FixedPoint) -> str | None:
    """Why QONNX cannot say that a tensor is rounded to this format; None if it can.

    Example:
        >>> sayable(FixedPoint(6, 1))
        >>> sayable(FixedPoint(6, 1, rounding="RND"))
        'QONNX has no rounding of ties toward plus infinity (RND); it has RND_CONV and TRN'
        >>> sayable(FixedPoint(6, 1, overflow="WRAP"))
        'QONNX only saturates, and cannot wrap (WRAP)'
    """
    if not grid.is_scalar:
        return "QONNX has one bit width for a whole tensor, and this format differs by channel or element"
    if grid.rounding is Rounding.RND:
        return "QONNX has no rounding of ties toward plus infinity (RND); it has RND_CONV and TRN"
    if grid.rounding not in WRITTEN:
        return f"rounding {grid.rounding} is outside the QONNX that other tools read; use RND_CONV or TRN"
    if grid.overflow is Overflow.WRAP:
        return "QONNX only saturates, and cannot wrap (WRAP)"
    if grid.width == 0:
        return "QONNX has no tensor of zero bits"
    if grid.signed and grid.width == 1:
        return "QONNX reads one signed bit as -1 and +1, not as -1 and 0"
    return None


def words(grid: FixedPoint) -> QuantWords:
    """The node parameters of a format that :func:`sayable` lets through."""
    narrow = grid.overflow is Overflow.SAT_SYM and bool(grid.signed)
    return QuantWords(int(grid.width), bool(grid.signed), narrow, WRITTEN[grid.rounding])


def read_words(where: str, bits: npt.NDArray[Any], attributes: dict[str, Any]) -> QuantWords:
    """Bits and attributes of a node, checked.

    Raises:
        ExportError: bits that differ by channel, are no whole number, or out of range; an unknown rounding.
    """
    if np.unique(bits).size != 1:
        raise ExportError(f"{where} has bit widths that differ by channel", hint="use one for the tensor")
    width = float(bits.flat[0])
    if width != int(width) or not 1 <= width <= MOST_BITS:
        raise ExportError(f"{where} has {width:g} bits; a whole number from 1 to {MOST_BITS} is needed")
    rounding = str(attributes.get("rounding_mode", "ROUND")).upper()
    signed, narrow = bool(attributes.get("signed", 1)), bool(attributes.get("narrow", 0))
    return QuantWords(int(width), signed, narrow, rounding)


def fixed_point(where: str, word: QuantWords, scale: npt.NDArray[Any]) -> FixedPoint:
    """The format that a node rounds an activation to.

    Args:
        where: the node in messages, such as ``"relu1.quant (Quant)"``.
        word: bits and attributes.
        scale: a power of two, or one a channel, already without the batch axis.

    Raises:
        ExportError: nothing in ``ap_fixed`` does what the node says.

    Example:
        >>> str(fixed_point("q (Quant)", QuantWords(6, False, False, "ROUND"), np.array(0.0625)))
        'ap_ufixed<6,2,RND_CONV,SAT>'
    """
    if word.rounding not in READ:
        raise ExportError(f"{where} rounds {word.rounding}, which fixed-point hardware has no mode for")
    if word.signed and word.bits == 1:
        raise ExportError(
            f"{where} has one signed bit, which QONNX reads as the sign: no fixed-point rounding"
        )
    if word.narrow and not word.signed:
        raise ExportError(f"{where} is narrow and unsigned, which fixed-point saturation cannot do")
    integer = exponents(where, scale) + word.bits
    overflow = Overflow.SAT_SYM if word.narrow else Overflow.SAT
    return FixedPoint(word.bits, integer, word.signed, READ[word.rounding], overflow)


def constant_format(where: str, word: QuantWords, scale: npt.NDArray[Any]) -> FixedPoint:
    """A format that holds what a node makes of a constant: only its values count, not their rounding."""
    if word.signed and word.bits == 1:
        return FixedPoint(2, exponents(where, scale) + 2, True, overflow=Overflow.SAT_SYM)
    overflow = Overflow.SAT_SYM if word.narrow and word.signed else Overflow.SAT
    return FixedPoint(word.bits, exponents(where, scale) + word.bits, word.signed, overflow=overflow)


def exponents(where: str, scale: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """The exponents of scales that are powers of two.

    Raises:
        ExportError: one of them is none.

    Example:
        >>> exponents("q (Quant)", np.array([0.5, 4.0])).tolist()
        [-1, 2]
        >>> exponents("q (Quant)", np.array(0.3))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        torchq.errors.ExportError: q (Quant) has scale 0.3, which is no power of two; hardware only shifts...
    """
    found = []
    for value in np.asarray(scale, dtype=np.float64).ravel().tolist():
        mantissa, exponent = math.frexp(value)
        if mantissa != 0.5:
            raise ExportError(
                f"{where} has scale {value:g}, which is no power of two",
                hint="hardware only shifts: hls-export rescale rounds it for a price that it measures",
            )
        found.append(exponent - 1)
    return np.array(found, dtype=np.int64).reshape(np.shape(scale))
