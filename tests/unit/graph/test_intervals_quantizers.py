"""What quantizers make of a range, against what they make of every code in it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from torchq.formats import FixedPoint, Rounding
from torchq.graph.intervals import Interval
from torchq.graph.intervals.interval import full
from torchq.graph.intervals.quantizers import has_grid, is_monotone, quantized
from torchq.quantizers import QUANTIZERS, Quantizer, fixed, parse, quantized_bits

EVERY = [
    pytest.param(q.eval(), id=f"{name}-{i}")
    for name, cls in QUANTIZERS.items()
    for i, q in enumerate(cls.examples())
]


def ranges(seed: int, count: int, fraction: int, span: int) -> Interval:
    generator = np.random.default_rng(abs(seed))
    ends = np.sort(generator.integers(-span, span, (2, count)), axis=0)
    return Interval(ends[0], ends[1], fraction)


def made_of(quantizer: Quantizer, x: Interval) -> list[np.ndarray]:
    """What comes out for every code of each element's range (the elements are three, in a batch of one)."""
    results = []
    for n, (low, high) in enumerate(zip(x.low.tolist(), x.high.tolist(), strict=True)):
        batch = np.zeros((high - low + 1, len(x.low)))
        batch[:, n] = np.arange(low, high + 1) * 2.0**-x.fraction
        with torch.no_grad():
            results.append(quantizer(torch.from_numpy(batch)).numpy()[:, n])
    return results


@pytest.mark.parametrize("quantizer", EVERY)
@pytest.mark.parametrize(("fraction", "span"), [(4, 40), (6, 700), (-1, 30)])
def test_every_quantizer_stays_in_its_range_and_monotone_ones_reach_it(
    quantizer: Quantizer, fraction: int, span: int
) -> None:
    x = ranges(fraction, 3, fraction, span)
    y = quantized(x, quantizer, (3,))
    if not has_grid(quantizer):
        assert y is None
        return
    assert y is not None
    for n, values in enumerate(made_of(quantizer, x)):
        low, high = (float(end.ravel()[n]) for end in y.ends())
        steps = values * 2.0**y.fraction
        assert np.array_equal(steps, np.rint(steps))
        assert low <= values.min()
        assert values.max() <= high
        wraps = "WRAP" in str(quantizer)  # one value beyond the range, and all of it is taken
        if (is_monotone(quantizer) and not wraps) or quantizer.name == "quantized_hswish":
            assert (low, high) == (values.min(), values.max())


def test_most_quantizers_are_known_to_be_monotone() -> None:
    examples = [q for _, cls in QUANTIZERS.items() for q in cls.examples()]
    names = {q.name for q in examples if is_monotone(q)}
    assert {"fixed", "quantized_bits", "quantized_relu", "quantized_po2", "ternary", "binary"} <= names
    assert "quantized_hswish" not in names


@given(st.integers(0, 10**6), st.sampled_from(list(Rounding)), st.integers(-3, 6))
def test_wrapping_is_seen_exactly_where_it_happens(seed: int, rounding: Rounding, fraction: int) -> None:
    quantizer = fixed(5, 3, rounding=rounding.value, overflow="WRAP")
    x = ranges(seed, 1, fraction, 2 ** (fraction + 3))
    y = quantized(x, quantizer, (1,))
    assert y is not None
    (values,) = made_of(quantizer, x)
    free = fixed(40, 38, rounding=rounding.value)
    (unwrapped,) = made_of(free, x)
    ends = (float(y.ends()[0][0]), float(y.ends()[1][0]))
    if np.array_equal(values, unwrapped):
        assert ends == (values.min(), values.max())
    else:
        assert ends == (-4.0, 3.75)


def test_without_a_range_the_format_counts() -> None:
    y = quantized(None, parse("fixed(4,2,overflow='SAT_SYM')"), (2,))
    assert y is not None
    assert (y.low.tolist(), y.high.tolist(), y.fraction) == ([-7, -7], [7, 7], 2)


def test_scales_that_follow_from_the_data_have_no_range() -> None:
    assert quantized(None, parse("quantized_bits(4,0,alpha='auto_po2')"), (2,)) is None
    assert quantized(None, parse("quantized_bits(4,0,alpha='auto')"), (2,)) is None
    kept = quantized_bits(4, 0, alpha="auto_po2", post_training_scale=2.0)
    assert has_grid(kept.eval())


def test_mixed_in_floats_have_no_range() -> None:
    quantizer = parse("quantized_bits(4,0,alpha=1)")
    quantizer.update_qnoise_factor(0.5)
    assert quantized(None, quantizer, (2,)) is None


def test_a_subclass_is_not_taken_for_monotone() -> None:
    class upside_down(quantized_bits):
        def quantize(self, x: torch.Tensor) -> torch.Tensor:
            return -super().quantize(x)

        def transform(self, x: torch.Tensor) -> torch.Tensor:
            return -super().transform(x)

    x = Interval(np.array([1]), np.array([2]), 3)
    y = quantized(x, upside_down(4, 0, symmetric=True).eval(), (1,))
    assert y is not None
    assert (y.low.tolist(), y.high.tolist()) == ([-7], [7])


def test_formats_per_element_have_ranges_of_their_own() -> None:
    grid = FixedPoint(np.array([4, 6, 0]), np.array([1, 2, 1]))
    x = Interval(np.array([-9, -9, -9]), np.array([9, 9, 9]), 1)
    y = quantized(x, fixed.of(grid), (3,))
    assert y is not None
    assert [end.tolist() for end in y.ends()] == [[-1.0, -2.0, 0.0], [0.875, 1.9375, 0.0]]


def test_values_wider_than_float64_are_rounded_outward() -> None:
    wide = Interval(np.array([2**70 + 1], dtype=object), np.array([2**71 + 1], dtype=object), 72)
    y = quantized(wide, parse("fixed(4,1,rounding='TRN')"), (1,))
    assert y is not None
    assert [end.tolist() for end in y.ends()] == [[0.25], [0.5]]


def test_powers_of_two_that_float64_does_not_hold_are_exact() -> None:
    y = full(parse("quantized_po2(9)").format, ())
    assert y is not None
    assert int(y.high) == 2 ** (127 + 128)
    assert int(y.low) == -(2 ** (127 + 128))
    assert y.format().width == 128 + 127 + 2
