"""Interval arithmetic against all pairs of values, in small and in large integers."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchq.formats import FixedPoint
from torchq.graph.intervals.codes import finest, magnitude_bits, of_list, outward, slim, to_codes
from torchq.graph.intervals.interval import (
    Interval,
    added,
    full,
    hull,
    joined,
    multiplied,
    narrowed,
    point,
    squared,
    stacked,
    subtracted,
    summed,
)

Pair = tuple[int, int]
pairs = st.tuples(st.integers(-9, 9), st.integers(0, 6)).map(lambda p: (p[0], p[0] + p[1]))
fractions = st.integers(-3, 70)


def single(pair: Pair, fraction: int) -> Interval:
    return Interval(of_list([pair[0]], (1,)), of_list([pair[1]], (1,)), fraction)


def ends(x: Interval, fraction: int) -> Pair:
    up = 2 ** (fraction - x.fraction)
    return int(x.low.item()) * up, int(x.high.item()) * up


@given(pairs, fractions, pairs, fractions)
def test_sums_differences_products_and_hulls(a: Pair, f: int, b: Pair, g: int) -> None:
    x, y = single(a, f), single(b, g)
    top = max(f, g)
    left, right = (range(p[0], p[1] + 1) for p in (a, b))
    scaled = [(v * 2 ** (top - f), w * 2 ** (top - g)) for v, w in itertools.product(left, right)]
    cases: list[tuple[Callable[[Interval, Interval], Interval], list[int]]] = [
        (added, [v + w for v, w in scaled]),
        (subtracted, [v - w for v, w in scaled]),
        (hull, [value for both in scaled for value in both]),
    ]
    for operation, values in cases:
        assert ends(operation(x, y), top) == (min(values), max(values))
    products = [v * w for v, w in itertools.product(left, right)]
    assert ends(multiplied(x, y), f + g) == (min(products), max(products))
    squares = [v * v for v in left]
    assert ends(squared(x), 2 * f) == (min(squares), max(squares))


@given(st.lists(pairs, min_size=1, max_size=5), fractions, st.sampled_from([0, 40, 60, 80]))
def test_sums_along_an_axis_are_exact_in_any_size(rows: list[Pair], fraction: int, up: int) -> None:
    low, high = ([p[i] << up for p in rows] for i in (0, 1))
    x = Interval(of_list(low, (len(rows), 1)), of_list(high, (len(rows), 1)), fraction)
    y = summed(x, (0,))
    assert (int(y.low.item()), int(y.high.item())) == (sum(low), sum(high))


@given(st.integers(-(2**200), 2**200), st.integers(0, 2**200), st.integers(-5, 200))
def test_the_format_holds_both_ends_and_no_bit_can_go(low: int, span: int, fraction: int) -> None:
    x = single((low, low + span), fraction)
    f = x.format()
    top = 1 << (int(f.width) - int(f.signed))
    least = -top if f.signed else 0
    assert least <= min(low, 0) <= max(low + span, 0) <= top - 1
    assert int(f.width) - int(f.integer) == fraction
    half = top // 2
    fits_less = (-half if f.signed else 0) <= min(low, 0) and max(low + span, 0) <= half - 1
    assert f.width == 1 or not fits_less
    assert f.signed == (low < 0)


@given(st.lists(st.integers(-(2**90), 2**90), min_size=1, max_size=4), st.integers(-20, 100))
def test_outward_is_never_inside(codes: list[int], fraction: int) -> None:
    array = of_list(codes, (len(codes),))
    for up in (False, True):
        for code, value in zip(codes, outward(array, fraction, up).tolist(), strict=True):
            numerator, denominator = float(value).as_integer_ratio()
            exact, near = code * denominator, numerator * 2**fraction if fraction >= 0 else numerator
            exact = exact if fraction >= 0 else exact * 2**-fraction
            assert near >= exact if up else near <= exact
            if abs(code).bit_length() <= 53:
                assert near == exact


@given(st.lists(st.floats(-1e6, 1e6, allow_nan=False), min_size=1, max_size=5))
def test_constants_are_taken_exactly(values: list[float]) -> None:
    x = point(values)
    assert x.low is x.high
    assert all(c == v * 2**x.fraction for c, v in zip(x.low.tolist(), map(_fraction, values), strict=True))
    assert x.contains([values])


def _fraction(value: float) -> object:
    from fractions import Fraction

    return Fraction(value)


def test_codes_are_int64_where_they_fit() -> None:
    assert slim(of_list([2**61], (1,))).dtype == np.int64
    assert slim(of_list([2**63], (1,))).dtype == object
    assert magnitude_bits(of_list([-(2**80)], (1,))) == 81
    big = single((2**40, 2**41), 0)
    assert multiplied(big, big).high.item() == 2**82


@pytest.mark.parametrize("value", [0.3, np.nan, np.inf])
def test_what_stands_on_no_grid_is_no_code(value: float) -> None:
    with pytest.raises(ValueError, match=r"grid|code"):
        to_codes(np.array([value]), 3)


def test_tiny_and_huge_numbers_have_codes() -> None:
    values = np.array([2.0**-1074, 2.0**1000])
    fraction = finest(values)
    assert fraction == 1074
    assert to_codes(values, fraction).tolist() == [1, 2**2074]


def test_joining_and_stacking_align_the_grids() -> None:
    x, y = single((1, 2), 1), single((-3, 3), 3)
    both = joined([x, y], 0)
    assert (both.low.tolist(), both.high.tolist(), both.fraction) == ([4, -3], [8, 3], 3)
    assert stacked([x, y]).shape == (2, 1)


def test_what_is_in_both_is_narrower() -> None:
    x = narrowed(single((-8, 8), 2), single((-1, 1), 0))
    assert (x.low.item(), x.high.item(), x.fraction) == (-4, 4, 2)


def test_pruned_elements_are_zero() -> None:
    x = full(FixedPoint(np.array([3, 0]), 1, signed=False), (2, 2))
    assert x is not None
    assert x.high.tolist() == [[7, 0], [7, 0]]
    assert x.low.tolist() == [[0, 0], [0, 0]]


def test_ranges_of_nothing() -> None:
    x = Interval(np.zeros((0,), np.int64), np.zeros((0,), np.int64), 3)
    assert str(x.format()) == "ap_ufixed<1,-2,TRN,WRAP>"
    assert x.over().low.item() == 0
    assert x.contains(np.zeros((5, 0)))
