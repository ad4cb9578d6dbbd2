"""Perceptrons of other tools become the same graph, whatever way they are written."""

from __future__ import annotations

import numpy as np
import pytest
from hls_onnx import Foreign, weights

from hls_export.emulate import emulate
from hls_export.hardware import Dense
from hls_export.qonnx import execute, read
from hls_export.vectors import adversarial


def _agrees(path):
    """The file is read, and the graph computes what the executed file does."""
    graph = read(path)
    x = adversarial(graph, 200)
    assert (emulate(graph, x) == execute(path, x).reshape(len(x), *graph.output_shape)).all()
    return graph


@pytest.mark.parametrize("constant_nodes", [False, True])
@pytest.mark.parametrize("prequantized", [False, True])
def test_matmul_and_add(tmp_path, constant_nodes, prequantized):
    file = Foreign(constant_nodes=constant_nodes)
    w = np.round(weights() * 16) / 16 if prequantized else weights()
    x = file.quant("x", name="in")
    w = file.quant(file.constant(w), 6, 2.0**-4)
    b = file.quant(file.constant(weights(1, (3,))), 8, 2.0**-6)
    y = file.op("Add", file.op("MatMul", x, w, name="fc1"), b, name="bias1")
    y = file.quant(file.op("Relu", y, name="act"), 6, 2.0**-4, signed=0)
    graph = _agrees(file.save(tmp_path / "m.onnx", y))
    assert [node.kind for node in graph.nodes] == ["input", "quantize", "dense", "relu", "quantize"]
    assert graph.names[:4] == ("x", "in", "fc1", "act")
    assert str(graph.node("fc1").weight_format) == "ap_fixed<6,2,RND_CONV,SAT>"
    assert str(graph.output_format) == "ap_ufixed<6,2,RND_CONV,SAT>"
    assert graph.name == "m"


def test_the_constant_stands_first(tmp_path):
    file = Foreign()
    b = file.quant(file.constant(weights(1, (1, 3))), 8, 2.0**-6)
    y = file.op("Add", b, file.op("MatMul", file.quant("x"), file.quant(file.constant(weights()))))
    graph = _agrees(file.save(tmp_path / "m.onnx", y))
    assert graph.node(graph.output).bias is not None


@pytest.mark.parametrize("trans_b", [0, 1])
@pytest.mark.parametrize("bias", [False, True])
def test_gemm(tmp_path, trans_b, bias):
    file = Foreign()
    w = file.quant(file.constant(weights(0, (3, 4) if trans_b else (4, 3))), 6, 2.0**-4)
    inputs = [file.quant("x"), w]
    if bias:
        inputs.append(file.quant(file.constant(weights(1, (3,))), 8, 2.0**-6))
    y = file.op("Gemm", *inputs, name="/fc/Gemm", transB=trans_b)
    graph = _agrees(file.save(tmp_path / "m.onnx", y))
    assert graph.output == "/fc/Gemm"
    assert (graph.node(graph.output).bias is not None) is bias


def test_weights_transposed_behind_their_quantizer(tmp_path):
    file = Foreign()
    scale = np.array([[0.25], [0.5], [1.0]])
    w = file.op("Transpose", file.quant(file.constant(weights(0, (3, 4), 3)), 5, scale), perm=[1, 0])
    graph = _agrees(file.save(tmp_path / "m.onnx", file.op("MatMul", file.quant("x"), w)))
    grid = graph.nodes[-1].weight_format
    assert grid.shape == (4, 3)
    assert grid.lsb[0].tolist() == [0.25, 0.5, 1.0]


def test_a_scale_per_channel_of_weights_and_bias(tmp_path):
    file = Foreign()
    w = file.quant(file.constant(weights(0, (4, 3), 3)), 5, np.array([0.25, 0.5, 1.0]), narrow=1)
    b = file.quant(file.constant(weights(1, (3,))), 8, np.array([0.25, 2.0**-6, 0.5]))
    y = file.op("Add", file.op("MatMul", file.quant("x"), w), b)
    graph = _agrees(file.save(tmp_path / "m.onnx", y))
    assert str(graph.nodes[-1].weight_format) == "ap_fixed<5,3..5,RND_CONV,SAT_SYM>"


def test_a_scale_per_channel_of_an_activation(tmp_path):
    file = Foreign()
    x = file.quant("x", 5, np.array([[0.25, 0.5, 1.0, 2.0]]))
    graph = _agrees(file.save(tmp_path / "m.onnx", file.op("Relu", x), out_shape=("n", 4)))
    assert graph.nodes[1].format.lsb.tolist() == [0.25, 0.5, 1.0, 2.0]


@pytest.mark.parametrize("mode", ["ROUND", "HALF_EVEN", "FLOOR", "DOWN", "HALF_UP", "HALF_DOWN", "half_up"])
@pytest.mark.parametrize(("signed", "narrow"), [(1, 0), (1, 1), (0, 0)])
def test_every_rounding_that_hardware_has(tmp_path, mode, signed, narrow):
    file = Foreign()
    y = file.quant("x", 4, 0.5, signed=signed, narrow=narrow, rounding_mode=mode)
    path = file.save(tmp_path / "m.onnx", y, out_shape=("n", 4))
    graph = read(path)
    x = np.arange(-200, 200).reshape(-1, 4) / 16
    assert (emulate(graph, x) == execute(path, x)).all()


@pytest.mark.parametrize("mode", ["CEIL", "UP", "FLOOR", "ROUND"])
def test_constants_may_be_rounded_in_any_way(tmp_path, mode):
    file = Foreign()
    w = file.quant(file.constant(weights()), 4, 0.25, rounding_mode=mode)
    _agrees(file.save(tmp_path / "m.onnx", file.op("MatMul", file.quant("x"), w)))


def test_bipolar_and_one_bit_weights(tmp_path):
    file = Foreign()
    w = file.op(
        "BipolarQuant", file.constant(weights()), file.constant(0.5), domain="qonnx.custom_op.general"
    )
    y = file.quant(file.op("MatMul", file.quant("x"), w), 6, 0.25)
    y = file.op("MatMul", y, file.quant(file.constant(weights(3, (3, 3))), 1, 0.25))
    graph = _agrees(file.save(tmp_path / "m.onnx", y))
    first, second = (node for node in graph.nodes if isinstance(node, Dense))
    assert np.unique(first.weight).tolist() == [-0.5, 0.5]
    assert np.unique(second.weight).tolist() == [-0.25, 0.25]


def test_constants_that_no_quant_made_but_stand_on_a_narrow_grid(tmp_path):
    file = Foreign()
    w = file.constant(np.round(weights() * 16) / 16)
    graph = _agrees(file.save(tmp_path / "m.onnx", file.op("MatMul", file.quant("x"), w)))
    assert graph.nodes[-1].weight_format.width <= 6


def test_flatten_reshape_identity_dropout(tmp_path):
    file = Foreign(("n", 2, 2))
    x = file.op("Flatten", file.op("Identity", "x"))
    y = file.op("MatMul", file.quant(x), file.quant(file.constant(weights())))
    y = file.op("Reshape", y, file.constant([-1, 3, 1], np.int64))
    y = file.op("Dropout", file.op("Reshape", y, file.constant([0, -1], np.int64)))
    graph = _agrees(file.save(tmp_path / "m.onnx", y))
    assert graph.input_shape == (2, 2)
    assert graph.output_shape == (3,)
    assert "identity" not in [node.kind for node in graph.nodes]


def test_batch_norm_where_folding_is_exact(tmp_path):
    file = Foreign()
    y = file.op("MatMul", file.quant("x"), file.quant(file.constant(weights()), 6, 2.0**-4))
    norm = ([2.0, 1.0, 0.5], [0.25, 0.0, -1.0], [0.5, -0.5, 0.0], [4.0, 1.0, 0.25])
    y = file.op("BatchNormalization", y, *(file.constant(v) for v in norm), epsilon=0.0, name="bn")
    graph = _agrees(file.save(tmp_path / "m.onnx", file.quant(y, 8, 2.0**-3)))
    assert [node.kind for node in graph.nodes] == ["input", "quantize", "dense", "quantize"]


def test_old_domains_and_intquant(tmp_path):
    file = Foreign()
    x = file.quant("x", domain="onnx.brevitas")
    w = file.quant(file.constant(weights()), kind="IntQuant", domain="finn.custom_op.general")
    _agrees(file.save(tmp_path / "m.onnx", file.op("MatMul", x, w)))


def test_names_that_are_missing_or_taken(tmp_path):
    file = Foreign()
    x = file.quant("x", name="same")
    y = file.op("MatMul", x, file.quant(file.constant(weights())), name="same")
    y = file.op("MatMul", file.quant(y, 6, 0.25), file.quant(file.constant(weights(2, (3, 3)))))
    graph = _agrees(file.save(tmp_path / "m.onnx", y))
    assert graph.names[:3] == ("x", "same", "same_2")
    assert graph.names[3:] == tuple(node.tensor for node in graph.nodes[3:])


def test_what_does_not_reach_the_output_is_left_out(tmp_path):
    file = Foreign()
    x = file.quant("x")
    file.quant(file.op("Relu", x, name="dead"))
    graph = _agrees(
        file.save(tmp_path / "m.onnx", file.op("MatMul", x, file.quant(file.constant(weights()))))
    )
    assert "dead" not in graph.names


def test_metadata_is_kept(tmp_path):
    import onnx

    file = Foreign()
    path = file.save(tmp_path / "m.onnx", file.quant("x"), out_shape=("n", 4))
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {"standardisation": "{}"})
    onnx.save(model, path)
    assert read(path).metadata == {"standardisation": "{}"}
