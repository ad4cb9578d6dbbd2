"""A file that we write costs what the model costs, in every figure of every target, layer by layer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

import hls_export
from torchq.convert import quantize
from torchq.cost import TARGETS, estimate
from torchq.errors import ExportError
from torchq.formats import FixedPoint
from torchq.formats.arithmetic import widest
from torchq.models import MODELS
from torchq.nn import LAYERS, QActivation, QConv2d, QInput, QLinear, QReLU
from torchq.quantizers import make
from torchq.scheme import Scheme

EXAMPLES = [
    pytest.param(cls, number, id=f"{name}-{number}")
    for name, cls in LAYERS.items()
    for number in range(len(cls.examples()))
]
ALWAYS = ("QActivation", "QInput", "QLinear", "QLinearBatchNorm1d", "QReLU")
"""Layers whose first example is written whatever comes; others are compared as soon as they are."""
STEP_BY_STEP = ("QGRU", "QLSTM", "QLayerNorm", "QMultiheadAttention", "QRNN")
"""Layers that a file says in many steps, each of which is priced by itself."""
OTHERWISE = {
    ("QConv1d", 1): "padding other than zeros is written as picked values: more is read",
    ("QConv2d", 2): "padding other than zeros is written as picked values: more is read",
}


def same_cost(model: nn.Module, shape: tuple[int, ...], path: Path) -> None:
    """Equal texts and whole numbers; sums of floats may be summed in another order."""
    targets = list(TARGETS)
    expected = estimate(model, shape, targets=targets)
    found = estimate(hls_export.workloads_of_onnx(path), targets=targets)
    assert dict(found.total) == pytest.approx(dict(expected.total), rel=1e-13)
    assert len(found.layers) == len(expected.layers)
    for one, other in zip(found.layers, expected.layers, strict=True):
        assert {**one.to_dict(), "costs": None} == {**other.to_dict(), "costs": None}
        assert dict(one.costs) == pytest.approx(dict(other.costs), rel=1e-13)


@pytest.mark.parametrize(("cls", "number"), EXAMPLES)
def test_every_layer_that_is_written_costs_the_same_in_its_file(cls, number, tmp_path) -> None:
    torch.manual_seed(number)
    example = cls.examples()[number]
    layer = cls.from_example(example)
    model = nn.Sequential(QInput(example.input), layer if example.within is None else example.within(layer))
    path = tmp_path / "layer.onnx"
    if cls.__name__ in STEP_BY_STEP:
        pytest.skip("a file says it step by step")
    if (cls.__name__, number) in OTHERWISE:
        pytest.skip(OTHERWISE[cls.__name__, number])
    if cls.reads_integers:
        pytest.skip("it reads whole numbers, which no file of ours does")
    try:
        hls_export.export(model.eval(), path, example=example.shape)
    except ExportError:
        assert number or cls.__name__ not in ALWAYS
        pytest.skip("cannot be written")
    same_cost(model, example.shape, path)


@pytest.mark.parametrize("seed", range(4))
def test_the_jets_model_costs_the_same_in_its_file(seed, tmp_path) -> None:
    random = np.random.default_rng(seed)
    scheme = Scheme.uniform(
        input="quantized_bits(16,6,alpha=1)",
        weight="quantized_bits(6,0,alpha=1)",
        bias="quantized_bits(6,0,alpha=1)",
        output="quantized_relu(6,0)",
    )
    for layer in ("fc1", "fc2", "fc3", "output"):
        text = random.choice(
            [
                f"quantized_bits({random.integers(2, 9)},0,alpha=1)",
                "ternary(alpha=1)",
                "binary(alpha=1)",
                "quantized_po2(4,1)",
                "stochastic_ternary(alpha=1)",
            ]
        )
        scheme = scheme.with_slot(layer, "weight", str(text))
    torch.manual_seed(seed)
    model = quantize(MODELS.get("jets_mlp")(), scheme).eval()
    path = tmp_path / "jets.onnx"
    hls_export.export(model, path)
    same_cost(model, (16,), path)


WEIGHTS = ("ternary(alpha=1)", "binary(alpha=1)", "quantized_po2(4,1)", "quantized_bits(2,0,alpha=1)")


@pytest.mark.parametrize("text", WEIGHTS)
def test_formats_that_quant_has_no_words_for_are_read_from_what_the_file_states(text, tmp_path) -> None:
    torch.manual_seed(0)
    q = "quantized_bits(4,1,alpha=1)"
    model = nn.Sequential(QInput(q), QLinear(5, 3, weight_quantizer=text, bias_quantizer=q)).eval()
    path = tmp_path / "weights.onnx"
    hls_export.export(model, path)
    same_cost(model, (5,), path)


BY_CHANNEL = (
    "ternary(alpha='auto_po2')",
    "binary(alpha='auto_po2')",
    "binary(use_01=True,alpha='auto_po2')",
    "stochastic_ternary(alpha='auto_po2')",
    "quantized_bits(4,0,1,alpha='auto_po2')",
    "quantized_bits(1,0,alpha='auto_po2')",
)


def by_channel(text: str, spread: float) -> nn.Sequential:
    """A linear layer and a convolution, the sizes of whose channels lie so many powers of two apart."""
    torch.manual_seed(0)
    q = "quantized_bits(4,1,alpha=1)"
    conv = QConv2d(2, 4, 2, weight_quantizer=text, bias_quantizer=q)
    linear = QLinear(16, 4, weight_quantizer=text, bias_quantizer=q)
    for layer in (conv, linear):
        with torch.no_grad():
            factors = 2.0 ** (spread * torch.arange(4.0))
            layer.weight.mul_(factors.reshape(-1, *[1] * (layer.weight.ndim - 1)))
    return nn.Sequential(QInput(q), conv, QActivation(q), nn.Flatten(), linear).eval()


@pytest.mark.parametrize("spread", [0, -1, 2])
@pytest.mark.parametrize("text", BY_CHANNEL)
def test_scales_by_channel_cost_what_they_cost_in_the_model(text: str, spread: float, tmp_path: Path) -> None:
    model, path = by_channel(text, spread), tmp_path / "channels.onnx"
    hls_export.export(model, path, example=(2, 3, 3))
    same_cost(model, (2, 3, 3), path)


def by_element(shape: tuple[int, ...]) -> nn.Sequential:
    random = np.random.default_rng(0)
    widths, integers = random.integers(0, 6, shape), random.integers(-1, 3, shape)
    q = "quantized_bits(4,1,alpha=1)"
    weight = FixedPoint(widths, integers, random.random(shape) < 0.7)
    torch.manual_seed(0)
    layer = QLinear(shape[1], shape[0], weight_quantizer=make(weight), bias_quantizer=q)
    return nn.Sequential(QInput(q), layer).eval()


def test_widths_by_element_cost_what_they_cost_in_the_model(tmp_path: Path) -> None:
    path = tmp_path / "elements.onnx"
    hls_export.export(by_element((4, 7)), path, example=(7,))
    same_cost(by_element((4, 7)), (7,), path)


def test_beyond_so_many_the_widest_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "elements.onnx"
    monkeypatch.setattr("hls_export.qonnx.channels.MOST", 27)
    hls_export.export(by_element((4, 7)), path, example=(7,))
    assert "torchq.channels" not in {entry.key for entry in onnx.load(path).metadata_props}
    (_, work) = hls_export.workloads_of_onnx(path)
    assert work.weight is not None
    assert work.weight.format == widest(by_element((4, 7))[1].weight_quantizer.format)


def test_channels_are_believed_only_where_they_hold_the_values(tmp_path: Path) -> None:
    """Whoever changes numbers in a file, or what it states, gets the price of the common grid."""
    model, path = by_channel("quantized_bits(4,0,1,alpha='auto_po2')", 2), tmp_path / "channels.onnx"
    hls_export.export(model, path, example=(2, 3, 3))
    common = "ap_fixed<10,5,RND_CONV,SAT_SYM>"

    def linear(change: Callable[[dict[str, Any]], object]) -> str:
        proto = onnx.load(path)
        for entry in proto.metadata_props:
            if entry.key == "torchq.channels":
                said = json.loads(entry.value)
                assert set(said) == {"1.weight", "4.weight"}
                changed = change(said["4.weight"])
                said["4.weight"] = said["4.weight"] if changed is None else changed
                entry.value = json.dumps(said)
        return str(hls_export.workloads_of_onnx(proto)[-1].weight.format)

    right = linear(lambda said: None)
    assert right == str(estimate(model, (2, 3, 3)).layers[-1].weight) != common
    for change in (
        lambda said: said["integer"].reverse(),
        lambda said: said.update(integer=[5, 5, 5, 5]),
        lambda said: said.update(integer=[1, 2]),
        lambda said: said.update(shape=[1, 4]),
        lambda said: said.update(shape=[5, 1]),
        lambda said: said.update(width=[2, 2, 2, 2]),
        lambda said: said.update(width="four"),
        lambda said: said.update(rounding="UP"),
        lambda said: said.update(signs="quaternary"),
        lambda said: said.update(signs="ternary"),
        lambda said: said.pop("width"),
        lambda said: [1, 2],
        lambda said: "ap_fixed<4,-2..2>",
    ):
        assert linear(change) == common
    proto = onnx.load(path)
    for value in ("no JSON", "[]"):
        for entry in proto.metadata_props:
            if entry.key == "torchq.channels":
                entry.value = value
        assert str(hls_export.workloads_of_onnx(proto)[-1].weight.format) == common


def test_what_a_file_states_is_believed_only_where_it_fits_its_quantizers(tmp_path) -> None:
    q = "quantized_bits(4,1,alpha=1)"
    model = nn.Sequential(QInput(q), QLinear(5, 3, weight_quantizer=q, bias_quantizer=q)).eval()
    path = tmp_path / "changed.onnx"
    hls_export.export(model, path)
    proto = onnx.load(path)
    for entry in proto.metadata_props:
        if entry.key == "torchq.formats":
            entry.value = entry.value.replace("ap_fixed<4,2,RND_CONV,SAT>", "ternary<64>")
            assert "ternary<64>" in entry.value
    (_, found) = hls_export.workloads_of_onnx(proto)
    assert str(found.weight.format) == "ap_fixed<4,2,RND_CONV,SAT>"


def test_an_output_quantizer_and_an_activation_behind_are_told_apart(tmp_path) -> None:
    q = "quantized_bits(4,1,alpha=1)"
    fc = QLinear(5, 3, weight_quantizer=q, bias_quantizer=q)
    quantized = QLinear(5, 3, weight_quantizer=q, bias_quantizer=q, output_quantizer=q)
    for layers, kinds in (
        ((fc, QActivation(q)), ["quantize", "linear", "quantize"]),
        ((quantized,), ["quantize", "linear"]),
        ((fc, nn.ReLU(), QActivation(q)), ["quantize", "linear", "relu", "quantize"]),
        ((fc, QReLU(q)), ["quantize", "linear", "relu"]),
    ):
        model = nn.Sequential(QInput(q), *layers).eval()
        path = tmp_path / f"{len(kinds)}-{len(layers)}.onnx"
        hls_export.export(model, path, example=(5,))
        assert [work.kind for work in hls_export.workloads_of_onnx(path)] == kinds
        same_cost(model, (5,), path)


def test_values_and_zeros_are_those_of_the_model(tmp_path) -> None:
    torch.manual_seed(3)
    q = "quantized_bits(3,0,alpha=1)"
    model = nn.Sequential(QInput(q), QLinear(7, 4, weight_quantizer=q, bias_quantizer=q)).eval()
    path = tmp_path / "values.onnx"
    hls_export.export(model, path)
    _, work = hls_export.workloads_of_onnx(path)
    assert np.array_equal(work.weight.values, model[1].quantized_weight().detach().numpy())
    assert np.array_equal(work.bias.values, model[1].quantized_bias().detach().numpy())
    assert work.zeros == int(
        (model[1].quantized_weight() == 0).sum() + (model[1].quantized_bias() == 0).sum()
    )
