"""The seven modes of rounding against exact fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from torchq.formats import Rounding, round_to_integer

HALF = Fraction(1, 2)


def exactly(x: Fraction, mode: Rounding) -> int:
    """The definition of ``ap_fixed``, on fractions."""
    low = math.floor(x)
    rest = x - low
    if mode is Rounding.TRN:
        return low
    if mode is Rounding.TRN_ZERO:
        return math.trunc(x)
    if rest != HALF:
        return low + (rest > HALF)
    ties = {
        Rounding.RND: low + 1,
        Rounding.RND_MIN_INF: low,
        Rounding.RND_ZERO: low if x > 0 else low + 1,
        Rounding.RND_INF: low + 1 if x > 0 else low,
        Rounding.RND_CONV: low + low % 2,
    }
    return ties[mode]


@pytest.mark.parametrize("mode", Rounding)
@given(
    st.one_of(
        st.floats(allow_nan=False, allow_infinity=False),
        st.integers(-(2**52), 2**52).map(lambda n: n / 2),
        st.integers(-9, 9).flatmap(
            lambda n: st.sampled_from([math.nextafter(n / 2, math.inf), math.nextafter(n / 2, -math.inf)])
        ),
    )
)
@example(-0.49999999999999994)
@example(0.49999999999999994)
@example(-5e-324)
@example(2.0**52 + 1)
def test_rounding_is_exact(mode: Rounding, x: float) -> None:
    rounded = round_to_integer(torch.tensor([x], dtype=torch.float64), mode).item()
    assert rounded == exactly(Fraction(x), mode)


@pytest.mark.parametrize("mode", Rounding)
@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
@example(float(np.nextafter(np.float32(-0.5), np.float32(0))))
def test_rounding_is_exact_in_float32(mode: Rounding, x: float) -> None:
    rounded = round_to_integer(torch.tensor([x], dtype=torch.float32), mode).item()
    assert rounded == exactly(Fraction(x), mode)


@pytest.mark.parametrize("mode", Rounding)
def test_what_is_no_number_stays(mode: Rounding) -> None:
    y = round_to_integer(torch.tensor([math.inf, -math.inf, math.nan]), mode)
    assert y[:2].tolist() == [math.inf, -math.inf]
    assert y[2].isnan()


def test_names_are_those_of_hls() -> None:
    assert [mode.value for mode in Rounding] == [
        "TRN",
        "TRN_ZERO",
        "RND",
        "RND_ZERO",
        "RND_MIN_INF",
        "RND_INF",
        "RND_CONV",
    ]
