"""The number formats of products and sums in a layer: QTools' rules, for every pair of formats."""

from __future__ import annotations

from torchq.errors import FormatError
from torchq.formats import (
    Binary,
    FixedPoint,
    Format,
    Overflow,
    PowerOfTwo,
    Rounding,
    Ternary,
    accumulated,
    product,
    summed,
)
from torchq.formats.arithmetic import widest


def fixed(format: Format | None) -> FixedPoint | None:
    """The fixed-point format per tensor that holds every value of a format; None if no grid does.

    Example:
        >>> from torchq.formats import Float
        >>> str(fixed(Ternary(0.5))), fixed(Float(32)), fixed(None)
        ('ap_fixed<2,1,RND_CONV,SAT_SYM>', None, None)
    """
    if format is None:
        return None
    if isinstance(format, FixedPoint):
        return widest(format)
    try:
        return format.as_fixed()
    except FormatError:
        return None


def multiplied(a: Format | None, b: Format | None) -> FixedPoint | None:
    """The format of ``a * b``; None if one of them stands on no fixed-point grid.

    QTools' table of multipliers: fixed times fixed multiplies, a power of two shifts, ternary and binary
    values select (the sign costs a bit where the other operand has none).

    Example:
        >>> str(multiplied(FixedPoint(6, 1), FixedPoint(16, 7)))
        'ap_fixed<21,7,TRN,WRAP>'
        >>> str(multiplied(Ternary(), FixedPoint(6, 0, signed=False)))
        'ap_fixed<7,1,TRN,WRAP>'
        >>> str(multiplied(PowerOfTwo(4, -4, 0), FixedPoint(6, 1)))
        'ap_fixed<10,1,TRN,WRAP>'
    """
    left, right = fixed(a), fixed(b)
    if left is None or right is None:
        return None
    if isinstance(a, Ternary | Binary):
        return _selected(a, right)
    if isinstance(b, Ternary | Binary):
        return _selected(b, left)
    if isinstance(a, PowerOfTwo) and not isinstance(b, PowerOfTwo):
        return _shifted(a, right)
    if isinstance(b, PowerOfTwo) and not isinstance(a, PowerOfTwo):
        return _shifted(b, left)
    if isinstance(a, PowerOfTwo) and isinstance(b, PowerOfTwo):
        lowest, highest = a.exponent_min + b.exponent_min, a.exponent_max + b.exponent_max
        power = PowerOfTwo(max(a.width, b.width) + 1, lowest, highest, a.signed or b.signed).as_fixed()
        return _exact(int(power.width), int(power.integer), bool(power.signed))
    return product(left, right)


def summed_products(term: FixedPoint | None, terms: int) -> FixedPoint | None:
    """The format of the sum of ``terms`` products."""
    return None if term is None else accumulated(term, terms)


def with_bias(total: FixedPoint | None, bias: Format | None) -> FixedPoint | None:
    """The format of a sum and its bias."""
    other = fixed(bias)
    return None if total is None or other is None else summed(total, other)


def holding(total: FixedPoint | None, a: Format | None, b: Format | None, terms: int) -> FixedPoint | None:
    """``total``, one bit wider where the sum of ``terms`` products ``a * b`` may not fit.

    QTools leaves the product of the two most negative codes out of the product's type. The head room of the
    accumulator covers it, except where ``terms`` is a power of two and no bias adds its bit.

    Example:
        >>> f = FixedPoint(6, 1)
        >>> total = summed_products(multiplied(f, f), 4)
        >>> str(total), str(holding(total, f, f, 4)), str(holding(total, f, f, 3))
        ('ap_fixed<13,3,TRN,WRAP>', 'ap_fixed<14,4,TRN,WRAP>', 'ap_fixed<13,3,TRN,WRAP>')
    """
    left, right = fixed(a), fixed(b)
    if total is None or left is None or right is None or terms * left.lo * right.lo <= total.hi:
        return total
    return FixedPoint(total.width + 1, total.integer + 1, total.signed, total.rounding, total.overflow)


def _selected(select: Ternary | Binary, other: FixedPoint) -> FixedPoint:
    """``select * other``: the other value, its negative, or zero, times the scale."""
    exponent = int(select.as_fixed().integer) - (2 if select.signed else 1)
    sign = int(select.signed and not other.signed)
    signed = bool(select.signed or other.signed)
    return _exact(int(other.width) + sign, int(other.integer) + sign + exponent, signed)


def _shifted(power: PowerOfTwo, other: FixedPoint) -> FixedPoint:
    """``power * other``: the other value, shifted."""
    magnitude = int(other.integer) - int(other.signed) + power.exponent_max
    fraction = int(other.fraction) - power.exponent_min
    sign = int(power.signed or other.signed)
    return _exact(magnitude + fraction + sign, magnitude + sign, bool(sign))


def _exact(width: int, integer: int, signed: bool) -> FixedPoint:
    """A format that nothing is rounded to: it holds every result."""
    return FixedPoint(width, integer, signed, Rounding.TRN, Overflow.WRAP)
