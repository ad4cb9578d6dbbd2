"""The formats of products and sums on the way, as their layers' workloads state them."""

from __future__ import annotations

from torchq.formats import FixedPoint, Format
from torchq.nn.operations import added, times, totalled
from torchq.nn.types import fixed


def product_type(a: Format | None, b: Format | None) -> FixedPoint | None:
    """Of ``a * b``, the two most negative values included.

    Example:
        >>> str(product_type(FixedPoint(8, 3), FixedPoint(4, 1)))
        'ap_fixed<12,4,TRN,WRAP>'
    """
    return fixed(times(1, a, b).result)


def sum_type(*terms: Format | None) -> FixedPoint | None:
    """Of a sum, or difference, of two or more values."""
    return fixed(added(1, *terms).result)


def total_type(term: Format | None, terms: int) -> FixedPoint | None:
    """Of the sum of so many values of one format."""
    return fixed(totalled(1, terms, term).result)
