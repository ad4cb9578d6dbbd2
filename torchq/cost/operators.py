"""QTools' operators: how a product of two formats is built, and how wide the sum of products is.

The types here are those that QTools prices with, not the exact types of the hardware (those are
:mod:`torchq.formats.arithmetic`); where the two differ stands in ``docs/qtools-differences.md``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum

from torchq.formats import Binary, FixedPoint, Format, PowerOfTwo, ScaledSigns, Ternary
from torchq.formats.arithmetic import widest
from torchq.workload import UNQUANTIZED_BITS


class Sort(StrEnum):
    """What kind of number an operand is: it decides which gate multiplies it."""

    FIXED = "fixed"
    POWER_OF_TWO = "power of two"
    TERNARY = "ternary"
    BINARY = "binary -1, 1"
    BINARY_01 = "binary 0, 1"
    FLOAT = "float"


class Rules(StrEnum):
    """Which QTools the widths are taken from.

    Attributes:
        QTOOLS: since March 2022. The product of two signed numbers is one bit narrower than both together,
            which leaves out the product of the two most negative codes; a sum of ``n`` has
            ``ceil(log2(n))`` bits more than a product, and one more where a bias is added.
        QTOOLS_2020: as it was when the energy table of arXiv:2006.10159 was made. That product is as wide
            as both together; every sum has ``ceil(log2(n + 1))`` bits more, with a bias or without.
    """

    QTOOLS = "qtools"
    QTOOLS_2020 = "qtools-2020"


@dataclass(frozen=True)
class Operand:
    """A number as QTools sees it.

    Args:
        sort: the kind of number.
        bits: its width, the sign included.
        integer: bits before the point, **without** the sign bit, as QTools counts them (QKeras's convention;
            :func:`operand` is the only place that converts).
        signed: whether there are negative values.
        top: for a power of two, the largest exponent where a maximum was given; None without one.
    """

    sort: Sort
    bits: int
    integer: int
    signed: bool
    top: int | None = None

    @property
    def fraction(self) -> int:
        """Bits after the point."""
        return self.bits - self.integer - int(self.signed)


@dataclass(frozen=True)
class Multiplier:
    """How one product is built.

    Args:
        gate: ``"mul"``, ``"shifter"``, ``"mux"``, ``"xor"``, ``"and"`` or ``"add"``.
        factor: energy of the gate relative to an adder (multiplier for ``"mul"``) of the same bits.
        bits: the bits that are priced; need not be whole.
        product: the type of the product.
    """

    gate: str
    factor: float
    bits: float
    product: Operand


def operand(format: Format | None) -> Operand:
    """The operand of a number format; without a format, a 32-bit float.

    A format per channel or element counts as the widest of it; of signs the scales do not count, whatever
    their channels. ``ap_ufixed<1,1>`` has the values 0 and 1 and is a binary, as in QTools.

    Example:
        >>> operand(FixedPoint(6, 1))
        Operand(sort=<Sort.FIXED: 'fixed'>, bits=6, integer=0, signed=True, top=None)
        >>> operand(PowerOfTwo(4, -8, 0)).top
        0
    """
    if format is None:
        return Operand(Sort.FLOAT, UNQUANTIZED_BITS, -1, True)
    if isinstance(format, ScaledSigns):
        return operand(format.signs)
    if isinstance(format, FixedPoint):
        f = widest(format)
        bits, integer, signed = int(f.width), int(f.integer), bool(f.signed)
        sort = Sort.BINARY_01 if (bits, integer, signed) == (1, 1, False) else Sort.FIXED
        return Operand(sort, bits, integer - int(signed), signed)
    if isinstance(format, Ternary):
        return Operand(Sort.TERNARY, 2, 2, True)
    if isinstance(format, Binary):
        return Operand(Sort.BINARY_01 if format.use_01 else Sort.BINARY, 1, 1, format.signed)
    if isinstance(format, PowerOfTwo):
        op = Operand(Sort.POWER_OF_TWO, format.width, format.width, format.signed)
        return replace(op, top=format.exponent_max) if format.exponent_max < exponents(op)[1] else op
    return Operand(Sort.FLOAT, format.width, -1, True)


def multiplier(weight: Operand, x: Operand, *, rules: Rules = Rules.QTOOLS) -> Multiplier:
    """How ``weight * x`` is built, by QTools' table.

    Args:
        weight: one factor.
        x: the other one.
        rules: how wide the product of two signed numbers is.

    Example:
        >>> fixed, ternary = operand(FixedPoint(6, 0, signed=False)), operand(Ternary())
        >>> m = multiplier(ternary, fixed)
        >>> m.gate, m.factor, m.bits, m.product.bits
        ('mux', 0.6, 6, 7)
    """
    sorts = (weight.sort, x.sort)
    if Sort.FLOAT in sorts:
        bits = max(o.bits for o in (weight, x) if o.sort is Sort.FLOAT)
        return Multiplier("mul", 1.0, bits, Operand(Sort.FLOAT, bits, -1, True))
    if Sort.BINARY_01 in sorts:
        return _and(weight, x)
    if sorts == (Sort.BINARY, Sort.BINARY):
        return Multiplier("xor", 0.3, 1, weight)
    if weight.sort in (Sort.BINARY, Sort.TERNARY):
        return _mux(weight, x)
    if x.sort in (Sort.BINARY, Sort.TERNARY):
        return _mux(x, weight)
    if sorts == (Sort.POWER_OF_TWO, Sort.POWER_OF_TWO):
        return _add(weight, x)
    if weight.sort is Sort.POWER_OF_TWO:
        return _shift(weight, x)
    if x.sort is Sort.POWER_OF_TWO:
        return _shift(x, weight)
    signed = weight.signed or x.signed
    integer = weight.integer + x.integer
    integer += int(rules is Rules.QTOOLS_2020 and weight.signed and x.signed)
    width = max(integer + weight.fraction + x.fraction + int(signed), 0)
    product = Operand(Sort.FIXED, width, integer, signed)
    return Multiplier("mul", 1.0, math.sqrt(weight.bits * x.bits), product)


def accumulator(
    product: Operand, fan_in: int, bias: Operand | None, *, rules: Rules = Rules.QTOOLS
) -> Operand:
    """The type of the sum of ``fan_in`` products and the bias.

    Args:
        product: of one multiplication.
        fan_in: how many products are summed.
        bias: None if there is none.
        rules: how a bias is added.

    Example:
        >>> m = multiplier(operand(FixedPoint(6, 1)), operand(FixedPoint(16, 7)))
        >>> accumulator(m.product, 16, operand(FixedPoint(6, 1))).bits
        26
    """
    if product.sort is Sort.FLOAT:
        return product
    term = _as_fixed(product)
    early = rules is Rules.QTOOLS_2020
    grow = (max(fan_in, 0) if early else max(fan_in - 1, 0)).bit_length()
    total = Operand(Sort.FIXED, term.bits + grow, term.integer + grow, term.signed)
    if bias is None or (early and bias.sort is not Sort.FLOAT):
        return total
    if bias.sort is Sort.FLOAT:
        return bias
    bias = _as_fixed(bias)
    signed = total.signed or bias.signed
    integer = max(total.integer, bias.integer) + 1
    return Operand(Sort.FIXED, integer + max(total.fraction, bias.fraction) + int(signed), integer, signed)


# ---------------------------------------------------------------------- the gates


def _mux(switch: Operand, other: Operand) -> Multiplier:
    """A binary (-1, 1) or ternary operand picks the other one, its negative, or zero."""
    factor = 0.3 if switch.sort is Sort.BINARY else 0.6
    product = replace(
        other,
        bits=other.bits + int(switch.signed and not other.signed),
        signed=switch.signed or other.signed,
    )
    if other.sort is Sort.POWER_OF_TWO:
        product = replace(product, integer=product.bits)
    elif other.sort in (Sort.TERNARY, Sort.BINARY):
        product = Operand(Sort.TERNARY, other.bits, other.integer, True)
    return Multiplier("mux", factor, other.bits, product)


def _and(weight: Operand, x: Operand) -> Multiplier:
    """A binary (0, 1) operand lets the other one pass, or zero."""
    other = x if weight.sort is Sort.BINARY_01 else weight
    if other.sort in (Sort.TERNARY, Sort.BINARY):
        product = Operand(Sort.TERNARY, 2, 2, True)
    else:
        product = replace(other, bits=max(weight.bits, x.bits), signed=weight.signed or x.signed)
    return Multiplier("and", 0.1, product.bits, product)


def _shift(po2: Operand, other: Operand) -> Multiplier:
    """A power of two shifts the other operand."""
    right, left = exponents(po2)
    signed = po2.signed or other.signed
    width = other.bits + left + right + int(po2.signed and not other.signed)
    product = Operand(Sort.FIXED, width, other.integer + left, signed)
    size = math.sqrt(2**po2.bits * other.bits)
    return Multiplier("shifter", 1.0, size * math.log10(size) if size > 1 else 0.0, product)


def _add(weight: Operand, x: Operand) -> Multiplier:
    """Two powers of two: their exponents are added."""
    bits = max(weight.bits, x.bits) + 1
    top = None if weight.top is None or x.top is None else weight.top + x.top
    return Multiplier(
        "add", 1.0, bits, Operand(Sort.POWER_OF_TWO, bits, bits, weight.signed or x.signed, top)
    )


def exponents(po2: Operand) -> tuple[int, int]:
    """How far to the right and to the left a power of two can shift, by QTools' rule.

    One bit of the exponent is always its sign, whatever the largest value.
    """
    half = 2 ** max(po2.bits - int(po2.signed) - 1, 0)
    left = half - 1 if po2.top is None else min(po2.top, half - 1)
    return half, max(left, 0)


def _as_fixed(op: Operand) -> Operand:
    if op.sort is not Sort.POWER_OF_TWO:
        return op
    right, left = exponents(op)
    return Operand(Sort.FIXED, left + right + int(op.signed), left, op.signed)
