"""Activations whose scales are found in a batch: priced by their formats, and named as no hardware."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from torchq.convert import hardware_reasons, quantize
from torchq.cost import TARGETS, data_types, estimate
from torchq.errors import GraphError, SchemeError
from torchq.graph import trace
from torchq.nn import QActivation, QBatchNorm1d, QConv2d, QInput, QLinear
from torchq.scheme import Scheme

Q = "quantized_bits(4,1,alpha=1)"
FOUND = (
    "quantized_bits(4,0,1,alpha='auto_po2')",
    "quantized_linear(4,0,alpha='auto_po2')",
    "ternary(alpha='auto_po2')",
    "binary(alpha='auto_po2')",
)


def linear(inputs: int, outputs: int, output: str | None = None) -> QLinear:
    return QLinear(inputs, outputs, weight_quantizer=Q, bias_quantizer=Q, output_quantizer=output)


def seen(model: nn.Module, *shape: int) -> nn.Module:
    """After a batch, in which each channel is twice as large as the one before."""
    torch.manual_seed(0)
    factors: Tensor = 2.0 ** torch.arange(shape[0]).reshape(-1, *[1] * (len(shape) - 1))
    with torch.no_grad():
        model(torch.randn(8, *shape) * factors)
    return model.eval()


@pytest.mark.parametrize("text", FOUND)
def test_after_a_batch_each_channel_has_its_scale_and_a_price(text: str) -> None:
    activation = nn.Sequential(QInput(text), linear(4, 3, text), linear(3, 2))
    before = estimate(activation.eval(), (4,), targets=[*TARGETS]).total
    model = seen(activation, 4)
    after = estimate(model, (4,), targets=[*TARGETS]).total
    assert after["bits"] == before["bits"]
    assert after["autoqkeras_bits"] == before["autoqkeras_bits"]
    assert after["energy_pj"] >= before["energy_pj"]
    assert data_types(model, (4,)).row("1").product is not None
    shapes = {node.format.shape for node in trace(model, (4,)).nodes if node.kind in ("quantize", "linear")}
    assert shapes == {(4,), (3,), ()}


def test_channels_of_images() -> None:
    conv = QConv2d(3, 2, 2, weight_quantizer=Q, bias_quantizer=Q)
    text = "quantized_bits(4,0,1,alpha='auto_po2',scale_axis=1)"
    model = seen(nn.Sequential(QInput(text), conv), 3, 4, 4)
    (first,) = [node for node in trace(model, (3, 4, 4)).nodes if node.name == "0"]
    assert first.format is not None
    assert first.format.shape == (3, 1, 1)
    assert estimate(model, (3, 4, 4), targets=[*TARGETS]).total["energy_pj"] > 0


def test_a_scale_for_each_sample_is_refused() -> None:
    model = seen(
        nn.Sequential(QInput("quantized_bits(4,0,1,alpha='auto_po2',scale_axis=0)"), linear(4, 3)), 4
    )
    with pytest.raises(GraphError) as caught:
        estimate(model, (4,))
    assert str(caught.value) == (
        "0 has scales that differ by sample (a format of shape (8, 1)); "
        "let them differ along another axis (scale_axis), or give a number as alpha"
    )


@pytest.mark.parametrize("alpha", ["auto", "auto_po2"])
def test_they_are_named_as_what_hardware_cannot_have(alpha: str) -> None:
    text = f"quantized_bits(4,0,1,alpha='{alpha}')"
    canonical = f"quantized_bits(4,0,symmetric=True,alpha='{alpha}')"
    sentence = (
        f"{canonical}: alpha='{alpha}' finds scales anew in the values of every batch, and hardware has one "
        "grid for all of them; give a power of two, such as alpha=1.0"
    )
    model = nn.Sequential(QInput(text), linear(4, 3, text), QActivation(Q), linear(3, 2))
    assert hardware_reasons(model) == {"0.output": sentence, "1.output": sentence}
    scheme = Scheme.uniform(Q, Q, output=text, input=Q)
    with pytest.raises(SchemeError) as caught:
        quantize(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)), scheme, exportable=True)
    assert str(caught.value) == f"1.output: {sentence}; or quantize without exportable, for torch alone"


def test_scales_found_in_weights_and_statistics_stay_as_they_are() -> None:
    text = "quantized_bits(4,0,1,alpha='auto_po2')"
    slots = ("inverse", "mean", "shift", "scale", "variance")
    norm = QBatchNorm1d(3, **{f"{slot}_quantizer": text for slot in slots})
    layer = QLinear(4, 3, weight_quantizer=text, bias_quantizer=text)
    assert hardware_reasons(nn.Sequential(QInput(Q), layer, norm)) == {}
