"""Rounding and overflow as logic: every code of random formats, against the formats' own arithmetic."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rtl_tools import needs_alkaid

from hls_export.rtl import alkaid, quantizer
from hls_export.rtl.quantizer import Grid, quantized
from torchq.errors import BackendError
from torchq.formats import FixedPoint, Overflow, Rounding

MODES = list(itertools.product(Rounding, Overflow))


def logic_of(values: np.ndarray, step: float, grid: Grid) -> np.ndarray:
    """What the logic makes of every value from the first to the last."""
    (x,) = alkaid.variables([alkaid.Range(float(values[0]), float(values[-1]), step)])
    y = quantized(alkaid.plain(x), grid)
    if isinstance(y, float):
        return np.full(len(values), y)
    return alkaid.run(alkaid.program([x], [y]), values[:, None]).ravel()


def formats(draw, low: int) -> FixedPoint:
    rounding, overflow = draw(st.sampled_from(MODES))
    signed = draw(st.booleans())
    width = draw(st.integers(low, 9))
    return FixedPoint(width, draw(st.integers(-8, 8)), signed, rounding, overflow)


@needs_alkaid
@given(st.data())
@settings(max_examples=300)
def test_every_value_of_a_range(data):
    source = formats(data.draw, 1)
    target = formats(data.draw, 0)
    low, high = int(source.code_min), int(source.code_max)
    a, b = sorted(data.draw(st.tuples(st.integers(low, high), st.integers(low, high))))
    if data.draw(st.booleans()):
        a, b = low, high
    if a == b:
        return
    values = np.arange(a, b + 1) * source.lsb
    grid = Grid(
        int(target.width), int(target.fraction), bool(target.signed), target.rounding, target.overflow
    )
    np.testing.assert_array_equal(logic_of(values, source.lsb, grid), target.quantize(values))


@needs_alkaid
@pytest.mark.parametrize(("rounding", "overflow"), MODES)
def test_each_mode_behind_a_product(rounding, overflow):
    weights = np.array([[3.0, -1.25, 0.5], [-2.0, 1.0, -8.0]])
    codes = np.arange(-8, 8) * 0.25
    samples = np.array(list(itertools.product(codes, codes)))
    x = alkaid.variables([alkaid.Range(-2.0, 1.75, 0.25)] * 2)
    sums = [alkaid.plus(v, 0.125) for v in alkaid.product(x, weights)]
    target = FixedPoint(5, 3, True, rounding, overflow)
    made = [quantized(v, Grid(5, 2, True, rounding, overflow)) for v in sums]
    got = alkaid.run(alkaid.program(x, made), samples)
    np.testing.assert_array_equal(got, target.quantize(samples @ weights + 0.125))


@needs_alkaid
@pytest.mark.parametrize("rounding", [Rounding.RND, Rounding.RND_CONV])
def test_without_the_addition_of_half_a_step(rounding, monkeypatch):
    """Where the bias and half a step are more than alkaid adds in one go, bits decide."""

    def too_wide(*_, **__):
        raise BackendError("too wide")

    monkeypatch.setattr(quantizer, "_half_up", too_wide)
    values = np.arange(-40, 41) * 0.125
    for overflow in Overflow:
        grid = Grid(4, 1, True, rounding, overflow)
        target = FixedPoint(4, 3, True, rounding, overflow)
        np.testing.assert_array_equal(logic_of(values, 0.125, grid), target.quantize(values))


@pytest.mark.parametrize(("rounding", "overflow"), MODES)
def test_constants_need_no_logic(rounding, overflow):
    target = FixedPoint(3, 2, True, rounding, overflow)
    for value in np.arange(-20, 21) * 0.125:
        assert quantized(float(value), Grid(3, 1, True, rounding, overflow)) == float(target.quantize(value))


@needs_alkaid
@given(
    st.integers(-(2**29), 2**29),
    st.integers(-(2**23), 2**23),
    st.integers(-4, 6),
    st.sampled_from([1, -1, 4]),
)
@settings(max_examples=200)
def test_two_constants_in_a_row_are_added_exactly_or_refused(code, first, fraction, factor):
    """To a variable with a factor, on grids of their own: alkaid merges them, and would drop bits."""
    (x,) = alkaid.variables([alkaid.Range(-32.0, 31.0, 1.0)])
    values = np.arange(-32.0, 32.0)
    a, b = first * 2.0**-6, code * 2.0 ** -(6 + fraction)
    try:
        made = alkaid.plus(alkaid.plus(x * factor, a), b)
    except BackendError:
        assert np.abs(np.array([a, a + b])).max() * 2.0 ** (6 + max(fraction, 0)) > 2**23
        return
    got = alkaid.run(alkaid.program([x], [made]), values[:, None]).ravel()
    np.testing.assert_array_equal(got, values * factor + a + b)


@needs_alkaid
def test_constants_that_alkaid_would_cut_are_refused():
    x = alkaid.variables([alkaid.Range(0.0, 3.0, 1.0)])
    assert alkaid.plus(x[0], 1 + 2.0**-20).low == 1 + 2.0**-20
    with pytest.raises(BackendError, match="more bits than alkaid adds exactly"):
        alkaid.plus(x[0], 1 + 2.0**-40)


@needs_alkaid
def test_weights_that_alkaid_would_round_are_refused():
    x = alkaid.variables([alkaid.Range(0.0, 3.0, 1.0)])
    with pytest.raises(BackendError, match="more than the 24 bits"):
        alkaid.product(x, np.array([[1 + 2.0**-30]]))


@needs_alkaid
def test_constant_inputs_of_a_product_become_its_bias():
    (x,) = alkaid.variables([alkaid.Range(0.0, 3.0, 1.0)])
    made = alkaid.product([x, 2.0, 0.0], np.array([[1.0, 0.0], [4.0, 4.0], [9.0, 9.0]]))
    assert made[1] == 8.0
    assert (made[0].low, made[0].high) == (8.0, 11.0)


@needs_alkaid
@pytest.mark.parametrize("factor", [1.0, -1.0, 0.5, -4.0])
@pytest.mark.parametrize("high", [1.0, 7.0])
def test_tables_are_read_in_the_order_of_values(factor, high):
    (x,) = alkaid.variables([alkaid.Range(0.0, high, 1.0)])
    codes = np.arange(high + 1)
    values = np.sort(codes * factor)
    entries = np.arange(len(values)) ** 2 - 3.5
    made = alkaid.looked_up(alkaid.plain(x * factor), entries, "t")
    got = alkaid.run(alkaid.program([x], [made]), codes[:, None]).ravel()
    np.testing.assert_array_equal(got, entries[np.searchsorted(values, codes * factor)])


@needs_alkaid
def test_tables_wider_than_alkaid_takes_are_refused():
    (x,) = alkaid.variables([alkaid.Range(0.0, 3.0, 1.0)])
    with pytest.raises(BackendError, match="rtl: act has table values of more than 24 bits"):
        alkaid.looked_up(x, np.array([0.0, 1.0, 2.0, 1 + 2.0**-40]), "act")
