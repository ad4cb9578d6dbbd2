"""Small networks as workloads, for tests of costs."""

from __future__ import annotations

import torch
from torch import nn

from torchq.formats import FixedPoint, Format
from torchq.nn import QInput, QLinear, QReLU
from torchq.workload import ParamSpec, TensorSpec, Workload

SIXTEEN = FixedPoint(16, 7)
SIX = FixedPoint(6, 1)
RELU = FixedPoint(6, 0, signed=False)


def dense(
    weight: Format | None,
    x: Format | None,
    bias: Format | None = None,
    *,
    outputs: int = 4,
    inputs: int = 16,
    source: str = "x",
    made: Format | None = None,
    accumulator: FixedPoint | None = None,
    layer: str = "fc",
) -> Workload:
    """One dense layer."""
    return Workload(
        layer,
        "linear",
        (TensorSpec(source, (inputs,), x),),
        TensorSpec(layer, (outputs,), made),
        macs=inputs * outputs,
        fan_in=inputs,
        accumulator=accumulator,
        weight=ParamSpec("weight", (outputs, inputs), weight),
        bias=None if bias is None else ParamSpec("bias", (outputs,), bias),
    )


def jets(weight: str, activation: str, source: str = "quantized_bits(16,6,alpha=1)") -> nn.Sequential:
    """16-64-32-32-5 with one quantizer for all parameters and one for all activations."""
    torch.manual_seed(0)
    layers: dict[str, nn.Module] = {"quantize": QInput(source)}
    width = 16
    for name, relu, units in (
        ("fc1", "relu1", 64),
        ("fc2", "relu2", 32),
        ("fc3", "relu3", 32),
        ("output", "", 5),
    ):
        layers[name] = QLinear(width, units, weight_quantizer=weight, bias_quantizer=weight)
        if relu:
            layers[relu] = QReLU(activation)
        width = units
    model = nn.Sequential()
    for name, layer in layers.items():
        model.add_module(name, layer)
    return model
