"""Names, kinds, shapes and formats of traced models."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torchq.errors import GraphError
from torchq.formats import FixedPoint
from torchq.graph import Graph, evaluate, trace, workloads
from torchq.nn import QActivation, QInput, QLinear, QReLU

Q = "quantized_bits(6,0,alpha=1)"


def linear(inputs: int, outputs: int, **options: object) -> QLinear:
    return QLinear(inputs, outputs, weight_quantizer=Q, bias_quantizer=Q, **options)  # type: ignore[arg-type]


def jets() -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            quantize_input=QInput("quantized_bits(16,6,alpha=1)"),
            fc1=linear(16, 64),
            relu1=QReLU("quantized_relu(6)"),
            drop=nn.Dropout(0.1),
            fc2=linear(64, 5),
            softmax=nn.Softmax(dim=1),
        )
    )


def summary(graph: Graph) -> list[tuple[str, str, tuple[int, ...], str]]:
    return [(node.name, node.kind, node.shape, str(node.format)) for node in graph.nodes]


def test_names_kinds_shapes_and_formats() -> None:
    graph = trace(jets())
    assert (graph.input, graph.output) == ("input", "softmax")
    assert summary(graph) == [
        ("input", "input", (16,), "None"),
        ("quantize_input", "quantize", (16,), "ap_fixed<16,7,RND_CONV,SAT>"),
        ("fc1", "linear", (64,), "ap_fixed<26,12,TRN,WRAP>"),
        ("relu1", "relu", (64,), "ap_ufixed<6,0,RND_CONV,SAT>"),
        ("drop", "identity", (64,), "ap_ufixed<6,0,RND_CONV,SAT>"),
        ("fc2", "linear", (5,), "ap_fixed<19,8,TRN,WRAP>"),
        ("softmax", "softmax", (5,), "None"),
    ]


def test_a_graph_finds_nodes_and_readers() -> None:
    graph = trace(jets())
    assert [node.name for node in graph.nodes if node.quantized] == ["quantize_input", "relu1", "drop"]
    assert graph.node("fc1").inputs == ("quantize_input",)
    assert [node.name for node in graph.consumers("relu1")] == ["drop"]
    assert graph.node("fc1").spec.count == 64
    with pytest.raises(GraphError) as caught:
        graph.node("fc3")
    assert str(caught.value) == (
        "the model has no node 'fc3'; did you mean 'fc2'? "
        "Nodes: input, quantize_input, fc1, relu1, drop, fc2, softmax"
    )


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = linear(4, 4)
        self.quantizer = QActivation("quantized_relu(5,1)")

    def forward(self, x: Tensor) -> Tensor:
        return self.quantizer(F.relu(self.fc(x)))  # type: ignore[no-any-return]


class Own(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.x = QInput(Q)
        self.blocks = nn.ModuleList([Block(), Block()])
        self.head = linear(4, 2, output_quantizer=Q)

    def forward(self, x: Tensor) -> Tensor:
        x = self.x(x)
        for block in self.blocks:
            x = torch.flatten(block(x), 1)
        return torch.relu(self.head(x).relu())


def test_nested_modules_functions_and_methods() -> None:
    graph = trace(Own())
    assert [(node.name, node.kind) for node in graph.nodes] == [
        ("x_0", "input"),  # the name of the argument is taken by the module x
        ("x", "quantize"),
        ("blocks.0.fc", "linear"),
        ("relu", "relu"),
        ("blocks.0.quantizer", "quantize"),
        ("flatten", "identity"),
        ("blocks.1.fc", "linear"),
        ("relu_1", "relu"),
        ("blocks.1.quantizer", "quantize"),
        ("flatten_1", "identity"),
        ("head", "linear"),
        ("relu_2", "relu"),
        ("relu_3", "relu"),
    ]
    assert str(graph.node("relu").format) == "ap_ufixed<13,3,TRN,WRAP>"
    assert str(graph.node("relu_3").format) == "ap_ufixed<5,0,RND_CONV,SAT>"
    model = Own().eval()
    x = torch.randn(30, 4)
    assert torch.equal(evaluate(trace(model), x)[trace(model).output], model(x))


def test_a_relu_behind_a_quantizer_keeps_the_grid() -> None:
    model = nn.Sequential(QInput(Q), linear(4, 3, output_quantizer=Q), nn.ReLU(), linear(3, 2))
    graph = trace(model)
    assert graph.node("2").format == FixedPoint(5, 0, signed=False)
    assert graph.node("2").quantized


def test_a_softmax_is_no_quantizer() -> None:
    graph = trace(nn.Sequential(QInput(Q), nn.LogSoftmax(-1)), (3,))
    assert (graph.node("1").kind, graph.node("1").quantized, graph.node("1").format) == (
        "softmax",
        False,
        None,
    )


def test_two_readers_of_one_tensor() -> None:
    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.quantizer = QInput(Q)
            self.used, self.unused = linear(4, 2), linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            x = self.quantizer(x)
            self.unused(x)
            return self.used(x)  # type: ignore[no-any-return]

    assert [node.name for node in trace(Branches()).nodes] == ["x", "quantizer", "used"]


def test_a_dropout_may_be_used_twice() -> None:
    drop = nn.Dropout(0.5)
    graph = trace(nn.Sequential(QInput(Q), drop, linear(4, 2, output_quantizer=Q), drop))
    assert [node.name for node in graph.nodes][2::2] == ["1", "1_1"]


def test_a_single_layer_is_a_model() -> None:
    assert [node.name for node in trace(QActivation(Q), (3,)).nodes] == ["input", "layer"]


@pytest.mark.parametrize("example", [None, (16,), torch.zeros(1, 16), torch.zeros(9, 16), torch.zeros(0, 16)])
def test_only_the_shape_of_the_example_counts(example: Tensor | tuple[int, ...] | None) -> None:
    assert summary(trace(jets(), example)) == summary(trace(jets(), (16,)))


def test_tracing_leaves_the_model_as_it_is() -> None:
    model = jets().train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    evaluate(trace(model), torch.randn(3, 16))
    assert all(module.training for module in model.modules())
    assert all(torch.equal(model.state_dict()[key], value) for key, value in before.items())


def test_float64_models() -> None:
    graph = trace(jets().double())
    assert evaluate(graph, torch.randn(3, 16, dtype=torch.float64))["fc2"].dtype == torch.float64


def test_evaluate_does_not_change_what_it_recorded() -> None:
    model = nn.Sequential(QInput(Q), linear(4, 8, output_quantizer=Q), nn.ReLU(inplace=True))
    values = evaluate(trace(model), torch.randn(50, 4))
    assert (values["1"] < 0).any()
    assert (values["2"] >= 0).all()


def test_workloads() -> None:
    model = jets()
    with torch.no_grad():
        model.get_submodule("fc1").weight[:4] = 0.0  # type: ignore[index]
    found = {work.layer: work for work in workloads(trace(model))}
    assert list(found) == ["quantize_input", "fc1", "relu1", "fc2", "softmax"]
    fc1 = found["fc1"]
    assert (fc1.macs, fc1.fan_in, fc1.parameter_bits) == (1024, 16, 6528)
    assert str(fc1.product) == "ap_fixed<21,7,TRN,WRAP>"
    assert str(fc1.accumulator) == "ap_fixed<26,12,TRN,WRAP>"
    assert fc1.weight is not None
    assert fc1.weight.zeros >= 64
    assert fc1.zeros >= fc1.weight.zeros
    assert (fc1.inputs[0].bits, fc1.output.bits) == (256, 26 * 64)
    assert found["softmax"].output.bits == 160
    assert found["relu1"].macs == 0


def test_an_edge_without_bias_holds_the_product_of_the_lowest() -> None:
    model = nn.Sequential(QInput(Q), QLinear(4, 1, bias=False, weight_quantizer=Q))
    with torch.no_grad():
        model.get_submodule("1").weight.fill_(-1.0)  # type: ignore[operator, union-attr]
    graph = trace(model)
    value = evaluate(graph, torch.full((1, 4), -1.0))["1"]
    assert value.item() == 4.0
    f = graph.node("1").format
    assert isinstance(f, FixedPoint)
    assert f.holds(4.0)
    assert str(workloads(graph)[1].accumulator) == "ap_fixed<13,3,TRN,WRAP>"


def test_formats_per_weight_are_counted_one_by_one() -> None:
    width = np.array([[0, 2, 4, 6], [3, 3, 3, 3]])
    fc = QLinear(4, 2, bias=False, weight_quantizer=FixedPoint(width, 1))
    with torch.no_grad():
        fc.weight.fill_(0.7)
    graph = trace(nn.Sequential(QInput(Q), fc))
    work = workloads(graph)[1]
    assert work.weight is not None
    assert (work.weight.bits, work.weight.zeros) == (24, 1)
    assert str(work.product) == "ap_fixed<11,1,TRN,WRAP>"
    f = graph.node("1").format
    assert isinstance(f, FixedPoint)
    assert f.holds(evaluate(graph, torch.randn(50, 4).double())["1"].numpy()).all()
