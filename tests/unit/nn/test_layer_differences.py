"""One test for each row of the section "Layers" of docs/qkeras-differences.md, by the name of the row."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from torchq.errors import GraphError, TorchqError, TrainError
from torchq.formats import PowerOfTwo
from torchq.graph import trace
from torchq.nn import (
    QGRU,
    QLSTM,
    QBatchNorm1d,
    QBatchNorm2d,
    QConv2d,
    QConv2dBatchNorm,
    QConvTranspose2d,
    QInput,
    QLinear,
    QSeparableConv2d,
)


def test_every_row_has_its_test() -> None:
    text = (Path(__file__).parents[3] / "docs" / "qkeras-differences.md").read_text()
    rows = re.findall(r"^\| ([a-z0-9-]+) \|", text.split("\n# Layers\n")[1], re.MULTILINE)
    rows.remove("row")
    tests = {name.removeprefix("test_").replace("_", "-") for name in globals() if name.startswith("test_")}
    assert len(rows) == len(set(rows)) > 9
    assert set(rows) == tests - {"every-row-has-its-test"}


def test_depthwise_scales() -> None:
    weight = torch.tensor([1.0, 0.1]).reshape(2, 1, 1, 1)
    ours = QConv2d(2, 2, 1, groups=2, weight_quantizer="quantized_bits(3,0,alpha='auto_po2')")
    theirs = QConv2d(2, 2, 1, groups=2, weight_quantizer="quantized_bits(3,0,alpha='auto_po2',scale_axis=1)")
    for layer in (ours, theirs):
        with torch.no_grad():
            layer.weight.copy_(weight)
    assert ours.quantized_weight().flatten()[1] != 0
    assert theirs.quantized_weight().flatten()[1] == 0


def test_po2_kernels() -> None:
    layer = QConv2d(1, 1, 1, weight_quantizer="quantized_po2(4,1)")
    assert layer.weight_quantizer is not None
    f = layer.weight_quantizer.format
    assert isinstance(f, PowerOfTwo)
    assert (f.exponent_min, f.exponent_max) == (-7, 0)  # -8 to 0 in QKeras


def test_separable_between() -> None:
    q = "quantized_bits(4,0,alpha=1)"
    layer = QSeparableConv2d(1, 1, 1, depthwise_quantizer=q, pointwise_quantizer=q, bias_quantizer=q)
    assert layer.depthwise.output_quantizer is None
    with pytest.raises(GraphError) as caught:
        trace(nn.Sequential(QInput(q), layer), (1, 5, 5))
    assert str(caught.value) == (
        "1.pointwise reads a tensor that no quantizer made (1.depthwise); put a quantizer after 1.depthwise"
    )


def test_batch_norm_variance() -> None:
    layer = QBatchNorm1d(1, momentum=1.0)
    layer(torch.tensor([[0.0], [2.0]]))
    assert layer.running_var is not None
    assert layer.running_var.item() == 2.0  # QKeras: 1.0


def test_batch_norm_defaults() -> None:
    layer = QBatchNorm2d(2)
    assert all(layer.quantizer(slot) is None for slot in layer.slots)
    assert layer.missing_slots() == ("inverse", "mean", "shift")


def test_freeze_delay() -> None:
    layer = QConv2dBatchNorm(1, 1, 1, freeze_delay=1)
    x = torch.randn(2, 1, 2, 2)
    layer(x)
    steps = layer.batch_norm.num_batches_tracked
    layer(x)
    assert steps is not None
    assert steps.item() == 1


def test_one_sample_batches() -> None:
    with pytest.raises(TrainError):
        QConv2dBatchNorm(1, 1, 2)(torch.ones(1, 1, 2, 2))


def test_strided_same() -> None:
    with pytest.raises(TorchqError):
        QConv2d(1, 1, 3, stride=2, padding="same")


def test_transposed_output_padding() -> None:
    x = torch.ones(1, 1, 3, 3)
    sizes = [QConvTranspose2d(1, 1, 3, 2, output_padding=extra)(x).shape[-1] for extra in (0, 1)]
    assert sizes == [7, 8]


def test_groups() -> None:
    layer = QConv2dBatchNorm(4, 4, 1, groups=2)
    assert layer.weight.shape == (4, 2, 1, 1)
    assert layer(torch.randn(2, 4, 2, 2)).shape == (2, 4, 2, 2)


def test_clipped_weights() -> None:
    layer: Any = QLinear(1, 1, bias=False, weight_quantizer="quantized_bits(4,0,alpha=1)")
    with torch.no_grad():
        layer.weight.fill_(3.0)
    layer(torch.ones(1, 1))
    assert layer.weight.item() == 3.0


def test_recurrent_state() -> None:
    q = "quantized_bits(6,1,alpha=1)"
    layer = QLSTM(
        2, 3, weight_quantizer=q, recurrent_quantizer=q, bias_quantizer=q, state_quantizer="fixed(4,1)"
    )
    y, (h, c) = layer(torch.randn(5, 4, 2), (torch.rand(1, 4, 3), torch.rand(1, 4, 3)))
    assert layer.state_quantizer is not None
    assert layer.cell_quantizer is not None
    assert torch.equal(layer.state_quantizer(y), y)
    assert torch.equal(h[0], y[-1])
    assert torch.equal(layer.cell_quantizer(c), c)


def test_recurrent_gates() -> None:
    layer = QGRU(2, 3, state_quantizer=None, candidate_quantizer="fixed(3,1)", gate_quantizer=None)
    with torch.no_grad():
        for p in layer.parameters():
            p.zero_()
        layer.bias_ih_l0[:6] = -50.0  # type: ignore[index]
        layer.bias_ih_l0[6:] = 0.4  # type: ignore[index]
    candidate = layer(torch.zeros(1, 1, 2))[0]
    assert torch.allclose(candidate, torch.full((1, 1, 3), 0.5), atol=1e-3)  # tanh(0.4) is 0.38


def test_gru_recurrent_kernel() -> None:
    layer = QGRU(3, 3, weight_quantizer="quantized_bits(6,0,alpha=1)")
    x, h = torch.zeros(1, 1, 3), torch.ones(1, 1, 3) / 2
    before = layer(x, h)[0]
    with torch.no_grad():
        layer.weight_hh_l0.mul_(-1.0)  # type: ignore[operator]
    assert not torch.equal(layer(x, h)[0], before)
    assert "recurrent" in layer.missing_slots()


def test_gru_reset() -> None:
    module = nn.GRU(3, 4)
    layer = QGRU.from_float((module,), dict.fromkeys(QGRU.slots))
    x = torch.randn(5, 2, 3)
    assert torch.allclose(layer(x)[0], module(x)[0], atol=1e-6)
