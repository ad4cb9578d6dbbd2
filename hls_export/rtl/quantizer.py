"""Rounding and overflow as logic: every mode of ``ap_fixed``, on the variables that alkaid traces.

A value here is a float (it is constant) or one of alkaid's variables, which know their range and their last
bit. Rounding keeps all bits above the new last one, so nothing overflows before :func:`limited`.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from hls_export.integers import code_range
from hls_export.rtl.alkaid import plain, plus
from torchq.errors import BackendError
from torchq.formats import FixedPoint, Overflow, Rounding

Value = Any
"""A float, or a variable of alkaid."""


class Grid(NamedTuple):
    """The number format of one element.

    Args:
        width: all bits; 0 for an element that is always zero.
        fraction: of them behind the point.
        signed: two's complement, or unsigned.
        rounding: what happens below the last bit.
        overflow: what happens above the first.
    """

    width: int
    fraction: int
    signed: bool
    rounding: Rounding
    overflow: Overflow

    @property
    def above(self) -> int:
        """Bits before the point, the sign not counted."""
        return self.width - self.fraction - int(self.signed)

    @property
    def lsb(self) -> float:
        """The distance of neighbouring values."""
        return float(2.0**-self.fraction)

    @property
    def low(self) -> float:
        """The smallest value."""
        return code_range(self.width, self.signed, self.overflow)[0] * self.lsb

    @property
    def high(self) -> float:
        """The largest value."""
        return code_range(self.width, self.signed, self.overflow)[1] * self.lsb


def quantized(value: Value, grid: Grid) -> Value:
    """A value in another number format.

    Example:
        >>> quantized(-0.75, Grid(4, 1, True, Rounding.RND_CONV, Overflow.SAT))
        -1.0
    """
    if isinstance(value, float):
        exact = FixedPoint(
            grid.width, grid.width - grid.fraction, grid.signed, grid.rounding, grid.overflow
        ).quantize(value)
        return float(exact)
    if grid.width == 0:
        return 0.0
    return limited(rounded(value, grid.fraction, grid.rounding), grid)


def rounded(value: Value, fraction: int, rounding: Rounding) -> Value:
    """A value with at most ``fraction`` bits behind the point.

    ``RND_CONV`` takes half a step more, cuts, and clears the last bit where that was a tie: one addition,
    which alkaid merges with the bias in front of it.
    """
    value = plain(value)
    if isinstance(value, float) or value.kif[2] <= fraction:
        return value
    step = 2.0**-fraction
    if rounding is Rounding.TRN:
        return floor(value, fraction)
    if rounding in (Rounding.RND, Rounding.RND_CONV):
        try:
            return _half_up(value, fraction, even=rounding is Rounding.RND_CONV)
        except BackendError:
            pass  # with the bias in front of it, half a step is more than alkaid adds in one go
    low = floor(value, fraction)
    half = _scaled(bits(value, -fraction, -fraction - 1), 2.0 / step)
    rest = _any(bits(value, -fraction - 1, -value.kif[2])) if value.kif[2] > fraction + 1 else 0.0
    negative = plain(value.is_negative())
    if rounding is Rounding.RND:
        up = half
    elif rounding is Rounding.RND_CONV:
        odd = _scaled(_unsigned(low, 1 - fraction, -fraction), 1 / step)
        up = _both(half, _either(rest, odd))
    elif rounding is Rounding.TRN_ZERO:
        up = _both(negative, _either(half, rest))
    elif rounding is Rounding.RND_MIN_INF:
        up = _both(half, rest)
    elif rounding is Rounding.RND_INF:
        up = _both(half, _either(rest, _not(negative)))
    else:  # RND_ZERO
        up = _both(half, _either(rest, negative))
    return plain(low + _scaled(up, step))


def _half_up(value: Value, fraction: int, *, even: bool) -> Value:
    """Half a step more, then cut; ``even`` clears the last bit where that was a tie."""
    step = 2.0**-fraction
    more = plus(value, step / 2)
    up = floor(more, fraction)
    if not even:
        return up
    if isinstance(up, float):
        return _even(more, fraction)
    beside = _any(bits(more, -fraction, -more.kif[2]))
    last = _both(bits(up, 1 - fraction, -fraction), _scaled(beside, step))
    return _joined(floor(up, fraction - 1), last)


def limited(value: Value, grid: Grid) -> Value:
    """A value that stands on the grid's steps, brought into its range."""
    value = plain(value)
    if isinstance(value, float):
        return quantized(value, grid)
    if grid.overflow is Overflow.WRAP:
        return taken(value, grid.signed, grid.above, grid.fraction)
    if grid.low == grid.high:
        return grid.low
    if value.low >= grid.low and value.high <= grid.high:
        return value
    if not grid.signed or value.low >= 0:
        return _limited_unsigned(value, grid)
    return _limited_signed(value, grid)


def _limited_unsigned(value: Value, grid: Grid) -> Value:
    """Values below zero become 0, those with a bit above the range all ones."""
    value = plain(value.relu()) if value.low < 0 else value
    if isinstance(value, float):
        return quantized(value, grid)
    if value.high <= grid.high:
        return value
    beyond = _any(bits(value, value.kif[1], grid.above))
    below = bits(value, grid.above, -grid.fraction)
    return _unsigned(_either(below, _scaled(beyond, -grid.lsb)), grid.above, -grid.fraction)


def _limited_signed(value: Value, grid: Grid) -> Value:
    """Where a bit above the range differs from the sign, those below become the opposite of the sign."""
    negative = plain(value.is_negative())
    size = 2.0**grid.above
    below = bits(value, grid.above, -grid.fraction) if grid.width > 1 else 0.0
    if value.kif[1] > grid.above and grid.width > 1:
        top = bits(value, value.kif[1], grid.above)
        other = _unsigned(_differ(top, _scaled(negative, -size)), value.kif[1], grid.above)
        end = _unsigned(_scaled(_not(negative), -grid.lsb), grid.above, -grid.fraction)
        below = _chosen(_any(other), end, below)
    if grid.overflow is Overflow.SAT_SYM:
        lowest = _both(negative, _not(_any(below)))
        below = _either(below, _scaled(lowest, grid.lsb))
    return _joined(below, _scaled(negative, -size))


# ---------------------------------------------------------------------- pieces


def floor(value: Value, fraction: int) -> Value:
    """The bits of a value down to ``2**-fraction``."""
    sign, above, _ = value.kif
    return taken(value, bool(sign), max(above, -fraction), fraction)


def bits(value: Value, above: int, below: int) -> Value:
    """The bits from ``2**(above - 1)`` down to ``2**below``, as an unsigned number of their weight."""
    return taken(value, False, above, -below) if above > below else 0.0


def taken(value: Value, signed: bool, above: int, fraction: int) -> Value:
    """Some bits of a value, those beside them dropped.

    A variable carries a factor, a power of two. alkaid 0.8.2 takes the wrong bit when a single one is taken
    out of a variable with a factor, so it is put aside for as long as that takes.
    """
    factor = abs(value._factor)
    places = math.frexp(factor)[1] - 1
    bare = value if factor == 1 else value * (1 / factor)
    return plain(bare.quantize(int(signed), above - places, fraction + places) * factor)


def _unsigned(value: Value, above: int, below: int) -> Value:
    if isinstance(value, float):
        size, lsb = 2.0**above, 2.0**below
        return value % size // lsb * lsb
    return bits(value, above, below)


def _even(more: Value, fraction: int) -> Value:
    """The even one of two neighbours, where cutting leaves one value only: a tie or none."""
    step = 2.0**-fraction
    up = floor(more, fraction)
    beside = _any(bits(more, -fraction, -more.kif[2]))
    if up / step % 2 == 0:
        return up
    return plain(_scaled(beside, step) + (up - step))


def _any(value: Value) -> Value:
    return float(value != 0) if isinstance(value, float) else plain(value.unary_bit_op("any"))


def _not(value: Value) -> Value:
    return 1.0 - value if isinstance(value, float) else plain(~value)


def _scaled(value: Value, factor: float) -> Value:
    return plain(value * factor)


def _both(a: Value, b: Value) -> Value:
    """Bitwise and of two numbers of one bit each, of the same weight."""
    if isinstance(a, float) or isinstance(b, float):
        constant, other = (a, b) if isinstance(a, float) else (b, a)
        return other if constant else 0.0
    return plain(a & b)


def _either(a: Value, b: Value) -> Value:
    """Bitwise or."""
    if isinstance(a, float) or isinstance(b, float):
        constant, other = (a, b) if isinstance(a, float) else (b, a)
        if constant == 0:
            return other
        if isinstance(other, float):
            raise AssertionError("two constants are joined before logic is made")
    return plain(a | b)


def _differ(a: Value, b: Value) -> Value:
    """Bitwise exclusive or."""
    if isinstance(b, float) and b == 0:
        return a
    return plain(a ^ b)


def _joined(a: Value, b: Value) -> Value:
    """The sum of two numbers that have no bit in common."""
    if isinstance(a, float) or isinstance(b, float):
        return plain(a + b)
    return plain(a | b)


def _chosen(flag: Value, yes: Value, no: Value) -> Value:
    if isinstance(flag, float):
        return yes if flag else no
    return plain(flag.msb_mux(yes, no))
