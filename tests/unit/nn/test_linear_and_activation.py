"""``QLinear`` and the activations beside what the conformance suite holds of every layer."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from torchq.errors import QuantizerError
from torchq.formats import FixedPoint
from torchq.nn import QActivation, QInput, QLinear, QReLU
from torchq.nn.baked import Baked
from torchq.quantizers import parse

Q = "quantized_bits(4,0,alpha=1)"


def test_it_computes_with_quantized_weight_and_bias() -> None:
    layer = QLinear(2, 1, weight_quantizer="quantized_bits(3,1,alpha=1)", bias_quantizer=Q)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.6, -9.0]]))
        layer.bias.copy_(torch.tensor([0.3]))
    assert layer.quantized_weight().tolist() == [[0.5, -2.0]]
    bias = layer.quantized_bias()
    assert bias is not None
    assert bias.tolist() == [0.25]
    assert layer(torch.tensor([[1.0, 0.5]])).tolist() == [[0.5 - 1.0 + 0.25]]


def test_the_output_quantizer_comes_last() -> None:
    layer = QLinear(1, 1, bias=False, output_quantizer="quantized_bits(3,2,alpha=1)")
    with torch.no_grad():
        layer.weight.fill_(1.0)
    assert layer(torch.tensor([[1.4], [70.0]])).tolist() == [[1.0], [3.0]]


def test_it_is_an_nn_linear() -> None:
    torch.manual_seed(0)
    float_layer = nn.Linear(3, 2)
    torch.manual_seed(0)
    layer = QLinear(3, 2)
    assert isinstance(layer, nn.Linear)
    assert torch.equal(layer.weight, float_layer.weight)
    x = torch.randn(4, 3)
    assert torch.equal(layer(x), float_layer(x))
    assert layer.missing_slots() == ("weight", "bias")
    assert QLinear(3, 2, bias=False, weight_quantizer=Q).missing_slots() == ()
    assert QLinear(3, 2, bias=False).quantized_bias() is None


def test_quantizers_may_be_text_objects_or_formats() -> None:
    given = parse(Q)
    layer = QLinear(3, 2, weight_quantizer=given, bias_quantizer=FixedPoint(6, 2), output_quantizer=Q)
    assert str(layer.weight_quantizer) == str(given)
    assert layer.weight_quantizer is not given
    assert layer.bias_quantizer is not None
    assert layer.bias_quantizer.format == FixedPoint(6, 2)
    layer.set_quantizer("output", None)
    assert layer.output_quantizer is None
    with pytest.raises(QuantizerError):
        QLinear(3, 2, weight_quantizer="quantized_bits(4,0")


def test_scales_are_per_output() -> None:
    layer = QLinear(3, 2, bias=False, weight_quantizer="quantized_bits(8,0,alpha='auto')")
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 0.5, 0.25], [0.01, 0.005, 0.0025]]))
    error = (layer.quantized_weight() - layer.weight).abs().amax(dim=1)
    assert (error < layer.weight.abs().amax(dim=1) * 0.02).all()


def test_devices_and_dtypes_are_those_of_nn_linear() -> None:
    assert QLinear(3, 2, weight_quantizer=Q, device="meta").weight.is_meta
    assert (
        QLinear(3, 2, weight_quantizer=Q, dtype=torch.float64)(torch.ones(1, 3).double()).dtype
        == torch.float64
    )


def test_relu_is_applied_before_quantizers_that_have_none() -> None:
    x = torch.tensor([-1.0, 0.3, 9.0], requires_grad=True)
    layer = QReLU("quantized_bits(4,2,alpha=1)")
    y = layer(x)
    y.sum().backward()
    assert y.tolist() == [0.0, 0.5, 3.5]
    assert x.grad is not None
    assert x.grad[0] == 0.0
    assert x.grad[1] == 1.0


def test_quantized_relu_keeps_its_own_gradient() -> None:
    ours, theirs = (torch.tensor([-1.0, 0.0, 0.3, 9.0], requires_grad=True) for _ in range(2))
    QReLU("quantized_relu(4,1)")(ours).sum().backward()
    parse("quantized_relu(4,1)")(theirs).sum().backward()
    assert torch.equal(ours.grad, theirs.grad)  # type: ignore[arg-type]


def test_a_leaky_quantizer_leaks_nothing_behind_a_relu() -> None:
    assert QReLU("quantized_relu(6,1,negative_slope=0.25)")(torch.tensor([-1.0])).tolist() == [0.0]


def test_relu_has_eight_bits_unless_told_otherwise() -> None:
    assert QReLU().output_quantizer.format == FixedPoint(8, 0, signed=False)


def test_kinds() -> None:
    assert [layer.kind for layer in (QLinear(1, 1), QReLU(), QActivation(Q), QInput(Q))] == [
        "linear",
        "relu",
        "quantize",
        "quantize",
    ]


def test_baked_keeps_format_and_text_and_does_nothing() -> None:
    baked = Baked(parse(Q))
    x = torch.tensor([0.3, 77.0])
    assert torch.equal(baked(x), x)
    assert torch.equal(baked.quantize(x), x)
    assert (str(baked), baked.bits, baked.hardware_reason()) == (str(parse(Q)), 4, None)


def test_baking_keeps_scales_that_follow_from_the_values() -> None:
    layer = QLinear(6, 3, bias=False, weight_quantizer="quantized_bits(4,0,alpha='auto')")
    before = layer.quantized_weight()
    frozen = layer.frozen()
    assert torch.equal(frozen.quantized_weight(), before)
    assert isinstance(frozen.weight_quantizer, Baked)
    assert layer.weight_quantizer is not None
    assert frozen.weight_quantizer.hardware_reason() == layer.weight_quantizer.hardware_reason() is not None
