"""Functions are traced as the modules of the same meaning; tuples, items and whole numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torchq.errors import GraphError
from torchq.graph import symbolic, trace
from torchq.graph.shapes import shapes
from torchq.nn import QInput
from torchq.nn.registry import CALLS, is_known


class Apply(nn.Module):
    """A function after a quantizer."""

    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.q = QInput("quantized_bits(8,3,alpha=1)")
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(self.q(x))


FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "avg_pool2d": lambda x: F.avg_pool2d(x, 2),
    "adaptive_avg_pool2d": lambda x: F.adaptive_avg_pool2d(x, 1),
    "avg_pool1d": lambda x: F.avg_pool1d(x.flatten(2), 2),
    "adaptive_avg_pool1d": lambda x: F.adaptive_avg_pool1d(x.flatten(2), 4),
    "sigmoid": lambda x: torch.sigmoid(x) + F.sigmoid(x) * x.sigmoid(),
    "tanh": lambda x: torch.tanh(x) + F.tanh(x) * x.tanh(),
    "silu": F.silu,
    "gelu": lambda x: F.gelu(x, approximate="tanh"),
    "elu": lambda x: F.elu(x, 0.5),
    "softplus": F.softplus,
    "hardsigmoid": F.hardsigmoid,
    "hardswish": F.hardswish,
    "hardtanh": lambda x: F.hardtanh(x, -2, 3),
    "softmax": lambda x: F.softmax(x, dim=-1) + x.softmax(1) * torch.softmax(x, 2),
    "log_softmax": lambda x: F.log_softmax(x, dim=-1) + x.log_softmax(1),
    "add": lambda x: torch.add(x, x).add(x) + x,
    "mul": lambda x: torch.mul(x, x).mul(x) * x,
    "concat": lambda x: torch.cat([x, torch.concat((x, x), dim=2)], 2),
}


PASSIVE_FUNCTIONS: list[Callable[[Tensor], Tensor]] = [
    lambda x: torch.relu(x) + F.relu(x) * x.relu(),
    lambda x: F.dropout2d(F.dropout(x, 0.0), 0.0),
]


@pytest.mark.parametrize("function", PASSIVE_FUNCTIONS)
def test_passive_functions(function: Callable[[Tensor], Tensor]) -> None:
    x = torch.randn(5, 2, 4, 4)
    assert torch.equal(_compute(function, x)[0], Apply(function)(x))


def test_every_call_of_the_registry_is_tried() -> None:
    assert set(FUNCTIONS) == set(CALLS)


def _compute(function: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, list[nn.Module | None]]:
    """The last step's tensor, computed step by step through the modules that stand in."""
    found = symbolic(Apply(function))
    values: dict[str, Any] = {found.input: x}
    for step in found.steps:
        values[step.name] = step.compute(step.module, [values[s] for s in step.sources], len(x))
    assert shapes(found, (2, 4, 4))[found.output].shape == tuple(values[found.output].shape[1:])
    return values[found.output], [step.module for step in found.steps]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_computes_what_its_module_does(name: str) -> None:
    x = torch.randn(5, 2, 4, 4)
    try:
        result, modules = _compute(FUNCTIONS[name], x)
    except GraphError as fault:  # a module that no layer stands for yet
        assert "is not supported" in str(fault)  # noqa: PT017
        assert not is_known(CALLS.get(name).module(2))
        return
    assert torch.equal(result, Apply(FUNCTIONS[name])(x))
    assert all(module is None or is_known(module) for module in modules)


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (
            lambda x: F.softmax(x, dim=-1, dtype=torch.float64),
            "softmax is not supported with these arguments: d",
        ),
        (
            lambda x: F.gelu(x, approximate="none") if x is None else torch.fmod(x, 2),
            "fmod is not supported; ",
        ),
    ],
)
def test_arguments_that_no_module_has(function: Callable[[Tensor], Any], text: str) -> None:
    with pytest.raises(GraphError) as caught:
        symbolic(Apply(function))
    assert str(caught.value).startswith(text)


def test_a_softmax_within_a_model() -> None:
    with pytest.raises(GraphError) as caught:
        trace(Apply(lambda x: F.softmax(x, dim=-1).flatten(1)), (3, 4))
    assert str(caught.value) == (
        "softmax (Softmax) may only be the last step of a model; quantize it, or take it out"
    )
    assert trace(Apply(lambda x: F.softmax(x, dim=-1)), (3, 4)).node("softmax").kind == "softmax"
