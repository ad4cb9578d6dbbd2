"""Recorded calls of QKeras's layers against ours: outputs, gradients, statistics; and three trainings."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any

import pytest
import recorded_layers as recorded
import torch
import torch.nn.functional as F
from recorded_layers import Case
from torch import Tensor, nn

from torchq.nn import (
    QActivation,
    QAvgPool2d,
    QBatchNorm1d,
    QBatchNorm2d,
    QConv1d,
    QConv2d,
    QConv2dBatchNorm,
    QGlobalAvgPool2d,
    QLinear,
    QSeparableConv2d,
)

OUTPUT = {"rtol": 1e-6, "atol": 1e-6}
"""Sums of a few dozen float32 products around 1, in another order than TensorFlow's."""
GRADIENT = {"rtol": 1e-5, "atol": 1e-5}
"""Sums over batch and positions."""
FOLDED_OUTPUT = {"rtol": 1e-5, "atol": 2e-5}
"""Divided by a standard deviation that is a float32 mean of squares itself."""
FOLDED_GRADIENT = {"rtol": 1e-3, "atol": 2e-4}
"""Through the batch's statistics: differences of sums over batch and positions that nearly cancel."""

CASES = recorded.cases()
PO2 = "quantized_po2(4,1)"
COMPARED = ("dense", "convolution", "depthwise", "separable", "pooling", "batch norm", "folded")


def test_all_are_compared(record_property: pytest.RecordProperty) -> None:
    kinds = Counter(kind_of(case) for case in CASES)
    assert set(kinds) == set(COMPARED)
    assert len(CASES) >= 54
    assert len(recorded.trajectories()) >= 3
    listed = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    record_property("golden", f"layers: {len(CASES)} calls ({listed})")
    record_property("golden", f"trainings: {len(recorded.trajectories())} of 20 steps")


def kind_of(case: Case) -> str:
    """The function below that compares the case; unknown ones raise."""
    if case.layer in recorded.FOLDED:
        return "folded"
    return {
        "QDense": "dense",
        "QConv1D": "convolution",
        "QConv2D": "convolution",
        "QDepthwiseConv2D": "depthwise",
        "QSeparableConv2D": "separable",
        "QAveragePooling2D": "pooling",
        "QGlobalAveragePooling2D": "pooling",
        "QBatchNormalization": "batch norm",
    }[case.layer]


def of(*kinds: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", [c for c in CASES if kind_of(c) in kinds], ids=str)


def put(parameter: Any, value: Tensor) -> None:
    with torch.no_grad():
        parameter.copy_(value)


def as_qkeras(layer: Any) -> Any:
    """``po2-one-exponent-too-many``: ``quantized_po2(4, 1)`` has nine exponents there, eight here."""
    quantizer = layer.weight_quantizer
    if str(quantizer).startswith("quantized_po2"):
        quantizer.exponents = dataclasses.replace(quantizer.exponents, low=quantizer.exponents.low - 1)
    return layer


def run(case: Case, layer: nn.Module, output: dict[str, float], gradient: dict[str, float]) -> None:
    """Forward and backward; output and gradient of the input are compared."""
    x = case.batch("x").requires_grad_()
    y = layer(x)
    y.backward(case.batch("gy"))
    torch.testing.assert_close(y, case.batch("y"), **output)
    torch.testing.assert_close(x.grad, case.batch("gx"), **gradient)


@of("dense", "convolution", "depthwise")
def test_product_layer(case: Case) -> None:
    given, back = case.parameters(), case.parameters("gw")
    (kernel,) = [name for name in given if name.endswith("kernel")]
    texts = {
        "weight_quantizer": case.quantizers[0],
        "bias_quantizer": case.quantizers[1],
        "output_quantizer": case.activation,
        "bias": "bias" in given,
    }
    outputs, inputs, *size = given[kernel].shape
    if size:
        strides, dilation = tuple(case.config["strides"]), tuple(case.config["dilation_rate"])
        # what "same" pads on both sides of the one recorded case: 7 positions, kernel 3, stride 2
        padding = 1 if case.config["padding"] == "same" else 0
        groups = outputs if case.depthwise else 1
        cls = QConv1d if len(size) == 1 else QConv2d
        layer: Any = cls(inputs * groups, outputs, tuple(size), strides, padding, dilation, groups, **texts)
    else:
        layer = QLinear(inputs, outputs, **texts)
    as_qkeras(layer)
    if case.depthwise:  # ``depthwise-scales``: one scale for the whole kernel there, one a channel here
        layer.weight_quantizer.channel_axis(1)
    put(layer.weight, given[kernel])
    if "bias" in given:
        put(layer.bias, given["bias"])
    run(case, layer, OUTPUT, GRADIENT)
    torch.testing.assert_close(layer.weight.grad, back[kernel], **GRADIENT)
    if "bias" in given:
        torch.testing.assert_close(layer.bias.grad, back["bias"], **GRADIENT)


@of("separable")
def test_separable(case: Case) -> None:
    given, back = case.parameters(), case.parameters("gw")
    channels, _, *size = given["depthwise_kernel"].shape
    depthwise, pointwise, bias = case.quantizers
    layer = QSeparableConv2d(
        channels,
        len(given["bias"]),
        tuple(size),
        depthwise_quantizer=depthwise,
        pointwise_quantizer=pointwise,
        bias_quantizer=bias,
    )
    parameters = {
        "depthwise_kernel": layer.depthwise.weight,
        "pointwise_kernel": layer.pointwise.weight,
        "bias": layer.pointwise.bias,
    }
    for name, parameter in parameters.items():
        put(parameter, given[name])
    run(case, layer, OUTPUT, GRADIENT)
    for name, parameter in parameters.items():
        assert parameter is not None
        torch.testing.assert_close(parameter.grad, back[name], **GRADIENT)


@of("pooling")
def test_pooling(case: Case) -> None:
    texts = {"average_quantizer": case.quantizers[0], "output_quantizer": case.activation}
    if case.layer == "QAveragePooling2D":
        layer: nn.Module = QAvgPool2d(tuple(case.config["pool_size"]), tuple(case.config["strides"]), **texts)
    else:
        layer = QGlobalAvgPool2d(**texts)
    run(case, layer, OUTPUT, GRADIENT)


@of("batch norm")
def test_batch_norm(case: Case) -> None:
    given, back = case.parameters(), case.parameters("gw")
    gamma, beta, mean, variance, inverse = case.quantizers
    cls = QBatchNorm1d if case.array("x").ndim == 2 else QBatchNorm2d
    layer = cls(
        len(given["gamma"]),
        eps=case.config["epsilon"],
        momentum=1 - case.config["momentum"],
        scale_quantizer=gamma,
        shift_quantizer=beta,
        mean_quantizer=mean,
        variance_quantizer=variance,
        inverse_quantizer=inverse,
    ).train(case.training)
    put(layer.weight, given["gamma"])
    put(layer.bias, given["beta"])
    put(layer.running_mean, given["moving_mean"])
    put(layer.running_var, given["moving_variance"])
    run(case, layer, FOLDED_OUTPUT, FOLDED_GRADIENT)
    torch.testing.assert_close(layer.weight.grad, back["gamma"], **FOLDED_GRADIENT)
    torch.testing.assert_close(layer.bias.grad, back["beta"], **FOLDED_GRADIENT)
    after = {**given, **case.after()}
    torch.testing.assert_close(layer.running_mean, after["moving_mean"])
    count = case.batch("x").numel() // len(given["gamma"])
    moved = after["moving_variance"] - given["moving_variance"] * case.config["momentum"]
    if case.training:  # ``batch-norm-variance``: theirs moves toward the biased variance
        expected = given["moving_variance"] * case.config["momentum"] + moved * count / (count - 1)
    else:
        expected = after["moving_variance"]
    torch.testing.assert_close(layer.running_var, expected)


@of("folded")
def test_folded_batch_norm(case: Case) -> None:
    given, back = case.parameters(), case.parameters("gw")
    (kernel,) = [name for name in given if name.endswith("kernel")]
    outputs, inputs, *size = given[kernel].shape
    groups = outputs if case.depthwise else 1
    delay = case.config["ema_freeze_delay"]
    layer = QConv2dBatchNorm(
        inputs * groups,
        outputs,
        tuple(size),
        groups=groups,
        bias="bias" in given,
        eps=1e-3,
        momentum=0.1,  # Keras's 0.9 is the share of the old value
        folding=case.config["folding_mode"].removesuffix("_folding"),
        freeze_delay=None if delay is None else delay + 2,
        weight_quantizer=case.quantizers[0],
        bias_quantizer=case.quantizers[1],
    ).train(case.training)
    put(layer.weight, given[kernel])
    if "bias" in given:
        put(layer.bias, given["bias"])
    norm = layer.batch_norm
    put(norm.weight, given["gamma"])
    put(norm.bias, given["beta"])
    put(norm.running_mean, given["moving_mean"])
    put(norm.running_var, given["moving_variance"])
    run(case, layer, FOLDED_OUTPUT, FOLDED_GRADIENT)
    torch.testing.assert_close(layer.weight.grad, back[kernel], **FOLDED_GRADIENT)
    torch.testing.assert_close(norm.weight.grad, back["gamma"], **FOLDED_GRADIENT)
    torch.testing.assert_close(norm.bias.grad, back["beta"], **FOLDED_GRADIENT)
    if "bias" in given:
        torch.testing.assert_close(layer.bias.grad, back["bias"], **FOLDED_GRADIENT)
    after = {**given, **case.after()}
    torch.testing.assert_close(norm.running_mean, after["moving_mean"])
    torch.testing.assert_close(norm.running_var, after["moving_variance"])


BITS = "quantized_bits(6,0,alpha=1)"
AUTO = "quantized_bits(6,0,alpha='auto_po2')"
MODELS = {
    "traj_q6": ((BITS,) * 4, BITS, ("quantized_relu(6,0)",) * 3),
    "traj_q6_auto_po2": ((AUTO,) * 4, AUTO, ("quantized_relu(6,0)",) * 3),
    "traj_het": (
        ("ternary(alpha=1)", "binary(alpha=1)", PO2, "quantized_bits(4,0,alpha=1)"),
        "quantized_bits(6,1,alpha=1)",
        ("quantized_relu(4,2)", "quantized_relu_po2(4,4)", "quantized_relu(3,1)"),
    ),
}
"""Weights, biases, activations of 16-64-32-32-5; what was trained is written in no recording."""


def network(name: str) -> nn.Sequential:
    weights, bias, activations = MODELS[name]
    sizes = (16, 64, 32, 32, 5)
    model = nn.Sequential()
    for i, text in enumerate(weights):
        layer = QLinear(sizes[i], sizes[i + 1], weight_quantizer=text, bias_quantizer=bias)
        model.append(as_qkeras(layer))
        put(layer.weight, recorded.trajectory(name, f"w0_{2 * i}").T)
        put(layer.bias, recorded.trajectory(name, f"w0_{2 * i + 1}"))
        if i < len(activations):
            model.append(QActivation(activations[i]))
    return model


@pytest.mark.parametrize("entry", recorded.trajectories(), ids=lambda entry: entry["id"])
def test_training(entry: dict[str, Any]) -> None:
    """Losses of all steps to 1e-5, and the weights behind the last one."""
    name = entry["id"]
    assert entry["optimizer"] == "SGD(0.05)"
    model = network(name)
    x, labels = recorded.trajectory(name, "X"), recorded.trajectory(name, "T").long()
    start = F.softmax(model(x[0]), -1)
    torch.testing.assert_close(start, recorded.trajectory(name, "p0"), atol=1e-6, rtol=1e-5)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for step in range(entry["steps"]):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x[step]), labels[step])
        loss.backward()
        optimizer.step()
        clip(model)
        assert loss.item() == pytest.approx(entry["losses"][step], abs=1e-5), step
    layers = [layer for layer in model if isinstance(layer, QLinear)]
    for i, layer in enumerate(layers):
        torch.testing.assert_close(layer.weight.T, recorded.trajectory(name, f"w20_{2 * i}"))
        torch.testing.assert_close(layer.bias, recorded.trajectory(name, f"w20_{2 * i + 1}"))


def clip(model: nn.Sequential) -> None:
    """QKeras clips the float weights to their quantizers' ranges after each step."""
    with torch.no_grad():
        for layer in model:
            if isinstance(layer, QLinear):
                for quantizer, values in (
                    (layer.weight_quantizer, layer.weight),
                    (layer.bias_quantizer, layer.bias),
                ):
                    assert quantizer is not None
                    values.clamp_(-quantizer.clip_bound(), quantizer.clip_bound())
