"""``data_types``: rows, texts, and what it refuses."""

from __future__ import annotations

import json

import pytest
import torch
from cost_networks import jets
from torch import Tensor, nn

from torchq.cost import TypeTable, data_types, workloads_of
from torchq.errors import CostError, GraphError
from torchq.formats import FixedPoint
from torchq.graph import trace
from torchq.nn import LAYERS, QInput, QLinear, QReLU
from torchq.workload import ParamSpec, TensorSpec, Workload

SIX = "quantized_bits(6,0,alpha=1)"


def jet_table() -> TypeTable:
    return data_types(jets(SIX, "quantized_relu(6)").eval(), (16,))


def of_example(name: str, number: int = 0) -> TypeTable:
    layer = LAYERS.get(name)
    example = layer.examples()[number]
    made = layer.from_example(example)
    alone: nn.Module = made if example.within is None else example.within(made)
    return data_types(nn.Sequential(QInput(example.input), alone), example.shape)


def layers(table: TypeTable) -> list[str]:
    return [row.layer for row in table.rows]


def test_the_jet_model_has_a_row_for_each_layer_with_both_types() -> None:
    table = jet_table()
    assert layers(table) == ["quantize", "fc1", "relu1", "fc2", "relu2", "fc3", "relu3", "output"]
    fc1 = table.row("fc1")
    assert (fc1.gate, str(fc1.product)) == ("mul", "ap_fixed<21,7,TRN,WRAP>")
    assert str(fc1.sum) == "ap_fixed<25,11,TRN,WRAP>"
    assert fc1.accumulator == fc1.output == FixedPoint.parse("ap_fixed<26,12>")
    assert fc1.tight_accumulator == fc1.tight_output
    assert fc1.tight_accumulator is not None
    assert fc1.tight_accumulator.width < 26
    relu = table.row("relu1")
    assert (relu.gate, relu.product, relu.accumulator, relu.tight_accumulator) == ("", None, None, None)
    assert str(relu.tight_output) == "ap_ufixed<6,0,TRN,WRAP>"


def test_a_graph_and_its_model_have_the_same_types() -> None:
    model = jets(SIX, "quantized_relu(6)")
    assert data_types(trace(model, (16,))) == data_types(model, (16,))


def test_workloads_have_the_same_types_by_rule_and_no_tight_ones() -> None:
    model = jets(SIX, "quantized_relu(6)")
    bare, whole = data_types(workloads_of(model, (16,))), data_types(model, (16,))
    assert layers(bare) == layers(whole)
    for one, other in zip(bare.rows, whole.rows, strict=True):
        assert (one.product, one.sum, one.accumulator, one.output) == (
            other.product,
            other.sum,
            other.accumulator,
            other.output,
        )
        assert (one.tight_product, one.tight_accumulator, one.tight_output) == (None, None, None)


def test_workloads_list_their_operations_by_sort() -> None:
    layer = LAYERS.get("QLayerNorm")
    example = layer.examples()[0]
    model = nn.Sequential(QInput(example.input), layer.from_example(example))
    rows = data_types(workloads_of(model, example.shape)).rows
    assert {"add", "multiply"} <= {row.kind for row in rows}
    assert all(row.product is not None and row.gate for row in rows if row.kind == "multiply")


@pytest.mark.parametrize(
    ("layer", "steps"),
    [
        ("QSoftmax", ["1.input", "1.distance", "1.exp", "1.sum", "1.inverse", "1"]),
        ("QAvgPool2d", ["1.sum", "1"]),
        ("QTanh", ["1.address", "1"]),
        ("QLSTM", ["1.layer.ih_l0", "1.layer.hh_l0", "1.layer.sum", "1.layer.c", "1.layer"]),
        ("QGRU", ["1.layer.ih_l0", "1.layer.hh_l0", "1.layer.reset", "1.layer.both", "1.layer"]),
        (
            "QLayerNorm",
            ["1.sum", "1.mean", "1.centred", "1.squares", "1.variance", "1.rsqrt", "1.scaled", "1"],
        ),
        (
            "QMultiheadAttention",
            ["1.layer.query", "1.layer.scores", "1.layer.softmax", "1.layer.context", "1.layer"],
        ),
    ],
)
def test_layers_of_several_steps_have_a_row_for_each(layer: str, steps: list[str]) -> None:
    found = layers(of_example(layer))
    assert [name for name in found if name in steps] == steps
    assert len(set(found)) == len(found)


def test_both_directions_of_a_recurrent_layer_have_rows_and_the_layer_stands_last() -> None:
    found = layers(of_example("QGRU", 1))
    for ending in ("l0", "l0_reverse", "l1", "l1_reverse"):
        assert found.count(f"1.layer.ih_{ending}") == found.count(f"1.layer.cell_{ending}") == 1
    item = found.index("1.layer")
    assert not any(name.startswith("1.layer.") for name in found[item:])


def test_a_pools_shift_is_no_product() -> None:
    row = of_example("QAvgPool2d", 1).row("1")
    assert (row.gate, row.product, row.tight_product) == ("", None, None)
    assert str(row.accumulator) == str(row.output) == "ap_fixed<10,4,TRN,WRAP>"


@pytest.mark.parametrize(
    ("weight", "activation", "gate"),
    [
        (SIX, "quantized_relu(6)", "mul"),
        ("ternary(alpha=1)", "quantized_relu(6)", "mux"),
        ("binary(alpha=1)", "quantized_relu(6)", "mux"),
        ("quantized_po2(4)", "quantized_relu(6)", "shifter"),
        ("quantized_po2(4)", "quantized_relu_po2(4)", "add"),
        ("binary(alpha=1)", "binary(alpha=1)", "xor"),
        (SIX, "quantized_relu(1,1)", "and"),
    ],
)
def test_each_gate_is_named(weight: str, activation: str, gate: str) -> None:
    bias = None if "po2" in weight else SIX
    fc = QLinear(4, 3, bias=bias is not None, weight_quantizer=weight, bias_quantizer=bias)
    model = nn.Sequential(QInput("quantized_bits(6,2,alpha=1)"), QReLU(activation), fc)
    assert data_types(model, (4,)).row("2").gate == gate


def test_the_text_is_aligned_and_says_only_what_there_is() -> None:
    lines = jet_table().text().splitlines()
    assert len(lines) == 2 + 8
    assert "tight accumulator" in lines[0]
    assert lines[0].index("gate") == lines[3].index("mul")
    assert "TRN" not in jet_table().text()
    bare = data_types(workloads_of(jets(SIX, "quantized_relu(6)"), (16,))).text()
    assert "tight" not in bare


def test_the_dict_is_json_and_the_html_escapes() -> None:
    table = jet_table()
    plain = json.loads(json.dumps(table.to_dict()))
    assert plain == table.to_dict()
    assert plain["rows"][1]["product"] == "ap_fixed<21,7,TRN,WRAP>"
    assert plain["rows"][0]["inputs"] == ["float32"]
    page = table.to_html()
    assert page.startswith('<table class="types">')
    assert page.count("<tr>") == 1 + 8
    assert "ap_fixed&lt;21,7&gt;" in page


def test_an_unknown_row_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="fc9"):
        jet_table().row("fc9")


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(CostError, match="a model, a graph or workloads"):
        data_types("model.onnx")  # type: ignore[arg-type]


def test_a_model_with_an_unquantized_edge_is_refused() -> None:
    fc = QLinear(4, 3, weight_quantizer=SIX, bias_quantizer=SIX)
    with pytest.raises(GraphError, match="no quantizer made"):
        data_types(nn.Sequential(fc), (4,))


def test_a_negative_size_is_refused() -> None:
    x, y = TensorSpec("x", (-2,), FixedPoint(6, 1)), TensorSpec("y", (2,), None)
    with pytest.raises(CostError, match="at least 0"):
        data_types([Workload("y", "linear", (x,), y, weight=ParamSpec("weight", (2, 2), None))])


def test_the_model_stays_as_it_is() -> None:
    model = jets(SIX, "quantized_relu(6)").train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    data_types(model, (16,))
    assert model.training
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


class Residual(nn.Module):
    """Two branches that meet twice."""

    def __init__(self) -> None:
        super().__init__()
        self.quantize = QInput("fixed(6,2)")
        self.fc = QLinear(3, 3, weight_quantizer=SIX, bias_quantizer=SIX, output_quantizer="fixed(6,2)")
        self.add = LAYERS.get("QAdd")(output_quantizer="fixed(7,3)")
        self.join = LAYERS.get("QConcat")(dim=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.quantize(x)
        y = self.add(x, self.fc(x))
        result: Tensor = self.join(x, y)
        return result


def test_branches_have_types() -> None:
    table = data_types(Residual(), (3,))
    assert layers(table) == ["quantize", "fc", "add", "join"]
    add = table.row("add")
    assert str(add.accumulator) == "ap_fixed<7,3,TRN,WRAP>"
    assert [str(f) for f in add.inputs] == ["ap_fixed<6,2,RND_CONV,SAT>"] * 2
    join = table.row("join")
    assert join.accumulator is None
    assert str(join.tight_output) == "ap_fixed<7,3,TRN,WRAP>"
