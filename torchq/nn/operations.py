"""What layers compute beside sums of products with a weight, as values for their workloads."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from math import prod

from torchq.formats import FixedPoint, Format, accumulated, summed
from torchq.nn.types import fixed, holding, multiplied
from torchq.quantizers import Quantizer
from torchq.workload import Operation, TableSpec


def added(count: int, *formats: Format | None) -> Operation:
    """``count`` sums (or differences) of two or more values; each sum of ``n`` values is ``n - 1`` additions.

    Example:
        >>> op = added(5, FixedPoint(8, 3), FixedPoint(8, 3), FixedPoint(8, 3))
        >>> op.count, str(op.result)
        (10, 'ap_fixed<10,5,TRN,WRAP>')
    """
    known = [f for f in map(fixed, formats) if f is not None]
    whole = reduce(summed, known) if len(known) == len(formats) else None
    return Operation("add", count * (len(formats) - 1), formats, whole)


def totalled(count: int, terms: int, format: Format | None) -> Operation:
    """``count`` sums of so many values of one format, each ``terms - 1`` additions.

    Example:
        >>> op = totalled(2, 9, FixedPoint(8, 3))
        >>> op.count, str(op.result)
        (16, 'ap_fixed<12,7,TRN,WRAP>')
    """
    term = fixed(format)
    whole = None if term is None else accumulated(term, terms)
    return Operation("add", count * max(terms - 1, 0), (whole, format), whole)


def times(count: int, a: Format | None, b: Format | None) -> Operation:
    """``count`` products of two values, the most negative ones included.

    Example:
        >>> str(times(3, FixedPoint(8, 3), FixedPoint(4, 1)).result)
        'ap_fixed<12,4,TRN,WRAP>'
    """
    return Operation("multiply", count, (a, b), holding(multiplied(a, b), a, b, 1))


def largest(count: int, format: Format | None) -> Operation:
    """``count`` comparisons of two values of which the larger one goes on.

    Example:
        >>> largest(3, FixedPoint(8, 3)).sort
        'maximum'
    """
    return Operation("maximum", count, (format, format), fixed(format))


def one_minus(format: Format | None) -> FixedPoint | None:
    """The format of ``1 - x`` for an ``x`` in [0, 1].

    Example:
        >>> str(one_minus(FixedPoint(8, 0, signed=False)))
        'ap_ufixed<9,1,RND_CONV,SAT>'
    """
    x = fixed(format)
    if x is None:
        return None
    fraction = max(int(x.fraction), 0)
    return FixedPoint(fraction + 1, 1, signed=False)


def table_of(
    name: str, address: Quantizer | None, values: Quantizer | None, reads: int
) -> tuple[TableSpec, ...]:
    """The table of a function; none where a quantizer is missing and the function is computed in floats.

    Example:
        >>> from torchq.quantizers import make
        >>> table_of("tanh", make("fixed(10,4)"), make("fixed(8,1)"), 64)[0].entries
        1024
    """
    if address is None or values is None:
        return ()
    return (TableSpec(name, 1 << int(address.format.width), int(values.format.width), reads),)


def samples(shape: Sequence[int], axes: int) -> int:
    """How many groups there are if the last ``axes`` axes are one group.

    Example:
        >>> samples((2, 3, 4), 1)
        6
    """
    return prod(tuple(shape)[: len(shape) - axes])
