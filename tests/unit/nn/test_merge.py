"""Sums, products and joins of tensors: formats, shapes, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from torchq.convert import quantize
from torchq.errors import GraphError, TorchqError
from torchq.formats import FixedPoint
from torchq.graph import evaluate, trace, workloads
from torchq.nn import QActivation, QAdd, QConcat, QInput, QMul
from torchq.scheme import Scheme

SIX, UNSIGNED = "quantized_bits(6,2,alpha=1)", "quantized_relu(4,1)"


class Two(nn.Module):
    """Two quantizers of different formats, and what is made of their tensors."""

    def __init__(self, function: Callable[..., Any], **modules: nn.Module) -> None:
        super().__init__()
        self.a, self.b = QInput(SIX), QActivation(UNSIGNED)
        for name, module in modules.items():
            self.add_module(name, module)
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(self, self.a(x), self.b(x))


def held(model: nn.Module, shape: tuple[int, ...]) -> FixedPoint:
    """The format of the result, which holds every pair of extreme values."""
    graph = trace(model, shape)
    f = graph.node(graph.output).format
    assert isinstance(f, FixedPoint)
    x = torch.cat([torch.full((2, *shape), v, dtype=torch.float64) for v in (-1e6, 1e6, 0.3, -0.7)])
    x = torch.cat([x, torch.randn(100, *shape, dtype=torch.float64) * 5])
    assert f.holds(evaluate(graph, x)[graph.output].numpy()).all()
    return f


@pytest.mark.parametrize(
    ("layer", "format"),
    [
        (QAdd(), "ap_fixed<7,4,TRN,WRAP>"),
        (QMul(), "ap_fixed<10,4,TRN,WRAP>"),
        (QAdd("quantized_bits(4,1,alpha=1)"), "ap_fixed<4,2,RND_CONV,SAT>"),
        (QConcat(1, "quantized_bits(4,1,alpha=1)"), "ap_fixed<4,2,RND_CONV,SAT>"),
    ],
)
def test_formats_of_two_formats(layer: nn.Module, format: str) -> None:
    assert str(held(Two(lambda m, a, b: m.layer(a, b), layer=layer), (5,))) == format


def test_a_product_of_the_lowest_values_fits() -> None:
    f = held(Two(lambda m, a, b: m.layer(a, a), layer=QMul()), (3,))
    assert str(f) == "ap_fixed<12,6,TRN,WRAP>"


def test_a_sum_of_three() -> None:
    assert str(held(Two(lambda m, a, b: m.layer(a, b, a), layer=QAdd()), (3,))) == "ap_fixed<8,5,TRN,WRAP>"


@pytest.mark.parametrize("dim", [1, -3, 3, -1])
def test_a_join_keeps_each_operand_on_its_grid(dim: int) -> None:
    f = held(Two(lambda m, a, b: m.layer(a, b), layer=QConcat(dim)), (2, 3, 4))
    axis = dim - 1 if dim > 0 else 3 + dim
    shape = [length * 2 if i == axis else length for i, length in enumerate((2, 3, 4))]
    width = np.broadcast_to(np.asarray(f.width), shape)
    assert set(np.take(width, 0, axis).ravel()) == {6}
    assert set(np.take(width, -1, axis).ravel()) == {4}


def test_a_join_of_one_format_is_of_that_format() -> None:
    assert held(Two(lambda m, a, b: m.layer(a, a), layer=QConcat()), (3,)) == FixedPoint(6, 3)


def test_work() -> None:
    model = Two(lambda m, a, b: m.add(m.mul(a, b), b), add=QAdd(SIX), mul=QMul(SIX))
    add, mul = (next(w for w in workloads(trace(model, (5,))) if w.layer == name) for name in ("add", "mul"))
    assert (add.kind, add.macs, [x.name for x in add.inputs]) == ("add", 0, ["mul", "b"])
    assert (mul.kind, mul.macs, mul.fan_in, str(mul.product)) == ("mul", 5, 1, "ap_fixed<10,4,TRN,WRAP>")


def test_work_names_who_made_the_values() -> None:
    model = Two(lambda m, a, b: m.add(a.reshape(-1, 6), b.flatten(1)), add=QAdd())
    (*_, add) = workloads(trace(model, (2, 3)))
    assert [(x.name, x.shape) for x in add.inputs] == [("a", (6,)), ("b", (6,))]


def sentence(function: Callable[..., Any], shape: tuple[int, ...] = (4,), **modules: nn.Module) -> str:
    with pytest.raises(GraphError) as caught:
        trace(Two(function, **modules), shape)
    return str(caught.value)


def test_operands_that_no_quantizer_made_are_named_together() -> None:
    assert sentence(
        lambda m, a, b: m.last(m.add(m.mul(a, b), m.mul(b, b)), m.mul(a, b)),
        add=QAdd(),
        mul=QMul(),
        last=QAdd(),
    ).splitlines() == [
        "add reads a tensor that no quantizer made (mul); put a quantizer after mul",
        "add reads a tensor that no quantizer made (mul_1); put a quantizer after mul_1",
        "last reads a tensor that no quantizer made (add); put a quantizer after add",
        "last reads a tensor that no quantizer made (mul_2); put a quantizer after mul_2",
    ]


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (
            lambda m, a, b: m.add(a, b.unsqueeze(1)),
            "add needs operands of one shape, got samples of shape (4,) and (1, 4) from a and unsqueeze",
        ),
        (
            lambda m, a, b: m.add(a, b[:, :3]),
            "add needs operands of one shape, got samples of shape (4,) and (3,) from a and getitem",
        ),
        (lambda m, a, b: m.add(a), "add needs at least 2 operands, got 1 from a"),
        (lambda m, a, b: m.mul(a, b, a), "mul needs 2 operands, got 3 from a and b and a"),
        (
            lambda m, a, b: m.cat(a, b),
            "cat needs operands with axis 2, got samples of shape (4,) and (4,) from a and b",
        ),
        (
            lambda m, a, b: m.cat(a.view(-1, 2, 2), b.view(-1, 1, 4)),
            "cat needs operands that differ along axis 2 only, "
            "got samples of shape (2, 2) and (1, 4) from view and view_1",
        ),
        (lambda m, a, b: a + b, "add is a float Add; quantize(model, scheme) turns Add into QAdd"),
        (
            lambda m, a, b: a + 1.5,
            "add is not supported with these arguments: 1.5; "
            "both operands must be tensors that quantizers made",
        ),
        (
            lambda m, a, b: torch.add(a, b, alpha=2),
            "add is not supported with these arguments: alpha=2; "
            "both operands must be tensors that quantizers made",
        ),
        (
            lambda m, a, b: torch.cat([a, b]),
            "cat is not supported with these arguments: dim 0 is the batch axis; "
            "join tensors along an axis of the samples",
        ),
    ],
)
def test_what_cannot_meet(function: Callable[..., Any], text: str) -> None:
    found = sentence(function, add=QAdd(), mul=QMul(), cat=QConcat(2))
    assert found.split("; supported: ")[0] == text


def test_a_join_of_batches() -> None:
    with pytest.raises(TorchqError) as caught:
        QConcat(0)
    assert str(caught.value) == "dim 0 is the batch axis; join tensors along an axis of the samples"


@pytest.mark.parametrize(
    ("function", "layer"),
    [
        (lambda m, a, b: a + b, QAdd),
        (lambda m, a, b: torch.add(a, b), QAdd),
        (lambda m, a, b: a.add(b), QAdd),
        (lambda m, a, b: a * b, QMul),
        (lambda m, a, b: torch.mul(a, b), QMul),
        (lambda m, a, b: torch.cat((a, b), dim=1), QConcat),
        (lambda m, a, b: torch.cat([a, b], -1), QConcat),
    ],
)
def test_functions_become_layers(function: Callable[..., Any], layer: type[nn.Module]) -> None:
    model = quantize(Two(function), Scheme(), (4,))
    graph = trace(model, (4,))
    assert type(graph.node(graph.output).module) is layer
    x = torch.randn(30, 4)
    assert torch.equal(model(x), Two(function)(x))


def test_a_sum_in_place() -> None:
    def function(m: Any, a: Tensor, b: Tensor) -> Tensor:
        a += b
        return a

    model = quantize(Two(function), Scheme(), (4,))
    assert sum(type(module) is QAdd for module in model.modules()) == 1
    assert torch.equal(model(torch.ones(2, 4)), torch.full((2, 4), 2.0))
