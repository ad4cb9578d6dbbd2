"""Bits of parameters and activations."""

from __future__ import annotations

import numpy as np
import pytest
from cost_networks import RELU, SIX, SIXTEEN, dense, jets

from torchq.cost import Bits, estimate
from torchq.cost.bits import quantizes
from torchq.formats import Binary, FixedPoint, Overflow, Rounding, Ternary
from torchq.graph import trace
from torchq.workload import TensorSpec, Workload

SUM = FixedPoint(26, 12, True, Rounding.TRN, Overflow.WRAP)


@pytest.mark.parametrize(
    ("weight", "activation", "bits"),
    [
        ("quantized_bits(14,5,alpha=1)", "quantized_relu(14,5)", 61446),
        ("quantized_bits(6,0,alpha=1)", "quantized_relu(6,0)", 26334),
    ],
)
def test_the_jet_network(weight: str, activation: str, bits: int) -> None:
    report = estimate(trace(jets(weight, activation)), targets=["bits"])
    assert report.total["bits"] == bits
    assert report.total["bits_weight"] + report.total["bits_bias"] == bits
    width = 14 if bits == 61446 else 6
    assert report.total["bits_activation"] == 16 * 16 + (64 + 32 + 32) * width
    assert report.layer("fc2").costs["bits"] == (64 * 32 + 32) * width


def test_each_kind_of_number_by_its_width() -> None:
    works = [dense(Ternary(), RELU), dense(Binary(), RELU, SIX), dense(None, RELU)]
    rows = Bits().price(works).layers
    assert [row["bits"] for row in rows] == [128, 64 + 24, 2048]


def test_widths_per_element_are_summed() -> None:
    width = np.array([[0], [2], [3], [7]])
    assert Bits().price([dense(FixedPoint(width, 1), RELU)]).total["bits"] == 12 * 16


@pytest.mark.parametrize(
    ("made", "stored"),
    [
        (None, False),
        (SUM, False),
        (FixedPoint(27, 13, True, Rounding.TRN, Overflow.WRAP), False),
        (FixedPoint(8, 3), True),
        (FixedPoint(16, 12), True),
        (FixedPoint(np.full((4,), 26), 12), True),
        (Ternary(), True),
    ],
)
def test_a_layer_that_hands_on_its_sum_stores_nothing(made: FixedPoint | None, stored: bool) -> None:
    work = dense(SIX, SIXTEEN, SIX, made=made, accumulator=SUM)
    assert quantizes(work) is stored
    count = work.output.bits if stored else 0
    assert Bits().price([work]).total["bits_activation"] == count


@pytest.mark.parametrize(
    ("kind", "source", "made", "stored"),
    [
        ("relu", SUM, FixedPoint(25, 11, signed=False), False),
        ("relu", FixedPoint(6, 2, signed=False), FixedPoint(6, 2, signed=False), False),
        ("relu", SUM, FixedPoint(6, 0, signed=False), True),
        ("relu", SUM, SUM, True),
        ("relu", None, None, True),
        ("quantize", SUM, FixedPoint(25, 11, signed=False), True),
        ("softmax", SUM, None, True),
        ("identity", SUM, SUM, False),
    ],
)
def test_a_relu_that_only_drops_the_sign_stores_nothing(
    kind: str, source: FixedPoint | None, made: FixedPoint | None, stored: bool
) -> None:
    work = Workload("r", kind, (TensorSpec("fc", (4,), source),), TensorSpec("r", (4,), made))
    assert quantizes(work) is stored
