"""``bops``: the formula, per layer and per element, and what QONNX counts on the exported file."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from cost_networks import RELU, SIX, SIXTEEN, dense
from torch import nn

from torchq.cost import Bops, estimate
from torchq.formats import FixedPoint, Ternary
from torchq.nn import QConv1d, QConv2d, QInput, QLinear, QReLU
from torchq.workload import Operation, ParamSpec, TensorSpec, Workload


def bops(work: Workload) -> dict[str, float]:
    return dict(Bops().price((work,)).total)


def test_the_formula_of_a_dense_layer() -> None:
    found = bops(dense(SIX, SIXTEEN))
    assert found["bops_multiply"] == 64 * 6 * 16
    assert found["bops_accumulate"] == 64 * (6 + 16 + math.log2(16))
    assert found["bops"] == found["bops_multiply"] + found["bops_accumulate"]
    assert bops(dense(Ternary(), RELU))["bops_multiply"] == 64 * 2 * 6
    assert bops(dense(None, None))["bops_multiply"] == 64 * 32 * 32


def test_zero_weights_are_not_multiplied_but_accumulated() -> None:
    work = dense(SIX, SIXTEEN)
    assert work.weight is not None
    half = replace(work, weight=replace(work.weight, zeros=32))
    assert bops(half)["bops_multiply"] == 32 * 6 * 16
    assert bops(half)["bops_accumulate"] == bops(work)["bops_accumulate"]


def test_widths_of_channels_and_elements() -> None:
    weight_bits, input_bits = np.array([[3, 4], [5, 6], [0, 2]]), np.array([7, 2])
    values = np.array([[0.5, 0.0], [0.25, 1.0], [0.0, 0.5]])
    work = Workload(
        "fc",
        "linear",
        (TensorSpec("x", (4, 2), FixedPoint(input_bits, 1)),),
        TensorSpec("fc", (4, 3), None),
        macs=24,
        fan_in=2,
        weight=ParamSpec("weight", (3, 2), FixedPoint(weight_bits, 1), zeros=2, values=values),
    )
    found = bops(work)
    assert found["bops_multiply"] == 4 * (3 * 7 + 5 * 7 + 6 * 2 + 2 * 2)
    assert found["bops_accumulate"] == pytest.approx(4 * (weight_bits.sum() + 3 * input_bits.sum()) + 24)


def test_a_convolution_with_widths_of_channels_counts_its_padding_as_macs_does() -> None:
    layer = QConv1d(4, 2, 3, padding=1, groups=2, bias=False, weight_quantizer="quantized_bits(3,0,alpha=1)")
    with torch.no_grad():
        layer.weight.fill_(0.5)
    x = TensorSpec("x", (4, 5), FixedPoint(np.array([[1], [2], [3], [4]]), 1))
    work = layer.workload("conv", (x,), TensorSpec("conv", (2, 5), None))
    assert work.macs == 2 * 5 * 6
    assert bops(work)["bops_multiply"] == 5 * 3 * 3 * (1 + 2 + 3 + 4)
    assert bops(work)["bops_accumulate"] == pytest.approx(60 * (3 + 2.5 + math.log2(6)))


def test_products_of_two_tensors_and_of_gates() -> None:
    inputs = (TensorSpec("a", (4, 8), SIX), TensorSpec("b", (8, 5), SIXTEEN))
    gates = (Operation("multiply", 10, (SIX, RELU), None), Operation("add", 9, (SIX, SIX), None))
    matmul = Workload("m", "matmul", inputs, TensorSpec("m", (4, 5), None), 160, 8, operations=gates)
    found = bops(matmul)
    assert found["bops_multiply"] == 160 * 6 * 16 + 10 * 6 * 6
    assert found["bops_accumulate"] == 160 * (6 + 16 + 3) + 10 * (6 + 6)


def test_qonnx_counts_the_same_products_on_the_file(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    counting = pytest.importorskip("qonnx.util.inference_cost")
    export = pytest.importorskip("hls_export").export
    torch.manual_seed(0)
    slots = {
        "weight_quantizer": "quantized_bits(3,0,alpha=1)",
        "bias_quantizer": "quantized_bits(4,1,alpha=1)",
    }
    model = nn.Sequential(
        QInput("quantized_bits(8,2,alpha=1)"),
        QConv2d(2, 4, 3, padding=1, groups=2, **slots),
        QReLU("quantized_relu(5,1)"),
        nn.Flatten(),
        QLinear(4 * 36, 5, **slots),
    ).eval()
    with torch.no_grad():
        model[4].weight.normal_(0, 0.3)
    file = tmp_path / "model.onnx"
    export(model, file, (2, 6, 6))
    proto = onnx.load(file)
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    del proto.graph.value_info[:]
    onnx.save(proto, file)
    theirs = counting.inference_cost(str(file))["total_cost"]
    ours = estimate(model, (2, 6, 6), targets=["bops", "effective_macs"]).total
    assert ours["bops_multiply"] == pytest.approx(theirs["total_bops"], rel=1e-12)
    assert ours["effective_macs"] == pytest.approx(theirs["total_macs"], rel=1e-12)
