"""``QSoftmax`` against integer arithmetic, written without torch."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from torchq.errors import GraphError, QuantizerError
from torchq.graph import trace
from torchq.nn import QInput, QSoftmax
from torchq.nn.softmax import sum_quantizer_for


def rounded(value: Fraction) -> int:
    """To the nearest whole number, ties to even."""
    return round(value)


def integer_softmax(
    x: list[float],
    in_bits: tuple[int, int],
    exp_fraction: int,
    inverse: tuple[int, int],
    out: tuple[int, int],
) -> list[int]:
    """Codes of the result. Formats are (width, fraction)."""
    width, fraction = in_bits
    top = 2 ** (width - 1)
    codes = [max(-top, min(top - 1, rounded(Fraction(v) * 2**fraction))) for v in x]
    exps = [rounded(Fraction(math.exp(-(max(codes) - c) / 2**fraction)) * 2**exp_fraction) for c in codes]
    total = sum(exps)
    integer = len(x).bit_length()
    address_fraction = min(exp_fraction, 12 - integer)
    address = rounded(total / Fraction(2) ** (exp_fraction - address_fraction))
    address = min(address, 2 ** (integer + address_fraction) - 1)
    r = min(2 ** inverse[0] - 1, rounded(Fraction(2**address_fraction, address) * 2 ** inverse[1]))
    shift = exp_fraction + inverse[1] - out[1]
    return [min(2 ** out[0] - 1, rounded(e * r / Fraction(2) ** shift)) for e in exps]


@pytest.mark.parametrize("count", [1, 2, 3, 5, 16, 40, 100])
def test_it_is_integer_arithmetic(count: int) -> None:
    torch.manual_seed(count)
    layer = QSoftmax(output_quantizer="quantized_relu(8,0)")
    x = torch.randn(40, count, dtype=torch.float64) * 4
    y = layer(x) * 2**8
    for row, codes in zip(x, y, strict=True):
        assert integer_softmax(row.tolist(), (10, 6), 9, (12, 11), (8, 8)) == codes.tolist()


@settings(deadline=None)
@given(
    st.lists(st.floats(-20, 20), min_size=1, max_size=9),
    st.integers(3, 11),
    st.integers(4, 12),
    st.integers(4, 12),
    st.integers(3, 12),
)
def test_it_is_integer_arithmetic_in_other_formats(
    x: list[float], width: int, exp_bits: int, inverse_bits: int, out_bits: int
) -> None:
    layer = QSoftmax(
        output_quantizer=f"quantized_relu({out_bits},0)",
        input_quantizer=f"fixed({width},3)",
        exp_quantizer=f"fixed({exp_bits},1,signed=False)",
        inverse_quantizer=f"fixed({inverse_bits},1,signed=False)",
    )
    y = layer(torch.tensor(x, dtype=torch.float64)) * 2**out_bits
    expected = integer_softmax(
        x, (width, width - 3), exp_bits - 1, (inverse_bits, inverse_bits - 1), (out_bits, out_bits)
    )
    assert y.tolist() == expected
    y32 = layer(torch.tensor(x, dtype=torch.float64).float()) * 2**out_bits
    assert torch.equal(
        y32.double(), layer(torch.tensor(x, dtype=torch.float64).float().double()) * 2**out_bits
    )


@settings(deadline=None)
@given(st.lists(st.floats(-30, 30), min_size=2, max_size=12))
def test_it_keeps_the_order(x: list[float]) -> None:
    y = QSoftmax(output_quantizer="quantized_relu(8,0)")(torch.tensor(x, dtype=torch.float64))
    order = sorted(range(len(x)), key=x.__getitem__)
    assert all(y[a] <= y[b] for a, b in pairwise(order))
    assert y[order[-1]] == y.max()


def test_it_is_near_the_float_softmax() -> None:
    x = torch.randn(200, 10) * 2
    y = QSoftmax(output_quantizer="quantized_relu(10,0)")(x)
    assert (y - torch.softmax(x, -1)).abs().max() < 0.01
    assert (y.sum(-1) - 1).abs().max() < 0.02


def test_without_quantizers_it_is_softmax_and_its_gradient_is_that_of_softmax() -> None:
    none = dict.fromkeys(("input_quantizer", "exp_quantizer", "inverse_quantizer"))
    x = torch.randn(4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.equal(QSoftmax(**none)(x), torch.softmax(x, -1))  # type: ignore[arg-type]
    weights = torch.randn(4, 5, dtype=torch.float64)
    (QSoftmax(output_quantizer="quantized_bits(9,0,alpha=1)")(x) * weights).sum().backward()
    z = (x.detach() * 64).round().div(64).requires_grad_()
    (torch.softmax(z, -1) * weights).sum().backward()
    assert x.grad is not None
    assert z.grad is not None
    assert torch.allclose(x.grad, z.grad)


def test_along_another_axis() -> None:
    layer = QSoftmax(1, output_quantizer="quantized_relu(8,0)")
    last = QSoftmax(output_quantizer="quantized_relu(8,0)")
    x = torch.randn(3, 4, 5)
    assert torch.equal(layer(x), last(x.transpose(1, 2)).transpose(1, 2))


def test_its_tables_are_what_it_reads() -> None:
    exp, inverse = QSoftmax(output_quantizer="quantized_relu(8)").tables(5)
    assert (len(exp.values), len(inverse.values)) == (1024, 4096)
    assert exp.values[0] == 1.0
    assert inverse.values[round(1 / inverse.input.lsb)] == 1.0
    assert str(inverse.input) == "ap_ufixed<12,3,RND_CONV,SAT>"


def test_the_sum_is_exact_where_it_fits() -> None:
    exp = QSoftmax().exp_quantizer
    assert exp is not None
    for count in (1, 2, 3, 7):
        grid = sum_quantizer_for(exp.format.as_fixed(), count).format
        assert grid.fraction == 9
        assert grid.hi >= count


def test_errors() -> None:
    with pytest.raises(QuantizerError) as caught:
        QSoftmax(exp_quantizer="quantized_relu(8)")
    assert str(caught.value) == (
        "QSoftmax: exp_quantizer quantized_relu(8,0) makes 0.996094 of 1, and the largest exponential is 1; "
        "give it a bit before the point: 'fixed(10,1,signed=False)'"
    )
    with pytest.raises(QuantizerError, match="QSoftmax: sum_quantizer fixed\\(14,4\\) makes 14 bits"):
        QSoftmax(sum_quantizer="fixed(14,4)")
    with pytest.raises(QuantizerError) as caught:
        QSoftmax().tables(3)
    assert str(caught.value) == "QSoftmax: its tables need an output_quantizer; give it an output_quantizer"
    model = nn.Sequential(QInput("fixed(8,3)"), QSoftmax(0, output_quantizer="quantized_relu(8)"))
    with pytest.raises(GraphError) as failed:
        trace(model, (4,))
    assert "1 needs samples that have the axis dim=0, got samples of shape (4,)" in str(failed.value)


def test_a_missing_slot_is_named() -> None:
    model = nn.Sequential(QInput("fixed(8,3)"), QSoftmax(inverse_quantizer=None))
    with pytest.raises(GraphError) as failed:
        trace(model, (4,))
    assert str(failed.value).splitlines() == [
        "the output of 1 has no quantizer; give it a output_quantizer",
        "the inverse of 1 has no quantizer; give it a inverse_quantizer",
    ]
