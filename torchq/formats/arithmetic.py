"""The format of a product, of a sum of many and of a sum of two: exact, by types alone.

These are QTools' rules: widths that hold every result whatever the values are, with the one exception that
:func:`product` names. The tighter ones that interval arithmetic finds on the actual weights belong to the
lowering.
"""

from __future__ import annotations

import numpy as np

from torchq.formats.fixed import FixedPoint, Overflow
from torchq.formats.rounding import Rounding


def product(a: FixedPoint, b: FixedPoint) -> FixedPoint:
    """The format of ``a * b`` for formats per tensor.

    As in QTools, signed times signed takes ``a.width + b.width - 1`` bits: the product of the two most
    negative codes, the only one that needs a bit more, is left out. The accumulator's head room covers it
    where the number of terms is no power of two, or a bias is added; elsewhere who needs the exact type adds
    a bit (``torchq.nn.types.holding``).

    Example:
        >>> str(product(FixedPoint(16, 7), FixedPoint(6, 1)))
        'ap_fixed<21,7,TRN,WRAP>'
    """
    a, b = widest(a), widest(b)
    signed = bool(a.signed or b.signed)
    magnitude = int(a.integer) - int(a.signed) + int(b.integer) - int(b.signed)
    fraction = int(a.fraction) + int(b.fraction)
    width = magnitude + fraction + int(signed)
    return FixedPoint(width, magnitude + int(signed), signed, Rounding.TRN, Overflow.WRAP)


def accumulated(term: FixedPoint, terms: int) -> FixedPoint:
    """The format of the sum of ``terms`` values of one format.

    Example:
        >>> str(accumulated(FixedPoint(21, 7), 16))
        'ap_fixed<25,11,TRN,WRAP>'
    """
    term = widest(term)
    grow = max(int(terms) - 1, 0).bit_length()
    width, integer = int(term.width) + grow, int(term.integer) + grow
    return FixedPoint(width, integer, term.signed, Rounding.TRN, Overflow.WRAP)


def summed(a: FixedPoint, b: FixedPoint) -> FixedPoint:
    """The format of ``a + b``.

    Example:
        >>> str(summed(FixedPoint(25, 11), FixedPoint(6, 1)))
        'ap_fixed<26,12,TRN,WRAP>'
    """
    a, b = widest(a), widest(b)
    signed = bool(a.signed or b.signed)
    magnitude = max(int(a.integer) - int(a.signed), int(b.integer) - int(b.signed)) + 1
    fraction = max(int(a.fraction), int(b.fraction))
    width = magnitude + fraction + int(signed)
    return FixedPoint(width, magnitude + int(signed), signed, Rounding.TRN, Overflow.WRAP)


def widest(f: FixedPoint) -> FixedPoint:
    """The smallest format per tensor that holds every element of a format per channel or element."""
    if f.is_scalar:
        return f
    alive = np.broadcast_to(np.asarray(f.width) > 0, f.shape)
    if not alive.any():
        return FixedPoint(0, 0, bool(np.any(f.signed)), f.rounding, f.overflow)
    signed = np.broadcast_to(np.asarray(f.signed), f.shape)[alive]
    integer = np.broadcast_to(np.asarray(f.integer), f.shape)[alive]
    fraction = np.broadcast_to(np.asarray(f.fraction), f.shape)[alive]
    any_signed = bool(signed.any())
    top = int(np.max(integer + (any_signed & ~signed)))
    return FixedPoint(top + int(fraction.max()), top, any_signed, f.rounding, f.overflow)
