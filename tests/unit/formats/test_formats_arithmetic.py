"""The formats of products and sums hold what they say, by enumerating all codes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchq.errors import FormatError
from torchq.formats import (
    Binary,
    FixedPoint,
    Float,
    Overflow,
    PowerOfTwo,
    Ternary,
    accumulated,
    product,
    summed,
)
from torchq.formats.arithmetic import widest

small = st.builds(
    FixedPoint,
    st.integers(1, 5),
    st.integers(-3, 6),
    st.booleans(),
    overflow=st.sampled_from([Overflow.SAT, Overflow.SAT_SYM]),
)


def all_values(f: FixedPoint) -> np.ndarray:
    return np.arange(f.code_min, f.code_max + 1) * f.lsb


@given(small, small)
def test_a_product_holds_all_but_that_of_the_two_most_negative(a: FixedPoint, b: FixedPoint) -> None:
    p = product(a, b)
    for x, y in itertools.product(all_values(a), all_values(b)):
        full = a.signed and b.signed and a.overflow == b.overflow == Overflow.SAT
        left_out = full and x == a.lo and y == b.lo
        assert p.holds([x * y]).item() == (not left_out)
    assert p.lsb == a.lsb * b.lsb  # and not a bit is lost or wasted below


@given(small, small)
def test_a_sum_holds_every_sum(a: FixedPoint, b: FixedPoint) -> None:
    s = summed(a, b)
    for x, y in itertools.product(all_values(a), all_values(b)):
        assert s.holds([x + y]).item()
    assert s == summed(b, a)


@given(small, st.integers(1, 300))
def test_an_accumulator_holds_every_sum_of_its_terms(f: FixedPoint, terms: int) -> None:
    total = accumulated(f, terms)
    assert total.holds([terms * f.lo, terms * f.hi, (terms - 1) * f.hi + f.lo]).all()
    if f.signed and f.overflow is Overflow.SAT:  # not one bit too many
        less = FixedPoint(int(total.width) - 1, int(total.integer) - 1)
        assert not less.holds([terms * f.lo]).any()


@given(small, small, st.integers(1, 64), small)
def test_a_dot_product_with_a_bias_always_fits(
    a: FixedPoint, b: FixedPoint, terms: int, bias: FixedPoint
) -> None:
    total = summed(accumulated(product(a, b), terms), bias)
    corners = [x * y for x in (a.lo, a.hi) for y in (b.lo, b.hi)]
    assert total.holds([terms * max(corners) + bias.hi, terms * min(corners) + bias.lo]).all()


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(-3, 6), st.booleans()), min_size=1, max_size=5))
def test_the_widest_holds_every_element(elements: list[tuple[int, int, bool]]) -> None:
    width, integer, signed = (np.array(v) for v in zip(*elements, strict=True))
    top = widest(FixedPoint(width, integer, signed))
    assert top.is_scalar
    for w, i, s in elements:
        f = FixedPoint(w, i, s)
        assert top.width == 0 or top.holds(all_values(f)).all() or w == 0
    assert top.width == 0 or (width > 0).any()


def test_one_format_is_its_own_widest() -> None:
    f = FixedPoint(6, 1)
    assert widest(f) is f


@pytest.mark.parametrize("exponent", [-3, 0, 5])
def test_other_formats_as_fixed_point(exponent: int) -> None:
    scale = 2.0**exponent
    assert Ternary(scale).as_fixed().holds([-scale, 0, scale]).all()
    assert Binary(scale).as_fixed().holds([-scale, scale]).all()
    assert Binary(scale, use_01=True).as_fixed().holds([0, scale]).all()
    assert not Binary(scale, use_01=True).signed
    assert (Ternary(scale).width, Binary(scale).width) == (2, 1)


@given(st.integers(-9, 3), st.integers(0, 9), st.booleans())
def test_powers_of_two_as_fixed_point(low: int, count: int, signed: bool) -> None:
    f = PowerOfTwo(5, low, low + count, signed)
    held = [2.0**e for e in range(low, low + count + 1)]
    grid = f.as_fixed()
    assert grid.holds(held).all()
    assert grid.holds([-v for v in held]).all() == signed
    assert grid.lsb == held[0]
    assert not grid.holds([2 * held[-1]]).any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Ternary(0.3).as_fixed(),
            "ternary with scale 0.3 stands on no fixed-point grid; "
            "give a scale that is a power of two (alpha=1, or alpha='auto_po2')",
        ),
        (
            lambda: Binary(-1.0).as_fixed(),
            "binary with scale -1 stands on no fixed-point grid; "
            "give a scale that is a power of two (alpha=1, or alpha='auto_po2')",
        ),
        (lambda: Float(32).as_fixed(), "float32 stands on no fixed-point grid; put a quantizer on it"),
        (lambda: Float(8), "a float has 16, 32 or 64 bits, got 8"),
        (lambda: PowerOfTwo(4, 3, 2), "exponent_min must be at most exponent_max, got 3 > 2"),
    ],
)
def test_what_is_no_format(make: object, message: str) -> None:
    with pytest.raises(FormatError) as caught:
        make()  # type: ignore[operator]
    assert str(caught.value) == message


def test_texts() -> None:
    shown = [Ternary(0.5), Binary(), Binary(2.0, use_01=True), PowerOfTwo(4, -4, 3), Float(16)]
    assert [str(f) for f in shown] == [
        "ternary<0.5>",
        "binary<-1,1>",
        "binary<0,2>",
        "po2<4,-4..3>",
        "float16",
    ]
