"""Nested, functional and residual models, shared modules, branches: quantized, traced, frozen, and back."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torchq.convert import dequantize, freeze, left_float, quantize
from torchq.errors import GraphError, SchemeError
from torchq.graph import evaluate, trace, workloads
from torchq.nn import QAdd, QLinear, QReLU
from torchq.scheme import Scheme

SIX, WIDE, RELU = "quantized_bits(6,1,alpha=1)", "quantized_bits(10,3,alpha=1)", "quantized_relu(6,2)"


def scheme(**more: Any) -> Scheme:
    return Scheme(
        {"*": {"weight": SIX, "bias": SIX, "output": WIDE}, "class:ReLU": {"output": RELU}, **more}, SIX
    )


class Residual(nn.Module):
    """Two blocks in modules of their own, with one relu for all places."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(6, 8)
        self.act = nn.ReLU()
        self.blocks = nn.ModuleList(
            nn.Sequential(OrderedDict(fc1=nn.Linear(8, 8), act=self.act, fc2=nn.Linear(8, 8)))
            for _ in range(2)
        )
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.stem(x))
        for block in self.blocks:
            x = self.act(block(x) + x)
        return self.head(x)  # type: ignore[no-any-return]


class Branches(nn.Module):
    """Functions only, between layers that are called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 6)
        self.gate = nn.Linear(6, 6)
        self.head = nn.Linear(12, 2)

    def forward(self, x: Tensor) -> Tensor:
        a = F.relu(self.fc(x))
        b = torch.relu(self.fc(a))
        g = self.gate(a).relu()
        y = torch.cat([a * g, b], dim=1)
        return self.head(F.dropout(y, 0.2, training=self.training).view(y.size(0), -1))  # type: ignore[no-any-return]


MODELS = [Residual, Branches]


@pytest.mark.parametrize("make", MODELS)
def test_nothing_is_left_float_and_all_is_exact(make: type[nn.Module]) -> None:
    torch.manual_seed(3)
    model = quantize(make(), scheme(), (6,))
    assert left_float(model) == {}
    graph = trace(model, (6,))
    x = torch.randn(200, 6, dtype=torch.float64) * 3
    values = evaluate(graph, x)
    for node in graph.nodes[1:]:
        assert node.format is not None
        assert node.format.as_fixed().holds(values[node.name].numpy()).all(), node.name
    frozen = freeze(model).double()
    assert torch.equal(frozen(x), values[graph.output])
    assert torch.equal(evaluate(trace(frozen, (6,)), x)[graph.output], values[graph.output])
    assert len(workloads(graph)) > 5


@pytest.mark.parametrize("make", MODELS)
def test_there_and_back(make: type[nn.Module]) -> None:
    torch.manual_seed(3)
    model = make().eval()
    back = dequantize(quantize(model, scheme(), (6,)))
    assert {key: value.tolist() for key, value in back.state_dict().items()} == {
        key: value.tolist() for key, value in model.state_dict().items()
    }
    x = torch.randn(20, 6)
    assert torch.allclose(back.eval()(x), model(x))
    assert back(x).unique().numel() > 10


def test_a_module_called_again_is_one_module() -> None:
    model = quantize(Residual(), scheme(), (6,))
    graph = trace(model, (6,))
    places = [node.name for node in graph.nodes if node.kind == "relu"]
    assert places == ["act", "act_1", "act_2", "act_3", "act_4"]
    assert {id(graph.node(name).module) for name in places} == {id(model.get_submodule("act"))}
    assert type(model.get_submodule("act")) is QReLU
    frozen = freeze(model)
    assert sum(isinstance(module, QReLU) for module in frozen.modules()) == 1


def test_a_linear_called_again_has_one_weight() -> None:
    model = quantize(Branches(), scheme(), (6,))
    graph = trace(model, (6,))
    assert graph.node("fc").module is graph.node("fc_1").module
    assert isinstance(graph.node("fc_1").module, QLinear)
    fc = next(work for work in workloads(graph) if work.layer == "fc_1")
    assert fc.inputs[0].name == "relu"
    y = model.train()(torch.randn(4, 6))
    y.sum().backward()
    assert model.get_submodule("fc").weight.grad is not None


def test_names_that_look_like_a_second_call() -> None:
    class Names(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.fc_1 = nn.Linear(4, 4), nn.Linear(4, 4)
            self.act = nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            return self.fc_1(self.act(self.fc(self.act(self.fc(x)))))  # type: ignore[no-any-return]

    graph = trace(quantize(Names(), scheme()), (4,))
    assert [node.name for node in graph.nodes if node.kind == "linear"] == ["fc", "fc_2", "fc_1"]


def test_sums_get_an_output_quantizer_where_a_sum_behind_needs_it() -> None:
    model = quantize(Residual(), scheme(), (6,))
    assert str(model.get_submodule("blocks.0.fc2").output_quantizer) == str(QAdd(WIDE).output_quantizer)
    assert model.get_submodule("blocks.0.fc1").output_quantizer is None
    assert model.get_submodule("add").output_quantizer is None


def test_an_unsigned_default_behind_a_sum() -> None:
    with pytest.raises(SchemeError) as caught:
        quantize(Residual(), Scheme.uniform(SIX, SIX, RELU, SIX), (6,))
    assert str(caught.value) == (
        "blocks.0.fc2 feeds add with no relu between, and quantized_relu(6,2) would cut its negative values "
        "off; give blocks.0.fc2 an output quantizer of its own"
    )


def test_a_functional_dropout_follows_the_mode() -> None:
    model = quantize(Branches().train(), scheme(), (6,))
    x = torch.full((50, 6), 0.9)
    torch.manual_seed(0)
    assert not torch.equal(model(x), model(x))
    model.eval()
    assert torch.equal(model(x), model(x))


def test_two_inputs() -> None:
    class Both(nn.Module):
        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return a + b

    with pytest.raises(GraphError) as caught:
        quantize(Both(), Scheme())
    assert str(caught.value) == "Both must have exactly one input, got 2 (a, b)"


def test_units_of_layers_that_cannot_lose_neurons() -> None:
    def refused(units: dict[str, int], make: type[nn.Module]) -> str:
        with pytest.raises(SchemeError) as caught:
            quantize(make(), Scheme({}, units=units))
        return str(caught.value)

    assert refused({"stem": 4}, Residual) == (
        "units: stem is read by add (Add), which cannot follow; keep all neurons of it"
    )
    assert refused({"fc": 4}, Branches) == ("units: fc is called 2 times; give each place a layer of its own")
    assert refused({"gate": 4}, Branches) == (
        "units: gate is read by mul (Mul), which cannot follow; keep all neurons of it"
    )
    model = quantize(Residual(), Scheme({}, units={"blocks.1.fc1": 5}))
    assert model.get_submodule("blocks.1.fc2").in_features == 5


def test_prefer_adaptive() -> None:
    model = quantize(Residual(), scheme(**{"head": {"output": WIDE}}), (6,), prefer_adaptive=True)
    assert str(model.get_submodule("act").output_quantizer) == "quantized_adaptive('quantized_relu',6)"
    assert str(model.get_submodule("head").output_quantizer) == str(QAdd(WIDE).output_quantizer)
    model.train()(torch.rand(8, 6) * 7)
    assert left_float(model.eval()) == {}
    kept = quantize(nn.Sequential(nn.ReLU()), Scheme({"0": {"output": "ternary()"}}), prefer_adaptive=True)
    assert str(kept.get_submodule("0").output_quantizer).startswith("ternary")


def test_dequantize_folds_a_batch_norm() -> None:
    torch.manual_seed(1)
    model = nn.Sequential(OrderedDict(fc=nn.Linear(4, 3), bn=nn.BatchNorm1d(3), act=nn.ReLU()))
    model.train()(torch.randn(50, 4) * 3)
    model.eval()
    quantized = quantize(model, scheme())
    back = dequantize(quantized)
    assert type(back.get_submodule("fc")) is nn.Linear
    x = torch.randn(20, 4)
    assert torch.allclose(back(x), model(x), atol=1e-6)
    assert not hasattr(back, "bn")
    assert type(quantized.get_submodule("fc")).__name__ == "QLinearBatchNorm1d"
    with torch.no_grad():
        back.get_submodule("fc").weight.zero_()
    assert quantized.get_submodule("fc").weight.abs().sum() > 0


def test_what_is_left_float_in_a_residual_model() -> None:
    model = quantize(Residual(), Scheme({"stem": {"weight": SIX}}), (6,))
    assert left_float(model) == {
        "x": "no quantizer",
        "stem.bias": "no quantizer",
        "act": "ReLU, no output quantizer",
        "blocks.0.fc1": "Linear, no weight quantizer",
        "blocks.0.fc2": "Linear, no weight quantizer",
        "blocks.1.fc1": "Linear, no weight quantizer",
        "blocks.1.fc2": "Linear, no weight quantizer",
        "head": "Linear, no weight quantizer",
    }


def test_a_sum_that_another_reads_is_named() -> None:
    model = quantize(
        nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3)), Scheme({"?": {"weight": SIX, "bias": SIX}}, SIX)
    )
    assert left_float(model) == {"0.output": "no quantizer, and 1 reads it"}
