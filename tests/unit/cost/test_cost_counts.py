"""``macs`` and ``sparsity``: what is counted, by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from cost_networks import RELU, SIX, dense
from torch import nn

from torchq.cost import Macs, Sparsity, estimate
from torchq.formats import Binary, FixedPoint, Format, PowerOfTwo, Ternary
from torchq.nn import QInput, QLinear, QReLU
from torchq.workload import Operation, ParamSpec, TensorSpec, Workload

GATES = [
    (SIX, SIX, "mul"),
    (Ternary(), SIX, "mux"),
    (PowerOfTwo(4, -4, 3), SIX, "shifter"),
    (Binary(), Binary(), "xor"),
    (Binary(use_01=True), SIX, "and"),
    (PowerOfTwo(4, -4, 3), PowerOfTwo(3, -2, 1), "add"),
    (None, SIX, "mul"),
]


@pytest.mark.parametrize(("weight", "x", "gate"), GATES)
def test_each_gate_has_its_part(weight: Format | None, x: Format | None, gate: str) -> None:
    total = Macs().price((dense(weight, x),)).total
    assert {name: count for name, count in total.items() if count} == {
        "macs": 64,
        "effective_macs": 64,
        f"macs_{gate}": 64,
    }


def test_zero_weights_are_no_effective_multiplications() -> None:
    work = dense(SIX, RELU)
    assert work.weight is not None
    total = Macs().price((replace(work, weight=replace(work.weight, zeros=16)),)).total
    assert (total["macs"], total["effective_macs"]) == (64, 48)
    assert all(isinstance(value, int) for value in total.values())


def test_elements_that_a_format_prunes_have_no_gate() -> None:
    width = np.zeros((4, 16), dtype=int)
    width[0] = 6
    total = Macs().price((dense(FixedPoint(width, 1), RELU),)).total
    assert (total["macs"], total["macs_mul"], total["effective_macs"]) == (64, 16, 16)


def test_products_of_gates_and_of_tensors() -> None:
    inputs = (TensorSpec("a", (4, 8), SIX), TensorSpec("b", (8, 5), Ternary()))
    beside = (Operation("multiply", 7, (SIX, SIX), None), Operation("maximum", 9, (SIX, SIX), None))
    work = Workload("m", "matmul", inputs, TensorSpec("m", (4, 5), None), 160, 8, operations=beside)
    total = Macs().price((work,)).total
    assert (total["macs"], total["macs_mux"], total["macs_mul"], total["effective_macs"]) == (
        167,
        160,
        7,
        167,
    )


def test_sparsity_of_layers_and_of_the_network() -> None:
    q = dict.fromkeys(("weight_quantizer", "bias_quantizer"), "quantized_bits(4,0,alpha=1)")
    relu = QReLU("quantized_relu(4,1)")
    model = nn.Sequential(QInput("quantized_bits(8,2,alpha=1)"), QLinear(4, 4, **q), relu, QLinear(4, 2, **q))
    with torch.no_grad():
        model[1].weight.copy_(torch.eye(4) * 0.5)
        model[3].weight.fill_(0.01)
        model[3].weight[0].fill_(0.5)
    report = estimate(model, (4,), targets="sparsity")
    shares = {row.layer: row.costs["sparsity"] for row in report.layers if "sparsity" in row.costs}
    assert shares == {"1": 0.75, "3": 0.5}
    assert report.total == {"sparsity": 16 / 24, "nonzero_weights": 8}


def test_nothing_is_not_sparse() -> None:
    assert Sparsity().price(()).total == {"sparsity": 0.0, "nonzero_weights": 0}
    empty = Workload("fc", "linear", (TensorSpec("x", (0,), SIX),), TensorSpec("fc", (3,), None),
                     weight=ParamSpec("weight", (3, 0), SIX))  # fmt: skip
    assert Sparsity().price((empty,)).layers == ({},)
