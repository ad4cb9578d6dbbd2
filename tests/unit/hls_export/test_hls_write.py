"""What stands in an exported file, and what is refused with its reason."""

from __future__ import annotations

import copy
import json
from collections import OrderedDict

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from hls_export.emulate import emulate
from hls_export.qonnx import execute, export, read
from hls_export.qonnx.emit import Emitter
from hls_export.vectors import adversarial
from torchq.errors import ExportError, GraphError, RunDirError, VerifyError
from torchq.formats import FixedPoint, Overflow, Rounding
from torchq.nn import QActivation, QInput, QLinear, QLinearBatchNorm1d, QReLU

W = "quantized_bits(6,0,alpha=1)"


def small(weight=W, bias=W, act="quantized_relu(6,2)", sums=None, first="quantized_bits(8,2,alpha=1)"):
    torch.manual_seed(1)
    return nn.Sequential(
        OrderedDict(
            input=QInput(first),
            fc1=QLinear(4, 6, weight_quantizer=weight, bias_quantizer=bias, output_quantizer=sums),
            relu1=QReLU(act),
            out=QLinear(6, 3, weight_quantizer=weight, bias_quantizer=bias),
        )
    )


def random_model(seed: int) -> nn.Module:
    """Every layer with quantizers of its own choice."""
    random = np.random.default_rng(seed)
    torch.manual_seed(seed)

    def bits(least=2, symmetric=False):
        width = int(random.integers(least, 9))
        return f"quantized_bits({width},{random.integers(0, 4)},{int(symmetric)},alpha=1)"

    def weight():
        kinds = [bits(), bits(symmetric=True), "ternary(alpha=1)", "binary(alpha=1)", "quantized_po2(4,2)"]
        return kinds[random.integers(len(kinds))]

    layers: list[tuple[str, nn.Module]] = [("q", QInput(bits()))]
    size = int(random.integers(1, 8))
    for i in range(int(random.integers(1, 4))):
        width = int(random.integers(1, 8))
        sums = bits() if random.random() < 0.4 else None
        options = {"weight_quantizer": weight(), "bias_quantizer": bits(), "output_quantizer": sums}
        kind = QLinearBatchNorm1d if random.random() < 0.3 else QLinear
        layers.append((f"fc{i}", kind(size, width, bias=bool(random.random() < 0.8), **options)))
        relu = f"quantized_relu({random.integers(1, 9)},{random.integers(0, 4)})"
        layers.append((f"act{i}", QReLU(relu) if random.random() < 0.7 else QReLU(bits())))
        size = width
    layers.append(("head", QLinear(size, 3, weight_quantizer=weight(), bias_quantizer=bits())))
    model = nn.Sequential(OrderedDict(layers))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
    return model.eval()


@pytest.mark.parametrize("seed", range(40))
def test_random_models_are_their_files(tmp_path, seed):
    """torch in float64 = ONNX (checked by export itself) = emulator."""
    model = random_model(seed)
    exported = export(model, tmp_path / "m.onnx")
    x = adversarial(exported.graph, 200, seed + 1)
    with torch.no_grad():
        expected = model.double()(torch.from_numpy(x)).numpy()
    assert (execute(exported.path, x) == expected).all()
    assert (emulate(exported.graph, x) == expected).all()


def test_names_are_the_users(tmp_path):
    export(small(sums="quantized_bits(9,4,alpha=1)"), tmp_path / "m.onnx")
    model = onnx.load(tmp_path / "m.onnx")
    assert [(n.name, n.op_type, n.output[0]) for n in model.graph.node] == [
        ("input", "Quant", "input"),
        ("fc1.weight.quant", "Quant", "fc1.weight.quantized"),
        ("fc1", "MatMul", "fc1.matmul"),
        ("fc1.bias.quant", "Quant", "fc1.bias.quantized"),
        ("fc1.bias", "Add", "fc1.sum"),
        ("fc1.quant", "Quant", "fc1"),
        ("relu1", "Relu", "relu1.relu"),
        ("relu1.quant", "Quant", "relu1"),
        ("out.weight.quant", "Quant", "out.weight.quantized"),
        ("out", "MatMul", "out.matmul"),
        ("out.bias.quant", "Quant", "out.bias.quantized"),
        ("out.bias", "Add", "out"),
    ]
    graph = read(tmp_path / "m.onnx")
    assert graph.names == ("input_0", "input", "fc1", "fc1.quant", "relu1", "relu1.quant", "out")


def test_the_dialect_of_other_tools(tmp_path):
    export(small(), tmp_path / "m.onnx", metadata={"features": ["a", "b", "c", "d"], "note": "text"})
    model = onnx.load(tmp_path / "m.onnx")
    onnx.checker.check_model(model, full_check=False)
    assert model.ir_version == 8
    assert {o.domain: o.version for o in model.opset_import} == {"": 13, "qonnx.custom_op.general": 1}
    assert [d.dim_param or d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim] == [
        "batch",
        4,
    ]
    assert [d.dim_param or d.dim_value for d in model.graph.output[0].type.tensor_type.shape.dim] == [
        "batch",
        3,
    ]
    values = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    assert values["relu1.quant.scale"].shape == ()
    assert float(values["relu1.quant.scale"]) == 2.0**-4
    assert float(values["relu1.quant.bits"]) == 6
    weight = values["fc1.weight"]
    assert weight.shape == (4, 6)
    assert (weight * 32 == np.round(weight * 32)).all()
    known = {v.name for v in (*model.graph.value_info, *model.graph.input, *model.graph.output)}
    assert {name for node in model.graph.node for name in (*node.input, *node.output)} <= known
    props = {p.key: p.value for p in model.metadata_props}
    assert json.loads(props["features"]) == ["a", "b", "c", "d"]
    assert props["note"] == "text"
    assert json.loads(props["torchq.formats"])["relu1"] == "ap_ufixed<6,2,RND_CONV,SAT>"


def test_the_same_model_gives_the_same_bytes(tmp_path):
    first = export(small(), tmp_path / "m.onnx").path.read_bytes()
    assert export(small(), tmp_path / "m.onnx").path.read_bytes() == first


def test_what_export_returns(tmp_path):
    exported = export(small(), tmp_path / "net.onnx", check=np.zeros((10, 4)))
    facts = exported.to_dict()
    assert exported.vectors == 522
    assert facts["file"] == "net.onnx"
    assert facts["digest"] == exported.digest == read(exported.path).digest()
    assert facts["layers"]["fc1"] == str(exported.graph.node("fc1").format)
    assert json.loads(json.dumps(facts)) == facts


def test_the_model_stays_as_it_was(tmp_path):
    model = small().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    export(model, tmp_path / "m.onnx")
    assert model.training
    assert all((before[name] == value).all() for name, value in model.state_dict().items())


def test_flatten_between_input_and_layers(tmp_path):
    fc1 = QLinear(6, 3, weight_quantizer=W, bias_quantizer=W)
    model = nn.Sequential(OrderedDict(q=QInput("quantized_bits(8,2,alpha=1)"), flat=nn.Flatten(), fc1=fc1))
    exported = export(model, tmp_path / "m.onnx", (2, 3))
    assert exported.graph.names == ("input", "q", "flat", "fc1")
    assert exported.graph.input_shape == (2, 3)


class _Odd(QActivation):
    """A layer of a kind that nothing writes."""

    kind = "odd"

    def __init__(self):
        super().__init__(W)


def test_everything_that_cannot_be_written_is_named(tmp_path):
    model = nn.Sequential(OrderedDict(q=QInput(W), odd=_Odd(), even=_Odd()))
    with pytest.raises(ExportError) as fault:
        export(model, tmp_path / "m.onnx", (2, 4))
    assert str(fault.value).startswith(
        "2 layers cannot be written: odd (odd), even (odd); these can: input, "
    )


def test_dropout_and_flat_reshapes_leave_no_trace(tmp_path):
    model = nn.Sequential(
        QInput("quantized_bits(8,2,alpha=1)"), nn.Dropout(0.5), nn.Flatten(), QActivation(W)
    )
    export(model, tmp_path / "m.onnx", (4,))
    assert read(tmp_path / "m.onnx").names == ("input", "0", "3")


@pytest.mark.parametrize(
    ("weight", "values"),
    [
        ("ternary(alpha=1)", [-1.0, 0.0, 1.0]),
        ("binary(alpha=1)", [-1.0, 1.0]),
        ("quantized_po2(3,1)", None),
        ("quantized_bits(1,0,alpha=1)", None),
    ],
)
def test_weights_that_are_no_fixed_point_are_carried_by_one(tmp_path, weight, values):
    export(small(weight=weight), tmp_path / "m.onnx")
    found = np.unique(read(tmp_path / "m.onnx").node("fc1").weight)
    assert values is None or found.tolist() == values


@pytest.mark.parametrize(
    "weight",
    [
        FixedPoint(6, 1, rounding="RND", overflow="WRAP"),
        FixedPoint(np.array([[2], [3], [4], [5], [6], [0]]), np.array([[1], [2], [1], [0], [3], [0]])),
        FixedPoint(5, -2),
        FixedPoint(5, 9),
    ],
)
def test_of_weights_only_the_values_count(tmp_path, weight):
    """Any rounding, and any width of each: the values stand on one common grid in the file."""
    model = small()
    model.fc1.set_quantizer("weight", weight)
    exported = export(model, tmp_path / "m.onnx")
    expected = model.fc1.quantized_weight().detach().numpy().T
    assert (exported.graph.node("fc1").weight == expected).all()


def test_sums_that_float64_cannot_hold(tmp_path):
    """torch, ONNX and the emulator could not be compared exactly, so nothing is written."""
    model = small(first=FixedPoint(40, 4), weight=FixedPoint(24, 1))
    with pytest.raises(GraphError, match=r"^fc1 needs \d+ bits, and float64 is exact up to 53"):
        export(model, tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


def test_rounding_down_is_floor(tmp_path):
    model = nn.Sequential(QInput(FixedPoint(6, 3, rounding="TRN")))
    export(model, tmp_path / "m.onnx", (4,))
    (node,) = onnx.load(tmp_path / "m.onnx").graph.node
    assert {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute} == {
        "signed": 1,
        "narrow": 0,
        "rounding_mode": b"FLOOR",
    }


@pytest.mark.parametrize(
    "model",
    [
        small(act=FixedPoint(6, 2, False, "RND")),
        small(act=FixedPoint(6, 2, overflow="WRAP")),
        small(act=FixedPoint(6, 2, rounding="TRN_ZERO")),
        small(sums=FixedPoint(6, 2, overflow="WRAP")),
        small(first=FixedPoint(1, 1)),
        small(act=FixedPoint(np.arange(2, 8), 2, signed=False)),
        small(first=FixedPoint(np.array([0, 3, 4, 5]), np.array([1, 2, 0, 3]), rounding="RND_ZERO")),
        small(sums=FixedPoint(np.arange(2, 8), 3, np.arange(6) % 2 == 0, "RND_MIN_INF", "WRAP")),
    ],
)
def test_what_qonnx_cannot_say_is_an_operator_of_ours(tmp_path, model):
    path = tmp_path / "m.onnx"
    exported = export(model, path)
    x = adversarial(exported.graph, 400, 3)
    with torch.no_grad():
        expected = copy.deepcopy(model).double().eval()(torch.from_numpy(x)).numpy()
    assert (execute(path, x) == expected).all()
    assert (emulate(exported.graph, x) == expected).all()
    proto = onnx.load(path)
    (function,) = proto.functions
    assert (function.domain, function.name.split("_")[0]) == ("torchq", "Fixed")
    assert {node.op_type for node in proto.graph.node if node.domain == "torchq"} == {function.name}


@pytest.mark.parametrize("rounding", list(Rounding))
@pytest.mark.parametrize("overflow", list(Overflow))
def test_every_rounding_and_overflow(tmp_path, rounding, overflow):
    grid = FixedPoint(4, 2, True, rounding, overflow)
    exported = export(nn.Sequential(QInput(grid)), tmp_path / "m.onnx", (5,))
    x = adversarial(exported.graph, 400, 3)
    assert exported.graph.output_format == grid
    assert (execute(tmp_path / "m.onnx", x) == grid.quantize(x)).all()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            small(first="binary(alpha=1,use_01=True)"),
            "input: binary(use_01=True,alpha=1.0) makes binary<0,1>, and QONNX's Quant rounds to fixed point "
            "only; use it on weights, or quantized_bits or quantized_relu here",
        ),
        (
            nn.Sequential(QInput(W), QLinear(4, 3, weight_quantizer=W, bias_quantizer=W), nn.Softmax(-1)),
            "2 (softmax) has no exact fixed-point form; use QSoftmax, or export the model without it; "
            "the largest logit is the same class",
        ),
    ],
)
def test_what_cannot_be_written(tmp_path, model, message):
    with pytest.raises(ExportError) as fault:
        export(model, tmp_path / "m.onnx", (4,))
    assert str(fault.value) == message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text",
    [
        "binary(alpha=1)",
        "binary(alpha=0.25)",
        "quantized_relu(4,2,negative_slope=0.25)",
        "quantized_relu(6,1,negative_slope=0.5)",
        "quantized_relu(3,0,negative_slope=0.125)",
        "quantized_relu(2,1,negative_slope=1.0)",
    ],
)
def test_quantizers_that_are_several_steps(tmp_path, text):
    model = small()
    model.relu1 = QActivation(text)
    model.eval()
    exported = export(model, tmp_path / "m.onnx")
    x = adversarial(exported.graph, 400, 3)
    with torch.no_grad():
        expected = copy.deepcopy(model).double()(torch.from_numpy(x)).numpy()
    assert (execute(tmp_path / "m.onnx", x) == expected).all()
    assert (emulate(exported.graph, x) == expected).all()


def test_weights_wider_than_float32(tmp_path):
    model = small(weight="quantized_bits(30,0,alpha=1)").double()
    with torch.no_grad():
        model.fc1.weight.copy_(torch.rand_like(model.fc1.weight))
    with pytest.raises(ExportError) as fault:
        export(model, tmp_path / "m.onnx")
    assert str(fault.value) == (
        "fc1.weight has values that float32 cannot hold exactly; give it at most 24 bits"
    )


def test_a_quantizer_that_does_more_than_round(tmp_path):
    model = small(act="quantized_sigmoid(6)")
    with pytest.raises(ExportError) as fault:
        export(model, tmp_path / "m.onnx")
    assert str(fault.value).startswith("relu1: quantized_sigmoid(6")
    assert "does more than round to ap_ufixed<6,0,RND_CONV,SAT>, and QONNX's Quant does no more" in str(
        fault.value
    )


def test_scales_that_are_no_power_of_two(tmp_path):
    with pytest.raises(ExportError, match=r"^fc1.weight: "):
        export(small(weight="quantized_bits(4,0,alpha=0.7)"), tmp_path / "m.onnx")


def test_edges_without_quantizer_come_from_the_trace(tmp_path):
    model = nn.Sequential(OrderedDict(fc1=QLinear(4, 3, weight_quantizer=W, bias_quantizer=W)))
    with pytest.raises(GraphError) as fault:
        export(model, tmp_path / "m.onnx")
    assert str(fault.value) == (
        "fc1 reads a tensor that no quantizer made (input); put a quantizer after input"
    )


def test_a_file_that_differs_from_torch_is_not_written(tmp_path, monkeypatch):
    honest = Emitter.parameter

    def lying(self, name, values, grid):
        values = values.copy()
        if name == "out.bias":
            values[1] = grid.lo if values[1] != grid.lo else grid.hi
        return honest(self, name, values, grid)

    monkeypatch.setattr(Emitter, "parameter", lying)
    with pytest.raises(VerifyError) as fault:
        export(small(), tmp_path / "m.onnx")
    text = str(fault.value)
    assert text.startswith(f"{tmp_path / 'm.onnx'}: ONNX differs from torch in 512 of 1536 values (max ")
    assert "first at out, sample 0, output 1: " in text
    assert text.endswith("; nothing was written")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunDirError, match="cannot be written"):
        export(small(), tmp_path / "file" / "m.onnx")
