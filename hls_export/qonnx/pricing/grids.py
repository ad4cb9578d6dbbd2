"""The number format that a quantizer of a file puts values on; what has none is told in a note."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hls_export.qonnx.quant import MOST_BITS, READ
from torchq.errors import ExportError
from torchq.formats import Binary, FixedPoint, Format, Overflow, Rounding

Values = npt.NDArray[Any]
_INTEGER = re.compile(r"^(?P<u>U?)INT(?P<bits>\d+)$")


@dataclass(frozen=True)
class Grid:
    """A format, and what it leaves out.

    Args:
        format: per tensor, channel or element.
        note: one sentence on what is counted as something near; empty where nothing is.
    """

    format: Format
    note: str = ""


@dataclass(frozen=True)
class Integers:
    """A range of integer codes, as an integer type and a ``Clip`` behind it say it."""

    low: int
    high: int

    @property
    def signed(self) -> bool:
        """Whether there are negative codes."""
        return self.low < 0

    @property
    def bits(self) -> int:
        """How many bits a code has.

        Example:
            >>> Integers(-7, 7).bits, Integers(0, 15).bits, Integers(-128, 127).bits
            (4, 4, 8)
        """
        if not self.signed:
            return max(self.high.bit_length(), 1)
        return max(self.high.bit_length(), (-self.low - 1).bit_length()) + 1

    @property
    def narrow(self) -> bool:
        """Whether the most negative code is missing."""
        return self.signed and self.low == -self.high

    def clipped(self, low: float, high: float) -> Integers:
        """What is left of it between two numbers, which may be infinite.

        Example:
            >>> Integers(-128, 127).clipped(0, float("inf"))
            Integers(low=0, high=127)
        """
        least = self.low if low <= self.low else int(min(low, self.high))
        most = self.high if high >= self.high else int(max(high, least))
        return Integers(least, most)


def integers_of(type_name: str) -> Integers | None:
    """The codes of an ONNX type of whole numbers; None for other types.

    Example:
        >>> integers_of("UINT4"), integers_of("FLOAT8E4M3FN")
        (Integers(low=0, high=15), None)
    """
    match = _INTEGER.match(type_name)
    if match is None:
        return None
    bits = int(match["bits"])
    return Integers(0, 2**bits - 1) if match["u"] else Integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def quant_grid(
    where: str, bits: Values, scale: Values, zeropt: Values, attributes: Mapping[str, Any]
) -> Grid:
    """The format of a ``Quant`` or ``IntQuant``.

    Args:
        where: the node in messages.
        bits: one number, or one a channel.
        scale: likewise.
        zeropt: likewise.
        attributes: ``signed``, ``narrow`` and ``rounding_mode``.

    Raises:
        ExportError: a number of bits, or a scale, that no quantizer can have.

    Example:
        >>> grid = quant_grid("q", np.array(8.0), np.array(0.3), np.array(0.0), {"signed": 1})
        >>> str(grid.format), grid.note
        ('ap_fixed<8,6,RND_CONV,SAT>', 'q: the scale 0.3 is no power of two and counts as 0.25')
    """
    signed, narrow = bool(attributes.get("signed", 1)), bool(attributes.get("narrow", 0))
    widths = np.asarray(bits, dtype=np.float64)
    if not np.isfinite(widths).all() or np.any(widths != np.rint(widths)):
        raise ExportError(f"{where} has {float(widths.flat[0]):g} bits, a whole number is needed")
    if np.any(widths < 1) or np.any(widths > MOST_BITS):
        raise ExportError(f"{where} has {float(widths.flat[0]):g} bits, 1 to {MOST_BITS} are needed")
    rounding = READ.get(str(attributes.get("rounding_mode", "ROUND")).upper(), Rounding.RND_CONV)
    if signed and np.all(widths == 1):
        return bipolar_grid(where, scale)
    return _fixed(where, widths.astype(np.int64), scale, zeropt, signed, narrow, rounding)


def bipolar_grid(where: str, scale: Values) -> Grid:
    """The format of a ``BipolarQuant``: the values -scale and +scale."""
    exponent, note = _exponents(where, scale)
    largest = int(np.max(exponent))
    if np.unique(exponent).size > 1:
        note = note or f"{where}: scales differ by channel and count as {2.0**largest:g}"
    return Grid(Binary(2.0**largest), note)


def coded_grid(where: str, codes: Integers, scale: Values, zeropt: Values) -> Grid:
    """The format behind ``QuantizeLinear``, ``Clip`` and ``DequantizeLinear``.

    Example:
        >>> str(coded_grid("q", Integers(-7, 7), np.array(0.25), np.array(0)).format)
        'ap_fixed<4,2,RND_CONV,SAT_SYM>'
    """
    return _fixed(where, np.asarray(codes.bits), scale, zeropt, codes.signed, codes.narrow, Rounding.RND_CONV)


def trunc_grid(where: str, bits: Values, scale: Values, source: Format | None) -> Grid:
    """The format of a ``Trunc``: some of the last bits are cut off."""
    signed = True if source is None else bool(np.any(source.signed))
    return _fixed(where, np.asarray(bits, np.int64), scale, np.zeros(()), signed, False, Rounding.TRN)


def _fixed(
    where: str, bits: Values, scale: Values, zeropt: Values, signed: bool, narrow: bool, rounding: Rounding
) -> Grid:
    exponent, note = _exponents(where, scale)
    if np.any(zeropt != 0):
        worst = float(np.asarray(zeropt).flat[int(np.argmax(np.abs(zeropt)))])
        more = f"{where}: the zero point {worst:g} is not counted, the width of the integers is"
        note = f"{note}; {more}" if note else more
    overflow = Overflow.SAT_SYM if narrow and signed else Overflow.SAT
    width, integer = _plain(bits), _plain(np.asarray(exponent + bits))
    return Grid(FixedPoint(width, integer, signed, rounding, overflow), note)


def _exponents(where: str, scale: Values) -> tuple[npt.NDArray[np.int64], str]:
    """The exponents of scales, the nearest ones where they are no powers of two, and a note then."""
    scales = np.asarray(scale, dtype=np.float64)
    if not np.isfinite(scales).all() or np.any(scales <= 0) or scales.size == 0:
        raise ExportError(f"{where} has scales that are no positive numbers")
    exponent = np.rint(np.log2(scales))
    odd = np.exp2(exponent) != scales
    if not odd.any():
        return exponent.astype(np.int64), ""
    first = float(scales[odd].flat[0])
    near = float(np.exp2(exponent[odd]).flat[0])
    if np.count_nonzero(odd) == 1:
        note = f"{where}: the scale {first:g} is no power of two and counts as {near:g}"
    else:
        note = f"{where}: {np.count_nonzero(odd)} scales are no powers of two and count as the nearest ones"
    return exponent.astype(np.int64), note


def _plain(values: Values) -> Any:
    """A number where all are equal."""
    values = np.asarray(values)
    return int(values.flat[0]) if np.unique(values).size == 1 else values.astype(np.int64)
