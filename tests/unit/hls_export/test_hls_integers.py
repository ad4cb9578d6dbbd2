"""Integer arithmetic of any size against the rounding on floats, which shares no code with it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hls_export.integers import code_range, objects, quantize, rescale, to_codes, to_values
from torchq.formats import FixedPoint, Overflow, Rounding

codes = st.lists(st.integers(-(2**20), 2**20), min_size=1, max_size=20)


@given(codes=codes, fraction=st.integers(-4, 12), to=st.integers(-6, 12), mode=st.sampled_from(Rounding))
def test_rescale_rounds_as_the_floats_do(codes, fraction, to, mode):
    exact = np.array(codes, dtype=np.float64) * 2.0**-fraction
    wide = FixedPoint(40, 40 - to, rounding=mode)
    got = rescale(objects(codes, (len(codes),)), fraction, to, mode)
    assert to_values(got, to).tolist() == wide.quantize(exact).tolist()


@given(
    codes=codes,
    width=st.integers(1, 12),
    integer=st.integers(-3, 12),
    signed=st.booleans(),
    mode=st.sampled_from(Rounding),
    overflow=st.sampled_from(Overflow),
)
def test_quantize_is_the_format(codes, width, integer, signed, mode, overflow):
    grid = FixedPoint(width, integer, signed, mode, overflow)
    values = np.array(codes, dtype=np.float64) / 64
    got, fraction = quantize(objects(codes, (len(codes),)), 6, grid)
    assert to_values(got, fraction).tolist() == grid.quantize(values).tolist()


def test_a_format_that_differs_by_channel():
    grid = FixedPoint(np.array([2, 4, 0]), np.array([1, 3, 0]), np.array([True, False, True]))
    x = np.array([[0.3, 0.3, 0.3], [9.0, 9.0, 9.0], [-9.0, -9.0, -9.0]])
    got, fraction = quantize(to_codes(x, 60), 60, grid)
    assert to_values(got, fraction).tolist() == grid.quantize(x).tolist()


def test_wider_than_any_float():
    grid = FixedPoint(100, 60, rounding=Rounding.RND_CONV)
    odd = (1 << 80) + 1
    got, fraction = quantize(objects([odd, -odd], (2,)), 41, grid)
    assert (got.tolist(), fraction) == ([1 << 79, -(1 << 79)], 40)


def test_codes_of_values_off_the_grid_are_an_error():
    with pytest.raises(ValueError, match="does not stand on the grid"):
        to_codes(np.array([0.3]), 4)


@pytest.mark.parametrize(
    ("width", "signed", "overflow", "expected"),
    [
        (1, True, Overflow.SAT, (-1, 0)),
        (1, False, Overflow.SAT, (0, 1)),
        (0, True, Overflow.SAT, (0, 0)),
        (8, False, Overflow.SAT_SYM, (0, 255)),
    ],
)
def test_code_ranges(width, signed, overflow, expected):
    grid = FixedPoint(width, 3, signed, overflow=overflow)
    assert code_range(width, signed, overflow) == expected == (grid.code_min, grid.code_max)
