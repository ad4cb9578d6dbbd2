"""ONNX files that cannot be lowered: each ends in a sentence that names the place."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from hls_export.qonnx import execute, export, read
from torchq.errors import ExportError
from torchq.formats import FixedPoint
from torchq.nn import QInput

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "hls_export"))
from hls_onnx import DOMAIN, Foreign, weights

SHIFTS = "hardware only shifts: hls-export rescale rounds it for a price that it measures"


def _refused(path, *, reader=read) -> str:
    with pytest.raises(ExportError) as fault:
        reader(path)
    return str(fault.value).replace(str(path.parent) + "/", "")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "m.onnx"


def _perceptron(file: Foreign, *, x: str | None = None, w: str | None = None) -> str:
    x = file.quant("x", name="in") if x is None else x
    w = file.quant(file.constant(weights()), name="w") if w is None else w
    return file.op("MatMul", x, w, name="fc1")


# ---------------------------------------------------------------------- the file


def test_missing(path):
    assert _refused(path) == "m.onnx: no such file"


def test_a_folder(tmp_path):
    folder = tmp_path / "m.onnx"
    folder.mkdir()
    assert _refused(folder) == "m.onnx: cannot be read (Is a directory)"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "m.onnx is not an ONNX file, or has an empty graph; export it again"),
        (b"hello, I am a text file\n", "m.onnx is not an ONNX file, or is truncated; export it again"),
        (b"\x89PNG\r\n\x1a\n" + bytes(200), "m.onnx is not an ONNX file, or is truncated; export it again"),
    ],
)
def test_not_onnx(path, data, message):
    path.write_bytes(data)
    assert _refused(path) == message


def test_truncated(path):
    file = Foreign()
    file.save(path, _perceptron(file))
    whole = path.read_bytes()
    for length in range(0, len(whole) - 1, 7):
        path.write_bytes(whole[:length])
        for reader in (read, lambda p: execute(p, np.zeros((1, 4)))):
            with pytest.raises(ExportError):
                reader(path)


def test_weights_in_other_files(path):
    file = Foreign()
    file.save(path, _perceptron(file))
    model = onnx.load(path)
    model.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL
    model.graph.initializer[0].name = "../../secret"
    path.write_bytes(model.SerializeToString())
    assert _refused(path) == "m.onnx keeps ../../secret in other files; save it with all weights inside"


def test_a_constant_node_that_points_outside(path):
    file = Foreign(constant_nodes=True)
    file.save(path, _perceptron(file))
    model = onnx.load(path)
    tensor = next(a.t for node in model.graph.node for a in node.attribute if node.op_type == "Constant")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"
    path.write_bytes(model.SerializeToString())
    for reader in (read, lambda p: execute(p, np.zeros((1, 4)))):
        assert "in other files; save it with all weights inside" in _refused(path, reader=reader)


def test_an_opset_of_the_future(path):
    file = Foreign()
    file.save(path, _perceptron(file))
    model = onnx.load(path)
    model.opset_import[0].version = 999
    path.write_bytes(model.SerializeToString())
    assert _refused(path).startswith("m.onnx has opset 999, and the installed onnx knows up to ")


def test_a_function_with_our_name_that_does_something_else(path):
    grid = FixedPoint(4, 2, overflow="WRAP")
    export(torch.nn.Sequential(QInput(grid)), path, (4,))
    model = onnx.load(path)
    model.functions[0].node[1].op_type = "Floor"
    path.write_bytes(model.SerializeToString())
    assert _refused(path) == (
        "the file's function torchq.Fixed_RND_CONV_WRAP is not the one that torchq writes; "
        "export the model again with this version"
    )


@pytest.mark.parametrize(
    "body",
    [
        lambda f, x: f.op("Resize", x, f.constant([]), f.constant([1.0, 1e6, 1e6]), name="big"),
        lambda f, x: f.op("Pad", x, f.constant([0, 0, 0, 0, 2**40, 0], np.int64), name="big"),
        lambda f, x: f.op("ConvTranspose", x, f.constant(np.ones((4, 2, 2))), strides=[2**40], name="big"),
        lambda f, x: f.op("Slice", x, *[f.constant([n], np.int64) for n in (2, 1, 1)], name="big"),
    ],
)
def test_absurd_shapes(path, body):
    file = Foreign(("n", 4, 4))
    file.save(path, body(file, file.quant("x")))
    assert _refused(path).startswith("big")
    assert " values" in _refused(path)


def test_two_outputs(path):
    file = Foreign()
    x = file.quant("x")
    file.save(path, x, _perceptron(file, x=x))
    assert _refused(path) == "m.onnx has 1 inputs and 2 outputs; one of each is needed"


@pytest.mark.parametrize("shape", [None, ("n",), ("n", "features"), ("n", 0)])
def test_missing_shapes(path, shape):
    file = Foreign(shape)
    file.save(path, _perceptron(file))
    assert _refused(path) == (
        "m.onnx: the input 'x' has no known shape; export it with every size fixed but the batch"
    )


def test_a_cycle(path):
    file = Foreign()
    file.nodes.append(onnx.helper.make_node("Relu", ["b"], ["a"], name="first"))
    file.nodes.append(onnx.helper.make_node("Relu", ["a"], ["b"], name="second"))
    file.save(path, "b")
    assert _refused(path) == "m.onnx: first (Relu) reads 'b', which no node in front of it makes"


def test_a_tensor_made_twice(path):
    file = Foreign()
    for name in ("first", "second"):
        file.nodes.append(onnx.helper.make_node("Relu", ["x"], ["y"], name=name))
    file.save(path, "y")
    assert _refused(path) == "m.onnx: second (Relu) makes 'y', which is there already"


def test_an_output_that_nothing_makes(path):
    file = Foreign()
    _perceptron(file)
    file.save(path, "nothing")
    assert _refused(path) == "m.onnx: no node makes the output 'nothing'"


def test_an_output_that_is_a_constant(path):
    file = Foreign()
    _perceptron(file)
    file.save(path, file.quant(file.constant(weights())))
    assert _refused(path).endswith("does not depend on the input")


def test_a_constant_whose_bytes_do_not_fit(path):
    file = Foreign()
    file.save(path, _perceptron(file))
    model = onnx.load(path)
    model.graph.initializer[0].dims[:] = [7, 7]
    path.write_bytes(model.SerializeToString())
    assert _refused(path).startswith("constant 'c1' cannot be read (")


@pytest.mark.parametrize("seed", range(4))
def test_damaged_bytes_never_give_a_traceback(path, seed):
    file = Foreign()
    y = file.op("Add", _perceptron(file), file.quant(file.constant(weights(1, (3,)))))
    file.save(path, file.quant(file.op("Relu", y), signed=0))
    whole = path.read_bytes()
    random = np.random.default_rng(seed)
    outcomes = set()
    for _ in range(150):
        data = bytearray(whole)
        data[random.integers(len(data))] = random.integers(256)
        path.write_bytes(bytes(data))
        try:
            read(path)
            outcomes.add("read")
        except ExportError:
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}


def test_a_sample_of_absurd_size(path):
    file = Foreign(("n", 2**31, 2**31))
    file.save(path, file.quant("x"))
    assert _refused(path) == "m.onnx: the input 'x' has 4,611,686,018,427,387,904 values"


# ---------------------------------------------------------------------- nodes


def test_a_node_with_too_few_inputs(path):
    file = Foreign()
    y = file.op("Quant", "x", file.constant(0.5), name="in", domain=DOMAIN)
    file.save(path, y)
    assert (
        _refused(path) == "m.onnx: in (Quant) has 2 inputs and 1 outputs; 4 inputs and an output are needed"
    )


def test_attributes_that_no_file_can_have(path):
    file = Foreign()
    norm = [file.constant(v) for v in ([1.0] * 3, [0.0] * 3, [0.0] * 3, [1.0] * 3)]
    file.save(path, file.op("BatchNormalization", _perceptron(file), *norm, name="bn1", epsilon="small"))
    assert _refused(path) == (
        "m.onnx is damaged: it says what no ONNX file can "
        "(ValueError: could not convert string to float: 'small')"
    )


def test_every_unsupported_node_is_named_at_once(path):
    file = Foreign()
    y = file.op("Softmax", file.op("Unheard", _perceptron(file), name="act"), name="last")
    y = file.op("Quant", y, name="elsewhere", domain="my.domain")
    file.save(path, y)
    assert _refused(path).startswith(
        "m.onnx: 3 nodes cannot be lowered: act (Unheard), last (Softmax), elsewhere (Quant)\n"
        "Softmax divides real exponentials, which no quantizer has rounded; end the network in front of it "
        "(the largest stays the largest), or train it as torchq.nn.QSoftmax; these can: Abs, Add, "
    )


def test_one_unsupported_node(path):
    file = Foreign()
    file.save(path, file.op("Unheard", _perceptron(file), name="act"))
    assert _refused(path).startswith("m.onnx: 1 node cannot be lowered: act (Unheard); these can: Abs, Add, ")


def test_a_graph_within_a_node(path):
    file = Foreign()
    inner = onnx.helper.make_graph([], "inner", [], [])
    node = onnx.helper.make_node("If", ["x"], ["y"], name="maybe", then_branch=inner, else_branch=inner)
    file.nodes.append(node)
    file.save(path, "y")
    assert _refused(path) == "maybe holds a graph of its own; only straight networks can be lowered"


def test_edges_that_no_quantizer_made(path):
    file = Foreign()
    y = file.op("Relu", _perceptron(file), name="relu1")
    y = file.op("MatMul", y, file.quant(file.constant(weights(1, (3, 3)))), name="fc2")
    y = file.op("MatMul", y, file.quant(file.constant(weights(2, (3, 3)))), name="fc3")
    file.save(path, y)
    assert _refused(path) == (
        "fc2 reads a tensor that no quantizer made (relu1); put a quantizer after relu1\n"
        "fc3 reads a tensor that no quantizer made (fc2); put a quantizer after fc2"
    )


def test_an_input_that_no_quantizer_reads(path):
    file = Foreign()
    file.save(path, _perceptron(file, x="x"))
    assert _refused(path) == "fc1 reads a tensor that no quantizer made (x); put a quantizer after x"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scale": 0.3}, "in (Quant) has scale 0.3, which is no power of two; " + SHIFTS),
        ({"scale": -0.5}, "in (Quant) has scale -0.5, which is no power of two; " + SHIFTS),
        ({"scale": 0.0}, "in (Quant) has scale 0, which is no power of two; " + SHIFTS),
        ({"scale": np.nan}, "in (Quant) has scale nan, which is no power of two; " + SHIFTS),
        (
            {"scale": np.ones((1, 7))},
            "in (Quant) has scales of shape (7,) for samples of shape (4,)",
        ),
        (
            {"zeropt": 37.0},
            "in (Quant) has zero-point 37, and fixed-point numbers have none; quantize symmetrically",
        ),
        ({"bits": 2.5}, "in (Quant) has 2.5 bits; a whole number from 1 to 64 is needed"),
        ({"bits": 0}, "in (Quant) has 0 bits; a whole number from 1 to 64 is needed"),
        ({"bits": 4096}, "in (Quant) has 4096 bits; a whole number from 1 to 64 is needed"),
        (
            {"bits": [4, 5, 4, 4]},
            "in (Quant) has bit widths that differ by channel; use one for the tensor",
        ),
        (
            {"bits": 1},
            "in (Quant) has one signed bit, which QONNX reads as the sign: no fixed-point rounding",
        ),
        (
            {"signed": 0, "narrow": 1},
            "in (Quant) is narrow and unsigned, which fixed-point saturation cannot do",
        ),
        (
            {"rounding_mode": "CEIL"},
            "in (Quant) rounds CEIL, which fixed-point hardware has no mode for",
        ),
    ],
)
def test_quantizers_that_are_no_fixed_point(path, arguments, message):
    file = Foreign()
    file.save(path, _perceptron(file, x=file.quant("x", name="in", **arguments)))
    assert _refused(path) == message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scale": 0.3}, "w (Quant) has scale 0.3, which is no power of two; " + SHIFTS),
        (
            {"zeropt": [1.0, -3.0, 0.0]},
            "w (Quant) has zero-point -3, and fixed-point numbers have none; quantize symmetrically",
        ),
    ],
)
def test_quantizers_of_weights(path, arguments, message):
    file = Foreign()
    w = file.quant(file.constant(weights()), name="w", **arguments)
    file.save(path, _perceptron(file, w=w))
    assert _refused(path) == message


@pytest.mark.parametrize(
    ("place", "what"), [(1, "scale"), (2, "zero-point"), (3, "bit width")], ids=["scale", "zeropt", "bits"]
)
def test_quantizers_that_follow_the_data(path, place, what):
    file = Foreign()
    moving = file.op("Relu", "x", name="moving")
    inputs = ["x", *(file.constant(v) for v in (0.5, 0.0, 8.0))]
    inputs[place] = moving
    file.save(path, _perceptron(file, x=file.op("Quant", *inputs, name="in", domain=DOMAIN)))
    assert _refused(path) == (
        f"in (Quant) takes its {what} from {moving!r}, which is no constant; freeze it before the export"
    )


def test_float_weights(path):
    file = Foreign()
    file.save(path, _perceptron(file, w=file.constant(weights())))
    assert _refused(path) == (
        "the weight of fc1 (MatMul) has values that no Quant made, and they need 29 bits; "
        "quantize it before the export"
    )


def test_float_bias(path):
    file = Foreign()
    file.save(path, file.op("Add", _perceptron(file), file.constant(weights(1, (3,))), name="b"))
    assert _refused(path).startswith("the bias of b (Add) has values that no Quant made, and they need ")


def test_weights_that_are_not_finite(path):
    file = Foreign()
    file.save(path, _perceptron(file, w=file.constant(np.full((4, 3), np.inf))))
    assert _refused(path) == "the weight of fc1 (MatMul) has values that are not finite"


def test_a_product_of_two_activations(path):
    file = Foreign(("n", 3))
    x = file.quant("x")
    file.save(path, file.op("MatMul", x, x, name="dot"))
    assert _refused(path) == "dot (MatMul) multiplies samples of shapes (3,) and (3,)"


def test_a_product_with_the_constant_first(path):
    file = Foreign()
    w = file.quant(file.constant(weights(0, (3, 4))))
    file.save(path, file.op("MatMul", w, file.quant("x"), name="fc1"))
    assert _refused(path) == (
        "fc1 (MatMul) multiplies a constant of shape (3, 4) with samples of shape (4,), "
        "which mixes samples or does not fit"
    )


def test_a_weight_of_the_wrong_size(path):
    file = Foreign()
    file.save(path, _perceptron(file, w=file.quant(file.constant(weights(0, (5, 3))))))
    assert _refused(path) == (
        "fc1 (MatMul) multiplies samples of shape (4,) with a weight of shape (5, 3); "
        "samples [..., inputs] and a weight [inputs, outputs] are needed"
    )


def test_a_bias_of_the_wrong_size(path):
    file = Foreign()
    file.save(path, file.op("Add", _perceptron(file), file.quant(file.constant(weights(1, (2,)))), name="b"))
    assert _refused(path) == "b (Add) has addends of shape (2,) for samples of shape (3,)"


def test_a_sum_of_two_activations_that_do_not_fit(path):
    file = Foreign(("n", 2, 3))
    x = file.quant("x")
    y = file.op("Reshape", x, file.constant([-1, 3, 2], np.int64))
    file.save(path, file.op("Add", x, y, name="sum"))
    assert _refused(path) == "sum (Add) reads samples of shapes (2, 3) and (3, 2)"


def test_gemm_that_turns_its_input_round(path):
    file = Foreign()
    w = file.quant(file.constant(weights()))
    file.save(path, file.op("Gemm", file.quant("x"), w, name="fc1", transA=1))
    assert _refused(path) == "fc1 (Gemm) turns its input round, which mixes samples; transA 0 is needed"


def test_batch_norm_that_would_round_again(path):
    file = Foreign()
    norm = [file.constant(v) for v in ([1.0] * 3, [0.0] * 3, [0.1] * 3, [0.7] * 3)]
    file.save(path, file.op("BatchNormalization", _perceptron(file), *norm, name="bn1"))
    assert _refused(path) == (
        "bn1 (BatchNormalization) cannot be folded into fc1 without rounding its weights again; "
        "fold it before the weights are quantized, as torchq.convert.quantize does"
    )


def test_batch_norm_in_training(path):
    file = Foreign()
    norm = [file.constant(v) for v in ([1.0] * 3, [0.0] * 3, [0.0] * 3, [1.0] * 3)]
    file.save(path, file.op("BatchNormalization", _perceptron(file), *norm, name="bn1", training_mode=1))
    assert _refused(path) == (
        "bn1 (BatchNormalization) is in training mode; export the model in evaluation mode"
    )


def test_batch_norm_elsewhere(path):
    file = Foreign()
    norm = [file.constant(v) for v in ([1.0] * 4, [0.0] * 4, [0.0] * 4, [1.0] * 4)]
    file.save(path, file.op("BatchNormalization", file.quant("x", name="in"), *norm, name="bn1"))
    assert _refused(path) == (
        "bn1 (BatchNormalization) multiplies with numbers of more than 16 bits, which would have to be "
        "rounded; fold it before the weights are quantized, or quantize its scale and shift"
    )


@pytest.mark.parametrize("wanted", [[4, -1], [1, 5], [-1, 3, -1], [-1, 4, 0, 2]])
def test_a_reshape_that_mixes_samples(path, wanted):
    file = Foreign()
    y = file.op("Reshape", file.quant("x"), file.constant(wanted, np.int64), name="r")
    file.save(path, y)
    assert _refused(path) == f"r (Reshape) reshapes (4,) to {wanted}, which mixes samples or does not fit"


def test_a_flatten_of_other_axes(path):
    file = Foreign(("n", 2, 2))
    file.save(path, file.op("Flatten", file.quant("x"), axis=2, name="f"))
    assert _refused(path) == "f (Flatten) keeps axes beside the batch; flatten from axis 1"


def test_execution_names_what_it_cannot_do(path):
    file = Foreign()
    file.save(path, file.op("Unheard", _perceptron(file), name="odd"))
    message = _refused(path, reader=lambda p: execute(p, np.zeros((1, 4))))
    assert message.startswith("m.onnx cannot be executed (")
