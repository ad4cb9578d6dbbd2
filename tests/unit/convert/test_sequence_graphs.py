"""Tuples of recurrent layers, batches along another axis, gates over channels, and tied weights."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torchq.convert import dequantize, freeze, left_float, quantize
from torchq.graph import Graph, evaluate, trace
from torchq.nn import QSigmoid
from torchq.scheme import Scheme

W = "quantized_bits(6,1,alpha=1)"
SCHEME = Scheme(
    {
        "*": {"weight": W, "bias": W, "output": "quantized_bits(12,4,alpha=1)"},
        "class:RNNBase": {"recurrent": W, "state": "fixed(9,1)"},
        "class:LSTM": {"cell": "fixed(9,3)"},
        "class:ReLU": {"output": "quantized_relu(6,2)"},
    },
    "quantized_bits(8,2,alpha=1)",
)


class Last(nn.Module):
    """A recurrent layer and a linear one that reads what ``function`` takes of it."""

    def __init__(self, layer: nn.Module, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.rnn, self.fc = layer, nn.Linear(4, 2)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.function(self.rnn, x))  # type: ignore[no-any-return]


CASES: dict[str, tuple[Callable[[], nn.Module], Callable[..., Tensor]]] = {
    "last step": (lambda: nn.GRU(3, 4, batch_first=True), lambda rnn, x: rnn(x)[0][:, -1]),
    "last state": (lambda: nn.GRU(3, 4, batch_first=True), lambda rnn, x: rnn(x)[1][-1]),
    "state of a state": (lambda: nn.LSTM(3, 4, batch_first=True), lambda rnn, x: rnn(x)[1][0].squeeze(0)),
    "time first": (lambda: nn.LSTM(3, 4), lambda rnn, x: rnn(x.transpose(0, 1))[0][-1]),
    "time first, back": (
        lambda: nn.RNN(3, 4),
        lambda rnn, x: rnn(x.permute(1, 0, 2))[0].permute(1, 0, 2)[:, 0],
    ),
}


def exact(model: nn.Module, graph: Graph, shape: tuple[int, ...]) -> None:
    x = torch.randn(7, *shape, dtype=torch.float64) * 2
    values = evaluate(graph, x)
    for node in graph.nodes[1:]:
        result = values[node.name]
        assert node.format is not None
        if isinstance(result, Tensor):
            assert node.format.as_fixed().holds(result.numpy()).all(), node.name
    assert torch.equal(model.double().eval()(x), values[graph.output])
    assert torch.equal(freeze(model)(x), values[graph.output])


@pytest.mark.parametrize("case", CASES)
def test_what_is_taken_of_a_tuple(case: str) -> None:
    torch.manual_seed(0)
    layer, function = CASES[case]
    model = quantize(Last(layer(), function), SCHEME, (5, 3))
    assert left_float(model) == {}
    graph = trace(model, (5, 3))
    assert graph.node(graph.output).shape == (2,)
    assert graph.node(graph.output).batch_axis == 0
    exact(model, graph, (5, 3))


@pytest.mark.parametrize("case", CASES)
def test_there_and_back(case: str) -> None:
    layer, function = CASES[case]
    model = Last(layer(), function).eval()
    x = torch.randn(6, 5, 3)
    assert torch.allclose(dequantize(quantize(model, SCHEME, (5, 3)))(x), model(x), atol=1e-6)


class Gated(nn.Module):
    """Channels are weighted by what a pool over each says."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.act, self.fc = nn.Conv2d(2, 4, 1), nn.ReLU(), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.conv(x))
        gate = torch.sigmoid(self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1)))
        return x * gate.view(-1, 4, 1, 1)


def test_gates_over_channels() -> None:
    model = quantize(Gated(), SCHEME, (2, 4, 4))
    assert left_float(model) == {}
    graph = trace(model, (2, 4, 4))
    assert type(graph.node("sigmoid").module) is QSigmoid
    assert graph.node("mul").inputs == ("act", "view")
    assert graph.node("mul").shape == (4, 4, 4)
    exact(model, graph, (2, 4, 4))


def test_tied_weights_and_names_for_one_module() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.ReLU()
            self.second = self.first
            self.fc1, self.fc2 = nn.Linear(4, 4), nn.Linear(4, 4)
            self.fc2.weight = self.fc1.weight

        def forward(self, x: Tensor) -> Tensor:
            return self.second(self.fc2(self.first(self.fc1(x))))  # type: ignore[no-any-return]

    model = quantize(Tied(), SCHEME)
    assert model.get_submodule("fc1").weight is model.get_submodule("fc2").weight
    assert [node.name for node in trace(model).nodes if node.kind == "relu"] == ["first", "first_1"]
    back = dequantize(model)
    assert back.get_submodule("fc1").weight is back.get_submodule("fc2").weight
    assert back.get_submodule("fc1").weight is not model.get_submodule("fc1").weight
    exact(model, trace(model), (4,))
