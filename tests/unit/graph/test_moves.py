"""Samples with several axes: reshapes, transposes, slices, and where formats per channel go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torchq.errors import GraphError
from torchq.formats import FixedPoint
from torchq.graph import evaluate, trace, workloads
from torchq.nn import QInput, QLinear

Q = "quantized_bits(6,0,alpha=1)"


class Model(nn.Module):
    """A quantizer, a function, and a layer if the function calls it."""

    def __init__(self, function: Callable[..., Any], features: int = 4, quantizer: Any = Q) -> None:
        super().__init__()
        self.q = QInput(quantizer)
        self.fc = QLinear(features, 3, weight_quantizer=Q, bias_quantizer=Q)
        self.flat = nn.Flatten()
        self.drop = nn.Dropout2d()
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(self, self.q(x))


MOVES: list[tuple[Callable[..., Any], tuple[int, ...], str]] = [
    (lambda m, x: m.flat(x), (24,), "reshape"),
    (lambda m, x: torch.flatten(x, 1), (24,), "reshape"),
    (lambda m, x: x.flatten(start_dim=2), (2, 12), "reshape"),
    (lambda m, x: x.view(x.size(0), -1), (24,), "reshape"),
    (lambda m, x: x.reshape(x.shape[0], 6, 4), (6, 4), "reshape"),
    (lambda m, x: x.view(-1, 24), (24,), "reshape"),
    (lambda m, x: x.unsqueeze(1), (1, 2, 3, 4), "reshape"),
    (lambda m, x: x.unsqueeze(1).squeeze(1), (2, 3, 4), "reshape"),
    (lambda m, x: x.permute(0, 2, 3, 1), (3, 4, 2), "transpose"),
    (lambda m, x: x.transpose(1, 2), (3, 2, 4), "transpose"),
    (lambda m, x: torch.transpose(x, -1, -2), (2, 4, 3), "transpose"),
    (lambda m, x: x[:, 1], (3, 4), "transpose"),
    (lambda m, x: x[:, :, :, -1], (2, 3), "transpose"),
    (lambda m, x: x[..., 1:3], (2, 3, 2), "transpose"),
    (lambda m, x: x.contiguous(), (2, 3, 4), "identity"),
    (lambda m, x: x.flatten(2).unflatten(2, (3, 4)), (2, 3, 4), "reshape"),
    (lambda m, x: x.view(x.size(0), 2, 3, 4), (2, 3, 4), "identity"),
    (lambda m, x: F.dropout(x, 0.3), (2, 3, 4), "identity"),
    (lambda m, x: m.drop(x), (2, 3, 4), "identity"),
]


@pytest.mark.parametrize(("function", "shape", "kind"), MOVES)
def test_values_are_moved_as_torch_does(
    function: Callable[..., Any], shape: tuple[int, ...], kind: str
) -> None:
    model = Model(function).eval()
    graph = trace(model, (2, 3, 4))
    last = graph.node(graph.output)
    assert (last.shape, last.kind, last.quantized) == (shape, kind, True)
    assert last.format == FixedPoint(6, 1)
    x = torch.randn(5, 2, 3, 4, dtype=torch.float64)
    torch.manual_seed(0)
    values = evaluate(graph, x)[graph.output]
    if "dropout" not in str(last.name):
        assert torch.equal(values, model.double()(x))
    assert values.shape == (5, *shape)
    assert [work.layer for work in workloads(graph)] == ["q"]


def test_a_functional_dropout_does_nothing_in_evaluation() -> None:
    graph = trace(Model(lambda m, x: F.dropout(x, 0.9)), (6,))
    values = evaluate(graph, torch.ones(4, 6))
    assert torch.equal(values["dropout"], values["q"])


@pytest.mark.parametrize(("function", "shape", "kind"), MOVES)
def test_formats_go_where_their_values_go(
    function: Callable[..., Any],
    shape: tuple[int, ...],
    kind: str,
) -> None:
    """Each value has a width of its own, so that a wrong place is seen."""
    width = np.arange(24).reshape(2, 3, 4) + 3
    graph = trace(Model(function, quantizer=FixedPoint(width, 2)), (2, 3, 4))
    f = graph.node(graph.output).format
    assert isinstance(f, FixedPoint)
    if "dropout" not in graph.output:
        expected = function(Model(function).eval(), torch.from_numpy(width).unsqueeze(0))
        assert np.array_equal(np.broadcast_to(np.asarray(f.width), shape), expected[0].numpy())
    values = evaluate(graph, torch.randn(50, 2, 3, 4, dtype=torch.float64) * 3)[graph.output]
    assert f.holds(values.numpy()).all()


def test_formats_per_channel_stay_so() -> None:
    width = np.array([4, 7]).reshape(2, 1, 1)
    graph = trace(Model(lambda m, x: x.permute(0, 2, 3, 1), quantizer=FixedPoint(width, 2)), (2, 3, 4))
    f = graph.node("permute").format
    assert isinstance(f, FixedPoint)
    assert np.asarray(f.width).shape == (1, 1, 2)


def test_a_transposed_batch_is_followed() -> None:
    model = Model(lambda m, x: m.fc(x.transpose(0, 1)[-1]))
    graph = trace(model, (5, 4))
    assert [(n.name, n.shape, n.batch_axis) for n in graph.nodes[2:]] == [
        ("transpose", (5, 4), 1),
        ("getitem", (4,), 0),
        ("fc", (3,), 0),
    ]
    x = torch.randn(7, 5, 4)
    assert torch.equal(evaluate(graph, x)["fc"], model.eval()(x))


def test_a_layer_that_gets_the_batch_elsewhere_refuses() -> None:
    with pytest.raises(GraphError) as caught:
        trace(Model(lambda m, x: m.fc(x.transpose(0, 1))), (4, 4))
    assert str(caught.value).startswith("fc ")


def test_a_transpose_that_hides_a_mixed_batch() -> None:
    """Shapes alone would not tell."""
    with pytest.raises(GraphError) as caught:
        trace(Model(lambda m, x: x.transpose(0, 1).reshape(x.size(0), 4)), (4,))
    assert str(caught.value) == (
        "reshape moves values from one sample of a batch to another; keep the batch an axis of its own"
    )


def test_the_length_of_another_axis_than_the_batch() -> None:
    def function(m: Any, x: Tensor) -> Tensor:
        y = x.transpose(0, 1)
        return y.reshape(y.size(0), -1).transpose(0, 1)

    with pytest.raises(GraphError) as caught:
        trace(Model(function), (4,))
    assert str(caught.value) == "forward takes axis 0 of transpose for the batch, which is axis 1"


def test_samples_with_no_shape_told() -> None:
    with pytest.raises(GraphError) as caught:
        trace(Model(lambda m, x: m.fc(x[:, 0])))
    assert str(caught.value) == "the shape of the input does not follow from the model; give an example"
    assert trace(Model(lambda m, x: m.fc(m.flat(x)))).node("flat").kind == "identity"
