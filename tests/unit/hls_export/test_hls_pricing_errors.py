"""ONNX files that cannot be priced: one sentence each, whatever the bytes are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hls_onnx import Foreign, weights
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

import hls_export
from torchq.cost import estimate
from torchq.errors import ExportError


def perceptron(path: Path) -> Path:
    file = Foreign(("n", 4))
    w = file.quant(file.constant(weights()), name="w")
    x = file.op("MatMul", file.quant("x", name="in"), w, name="fc1")
    x = file.quant(file.op("Relu", x, name="relu"), signed=0, name="q")
    return file.save(path, x)


def refused(path: Path) -> str:
    with pytest.raises(ExportError) as fault:
        hls_export.read_work(path)
    return str(fault.value).replace(f"{path.parent}/", "")


def said(tmp_path: Path, file: Foreign, *outputs: str, out_shape=("n", 3)) -> str:
    return refused(file.save(tmp_path / "m.onnx", *outputs, out_shape=out_shape))


def test_missing(tmp_path) -> None:
    assert refused(tmp_path / "m.onnx") == "m.onnx: no such file"


@pytest.mark.parametrize(
    "data", [b"hello, I am a text file\n", bytes(300), b"\x89PNG\r\n\x1a\n" + bytes(200)]
)
def test_not_onnx(data, tmp_path) -> None:
    (tmp_path / "m.onnx").write_bytes(data)
    assert refused(tmp_path / "m.onnx").startswith("m.onnx is not an ONNX file, or")


def test_every_truncation_is_a_sentence(tmp_path) -> None:
    data = perceptron(tmp_path / "whole.onnx").read_bytes()
    path = tmp_path / "m.onnx"
    for end in range(0, len(data) - 1, 7):
        path.write_bytes(data[:end])
        assert refused(path).startswith("m.onnx")


def test_unknown_nodes_are_all_named_at_once(tmp_path) -> None:
    file = Foreign(("n", 4))
    x = file.op("Einsum", file.quant("x"), name="mix", equation="ij->ij")
    x = file.op("Relu", file.op("Attention", x, name="heads", domain="com.example"))
    message = said(tmp_path, file, x, out_shape=("n", 4))
    assert message.startswith(
        "m.onnx: 2 nodes cannot be priced: mix (Einsum), heads (Attention); these can: Abs, Add, AveragePool,"
    )


def test_a_file_without_shapes(tmp_path) -> None:
    path = perceptron(tmp_path / "m.onnx")
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.ClearField("shape")
    path.write_bytes(model.SerializeToString())
    assert refused(path) == (
        "m.onnx: the input 'x' has no known shape; export it with every size fixed but the batch"
    )


def test_shapes_that_do_not_follow(tmp_path) -> None:
    file = Foreign(("n", 4))
    wanted = file.op("Reshape", file.quant("x", name="in"), file.constant([1, 7, -1], np.int64), name="r")
    message = said(tmp_path, file, wanted, out_shape=("a", "b", "c"))
    assert message == ("m.onnx: the shape of t6 is missing; export it with every size fixed but the batch")


def test_unquantized_places_are_all_named_at_once(tmp_path) -> None:
    file = Foreign(("n", 4))
    x = file.op("MatMul", "x", file.constant(weights()), name="fc1")
    x = file.op("MatMul", x, file.quant(file.constant(weights(shape=(3, 3))), name="w"), name="fc2")
    message = said(tmp_path, file, x)
    assert message == (
        "m.onnx: the weight of fc1 has no quantizer; fc1 reads a tensor that no quantizer made (x); "
        "fc2 reads a tensor that no quantizer made (fc1); "
        "quantize these, or count them as floats of 32 bits (float_as=32)"
    )


def test_a_batch_norm_of_floats_is_unquantized(tmp_path) -> None:
    file = Foreign(("n", 3))
    statistics = [file.constant(v) for v in (np.full(3, 0.7), np.zeros(3), np.zeros(3), np.ones(3))]
    x = file.op("BatchNormalization", file.quant("x"), *statistics, name="norm")
    assert said(tmp_path, file, x).startswith("m.onnx: the scale of norm has no quantizer; quantize these")


@pytest.mark.parametrize(
    ("bits", "scale", "sentence"),
    [
        (8, 0.0, "q (Quant) has scales that are no positive numbers"),
        (8, -0.5, "q (Quant) has scales that are no positive numbers"),
        (8, np.nan, "q (Quant) has scales that are no positive numbers"),
        (2.5, 0.5, "q (Quant) has 2.5 bits, a whole number is needed"),
        (0, 0.5, "q (Quant) has 0 bits, 1 to 64 are needed"),
        (1e6, 0.5, "q (Quant) has 1e+06 bits, 1 to 64 are needed"),
        (8, np.full(7, 0.5), "q (Quant) has numbers of shape (7,) for samples of shape (4,)"),
    ],
)
def test_quantizers_that_cannot_be(bits, scale, sentence, tmp_path) -> None:
    file = Foreign(("n", 4))
    assert (
        said(tmp_path, file, file.quant("x", bits, scale, name="q"), out_shape=("n", 4))
        == f"m.onnx: {sentence}"
    )


def test_codes_that_stay_codes(tmp_path) -> None:
    file = Foreign(("n", 4))
    scale, zero = file.constant(0.5), file.constant(0, np.int8)
    x = file.op("Cast", file.op("QuantizeLinear", "x", scale, zero, name="q"), to=TensorProto.FLOAT)
    message = said(tmp_path, file, x, out_shape=("n", 4))
    assert message == "m.onnx: q (QuantizeLinear) makes codes that no DequantizeLinear alone reads"


def test_codes_that_nothing_encodes(tmp_path) -> None:
    file = Foreign(("n", 4))
    x = file.op("DequantizeLinear", file.quant("x"), file.constant(0.5), name="d")
    message = said(tmp_path, file, x, out_shape=("n", 4))
    assert message == "m.onnx: d (DequantizeLinear) reads codes that no QuantizeLinear in front of it makes"


@pytest.mark.parametrize(
    ("attributes", "sentence"),
    [
        ({"strides": [0, 1]}, "c (Conv) has strides [0, 1], numbers from 1 to 1,048,576 are needed"),
        ({"dilations": [1, -1]}, "c (Conv) has dilations [1, -1], numbers from 1 to 1,048,576 are needed"),
        ({"group": 0}, "c (Conv) has group 0, numbers from 1 to 1,048,576 are needed"),
    ],
)
def test_sizes_that_no_network_has(attributes, sentence, tmp_path) -> None:
    file = Foreign(("n", 1, 4, 4))
    w = file.quant(file.constant(weights(shape=(1, 1, 2, 2))))
    x = file.op("Conv", file.quant("x"), w, name="c", **attributes)
    assert said(tmp_path, file, x, out_shape=("n", 1, 3, 3)) == f"m.onnx: {sentence}"


def test_an_absurd_shape(tmp_path) -> None:
    file = Foreign(("n", 1, 4))
    pads = file.constant([0, 0, 2**33, 0, 0, 0], np.int64)
    x = file.op("Pad", file.quant("x"), pads, name="pad")
    message = said(tmp_path, file, x, out_shape=("n", 1, "m"))
    assert message == f"m.onnx: {x} has 8,589,934,596 values for one sample"


def test_a_transposed_convolution_without_a_kernel(tmp_path) -> None:
    file = Foreign(("n", 1, 4))
    x = file.op("ConvTranspose", file.quant("x"), file.quant(file.constant(0.5)), name="up")
    message = said(tmp_path, file, x, out_shape=("n", 1, 8))
    assert message == "m.onnx: up (ConvTranspose) has no constant weight of 1 or 2 spatial axes"


@pytest.mark.parametrize(("kind", "inputs"), [("Quant", 2), ("LayerNormalization", 1), ("LSTM", 2)])
def test_too_few_inputs(kind, inputs, tmp_path) -> None:
    file = Foreign(("n", 3, 4))
    domain = "qonnx.custom_op.general" if kind == "Quant" else ""
    x = file.op(kind, *["x"] * inputs, name="a", domain=domain)
    assert said(tmp_path, file, x, out_shape=("n", 3, 4)).startswith(
        f"m.onnx: a ({kind}) has {inputs} inputs"
    )


def test_what_makes_new_values_between_others(tmp_path) -> None:
    file = Foreign(("n", 1, 4))
    roi, scales = file.constant([]), file.constant([1.0, 1.0, 2.0])
    x = file.op("Resize", file.quant("x"), roi, scales, name="up", mode="linear")
    message = said(tmp_path, file, x, out_shape=("n", 1, 8))
    assert message == "m.onnx: up (Resize) interpolates (linear), which makes new values; use mode nearest"


def test_weights_in_other_files(tmp_path) -> None:
    path = perceptron(tmp_path / "m.onnx")
    model = onnx.load(path)
    tensor = model.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")
    path.write_bytes(model.SerializeToString())
    assert "keeps c1 in other files" in refused(path)


def test_a_cycle(tmp_path) -> None:
    nodes = [
        helper.make_node("Relu", ["b"], ["a"], name="one"),
        helper.make_node("Relu", ["a"], ["b"], name="two"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("n", 4))],
        [helper.make_tensor_value_info("b", TensorProto.FLOAT, ("n", 4))],
    )
    path = tmp_path / "m.onnx"
    path.write_bytes(helper.make_model(graph).SerializeToString())
    assert refused(path) == "m.onnx: one (Relu) reads 'b', which no node in front of it makes"


def test_a_model_in_memory_is_called_the_model(tmp_path) -> None:
    model = onnx.load(perceptron(tmp_path / "m.onnx"))
    model.graph.node[-1].op_type = "Nonsense"
    with pytest.raises(ExportError) as fault:
        hls_export.read_work(model)
    assert str(fault.value).startswith("the model: 1 node cannot be priced: q (Nonsense)")


@pytest.mark.parametrize("bits", [0, 8, "32"])
def test_floats_have_16_or_32_bits(bits, tmp_path) -> None:
    with pytest.raises(ExportError, match="float_as must be 16 or 32"):
        hls_export.read_work(perceptron(tmp_path / "m.onnx"), float_as=bits)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 10**6), byte=st.integers(0, 255))
def test_a_changed_byte_is_priced_or_refused_in_words(tmp_path, place, byte) -> None:
    whole = tmp_path / "whole.onnx"
    data = bytearray((whole if whole.is_file() else perceptron(whole)).read_bytes())
    data[place % len(data)] = byte
    path = tmp_path / "m.onnx"
    path.write_bytes(bytes(data))
    try:
        work = hls_export.workloads_of_onnx(path)
    except ExportError:
        return
    assert estimate(work).total["bits"] >= 0
