"""A file that we write costs what the model costs, in every figure of every target, layer by layer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

import hls_export
from torchq.convert import quantize
from torchq.cost import TARGETS, estimate
from torchq.errors import ExportError
from torchq.models import MODELS
from torchq.nn import LAYERS, QActivation, QInput, QLinear, QReLU
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
    ("QConvTranspose2d", 0): "a weight's formats per channel are written as the widest of them",
    ("QConv2d", 2): "padding, and a weight's formats per channel are written as the widest of them",
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
