"""``FixedPoint`` against exact fractions: values, ends, text, conventions."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from test_formats_rounding import exactly

from torchq.errors import FormatError
from torchq.formats import FixedPoint, Overflow, Rounding

fixed_points = st.builds(
    FixedPoint,
    st.integers(1, 30),
    st.integers(-8, 20),
    st.booleans(),
    st.sampled_from(Rounding),
    st.sampled_from(Overflow),
)


def value(x: float, f: FixedPoint) -> Fraction:
    """What ``ap_fixed`` makes of a number, on fractions."""
    lsb = Fraction(2) ** (f.integer - f.width)  # type: ignore[operator]
    low = -(2 ** (f.width - 1)) if f.signed else 0  # type: ignore[operator]
    high = 2 ** (f.width - int(bool(f.signed))) - 1  # type: ignore[operator]
    code = exactly(Fraction(x) / lsb, f.rounding)
    if f.overflow is Overflow.WRAP:
        code = (code - low) % (2**f.width) + low  # type: ignore[operator]
    else:
        if f.overflow is Overflow.SAT_SYM and f.signed:
            low += 1
        code = min(max(code, low), high)
    return code * lsb


@given(fixed_points, st.floats(-(2.0**24), 2.0**24))
@example(FixedPoint(21, -8, True, Rounding.TRN, Overflow.WRAP), 16777215.999999998)
@example(FixedPoint(4, 6, True, Rounding.TRN, Overflow.SAT), -5e-324)
def test_quantizing_is_exact(f: FixedPoint, x: float) -> None:
    q = f.quantize(np.array([x]))
    assert Fraction(q.item()) == value(x, f)
    assert f.holds(q).all()
    assert np.array_equal(f.quantize(q), q)
    assert not np.signbit(q[q == 0]).any()


@given(fixed_points, st.lists(st.integers(-(2**30), 2**30), min_size=1, max_size=8))
def test_ties_and_edges_are_exact(f: FixedPoint, halves: list[int]) -> None:
    lsb = 2.0 ** (f.integer - f.width - 1)  # type: ignore[operator]
    for x in np.array([f.lo, f.hi, f.lo - lsb, f.hi + lsb, *(lsb * h for h in halves)]):
        assert Fraction(f.quantize([x]).item()) == value(float(x), f)


@given(fixed_points, st.floats(-1e6, 1e6))
@example(FixedPoint(1, 2, False), 5e-324)
def test_holds_is_the_set_of_values(f: FixedPoint, x: float) -> None:
    code = Fraction(x) / Fraction(f.lsb)
    assert f.holds([x]).item() == (code.denominator == 1 and f.code_min <= code <= f.code_max)


def test_what_no_format_holds() -> None:
    f = FixedPoint(6, 1)
    assert f.holds([np.inf, -np.inf, np.nan, 0.5]).tolist() == [False, False, False, True]
    assert f.quantize([np.inf, -np.inf]).tolist() == [0.96875, -1.0]
    assert np.isnan(f.quantize([np.nan])).all()


@given(fixed_points)
def test_text_reads_back(f: FixedPoint) -> None:
    assert FixedPoint.parse(str(f)) == f
    assert hash(FixedPoint.parse(str(f))) == hash(f)
    assert FixedPoint.parse(str(f).replace(f.rounding, f"AP_{f.rounding}")) == f


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ap_fixed<8>", "'ap_fixed<8>' is no number format; write ap_fixed<W,I,RND_CONV,SAT>"),
        ("fixed<8,3>", "'fixed<8,3>' is no number format; write ap_fixed<W,I,RND_CONV,SAT>"),
        ("ap_fixed<8,3> x", "'ap_fixed<8,3> x' is no number format; write ap_fixed<W,I,RND_CONV,SAT>"),
        (
            "ap_fixed<8,3,UP,SAT>",
            "'ap_fixed<8,3,UP,SAT>': 'UP' is not a valid Rounding; Known: TRN, TRN_ZERO, RND, RND_ZERO, "
            "RND_MIN_INF, RND_INF, RND_CONV, WRAP, SAT, SAT_SYM",
        ),
    ],
)
def test_texts_that_are_none(text: str, message: str) -> None:
    with pytest.raises(FormatError) as caught:
        FixedPoint.parse(text)
    assert str(caught.value) == message


def test_left_out_words_are_those_of_hls() -> None:
    assert FixedPoint.parse("ap_fixed<8,3>") == FixedPoint(8, 3, True, Rounding.TRN, Overflow.WRAP)
    assert FixedPoint.parse(" ap_ufixed< 8 , -3 , RND > ") == FixedPoint(
        8, -3, False, Rounding.RND, Overflow.WRAP
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1, 0), "width must be at least 0, got -1"),
        ((2.5, 0), "width must be a whole number, got 2.5"),
        (
            (np.array([1, 2]), np.array([1, 2, 3])),
            "width (2,), integer (3,) and signed () must broadcast against each other",
        ),
    ],
)
def test_formats_that_cannot_be(arguments: tuple[Any, Any], message: str) -> None:
    with pytest.raises(FormatError) as caught:
        FixedPoint(*arguments)
    assert str(caught.value) == message


@given(st.integers(1, 20), st.integers(-5, 9), st.booleans(), st.booleans())
def test_the_conventions_of_qkeras_and_hgq(bits: int, integer: int, signed: bool, symmetric: bool) -> None:
    f = FixedPoint.from_qkeras(bits, integer, keep_negative=signed, symmetric=symmetric)
    assert (f.width, f.integer, f.signed) == (bits, integer + signed, signed)
    assert f.hi == 2.0**integer - f.lsb or bits == 1
    assert (f.overflow is Overflow.SAT_SYM) == (symmetric and signed)
    fraction = bits - signed - integer
    assert FixedPoint.from_kif(signed, integer, fraction) == FixedPoint(bits, integer + signed, signed)
    assert FixedPoint.from_kif(signed, -3, 1).width == 0


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(-3, 6), st.booleans()), min_size=1, max_size=6))
def test_formats_by_channel_are_each_channel(channels: list[tuple[int, int, bool]]) -> None:
    width, integer, signed = (np.array(v) for v in zip(*channels, strict=True))
    f = FixedPoint(width, integer, signed)
    assert f.shape == (len(channels),)
    assert not f.is_scalar
    x = np.linspace(-70, 70, 101)[:, None] * np.ones(len(channels))
    q = f.quantize(x)
    assert f.holds(q).all()
    for channel, (w, i, s) in enumerate(channels):
        assert np.array_equal(q[:, channel], FixedPoint(w, i, s).quantize(x[:, channel]))
        if w == 0:
            assert (q[:, channel] == 0).all()
    assert f == FixedPoint(width.copy(), integer, signed)
    assert hash(f) == hash(FixedPoint(width.copy(), integer, signed))
    assert f != FixedPoint(width + 1, integer, signed)


def test_a_format_cannot_be_changed() -> None:
    f = FixedPoint(np.array([4, 6]), 1)
    with pytest.raises(ValueError, match="read-only"):
        f.width[0] = 3  # type: ignore[index]
    assert str(f) == "ap_fixed<4..6,1,RND_CONV,SAT>"


@pytest.mark.parametrize(("dtype", "digits"), [(torch.float32, 24), (torch.bfloat16, 8), (torch.float64, 53)])
def test_ends_that_a_float_cannot_hold_are_moved_inside(dtype: torch.dtype, digits: int) -> None:
    f = FixedPoint(60, 60)
    top = f.quantize_tensor(torch.tensor([1e30, -1e30], dtype=dtype)).double()
    assert top[0].item() == 2.0**59 - 2.0 ** (59 - digits)
    assert top[1].item() == -(2.0**59)
    assert f.hi == 2.0**59 - 2.0**6
    assert f.as_fixed() is f
