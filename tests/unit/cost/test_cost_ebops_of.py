"""``ebops_of``: the figure of the target, with gradients."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from torchq.cost import Ebops, ebops_of
from torchq.errors import CostError
from torchq.formats import FixedPoint
from torchq.nn import QConv1d, QConv2d, QConvTranspose1d, QLinear
from torchq.workload import ParamSpec, TensorSpec

Q = "quantized_bits(6,0,alpha=1)"
LAYERS: list[tuple[Any, tuple[int, ...]]] = [
    (QLinear(4, 3, weight_quantizer=Q), (4,)),
    (QLinear(4, 3, weight_quantizer=Q), (2, 5, 4)),
    (QConv1d(4, 6, 3, 2, 1, 2, groups=2, weight_quantizer=Q), (4, 9)),
    (QConv2d(2, 4, (3, 2), (1, 2), "valid", weight_quantizer=Q), (2, 5, 6)),
    (QConv2d(3, 3, 3, 1, 1, groups=3, padding_mode="circular", weight_quantizer=Q), (3, 4, 4)),
    (QConvTranspose1d(2, 4, 3, 2, 1, 1, 2, weight_quantizer=Q), (2, 5)),
]


def targets_figure(layer: Any, shape: tuple[int, ...], weight_bits: Any, input_bits: Any) -> float:
    """With formats whose constants need at most these bits, and no values."""
    made = tuple(layer(torch.zeros(1, *shape)).shape[1:])
    x = TensorSpec("x", shape, FixedPoint(input_bits, 1, signed=False))
    work = layer.workload("layer", (x,), TensorSpec("layer", made, None))
    weight = ParamSpec("weight", work.weight.shape, FixedPoint(weight_bits, 1, signed=False))
    return float(Ebops().price((replace(work, weight=weight),)).total["ebops"])


def some_bits(shape: tuple[int, ...], kind: str, channels: int, seed: int) -> Any:
    random = np.random.default_rng(seed)
    sizes = {"tensor": (), "element": shape, "channel": (shape[0], *[1] * (len(shape) - 1))}[kind]
    return random.integers(0, 9, sizes) if sizes else int(random.integers(0, 9))


KIND = st.sampled_from(["tensor", "channel", "element"])


@given(st.sampled_from(LAYERS), KIND, KIND, st.integers(0, 1000))
def test_the_figure_is_that_of_the_target(case: Any, of_weight: str, of_input: str, seed: int) -> None:
    layer, shape = case
    weight_bits = some_bits(tuple(layer.weight.shape), of_weight, 0, seed)
    input_bits = some_bits(shape, of_input, 0, seed + 1)
    found = ebops_of(
        torch.as_tensor(weight_bits, dtype=torch.float64),
        torch.as_tensor(input_bits, dtype=torch.float64),
        layer,
        shape,
    )
    assert found.item() == pytest.approx(targets_figure(layer, shape, weight_bits, input_bits), rel=1e-12)


@pytest.mark.parametrize(("layer", "shape"), LAYERS)
def test_gradients_of_both(layer: Any, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    for w_shape, x_shape in (
        (tuple(layer.weight.shape), shape),
        ((), ()),
        ((layer.weight.shape[0], *[1] * (layer.weight.ndim - 1)), (shape[0], *[1] * (len(shape) - 1))),
    ):
        w = (torch.rand(w_shape, dtype=torch.float64) * 6 + 1).requires_grad_()
        x = (torch.rand(x_shape, dtype=torch.float64) * 6 + 1).requires_grad_()

        def figure(w: Tensor, x: Tensor) -> Tensor:
            return ebops_of(w, x, layer, shape)

        assert torch.autograd.gradcheck(figure, (w, x))


def test_descent_on_the_bits_lowers_it_to_nothing() -> None:
    layer, shape = nn.Conv2d(2, 4, 3, padding=1), (2, 6, 6)
    w = torch.full(layer.weight.shape, 6.0, requires_grad=True)
    x = torch.full((2, 1, 1), 8.0, requires_grad=True)
    optimizer = torch.optim.SGD([w, x], lr=1e-3)
    figures = []
    for _ in range(40):
        optimizer.zero_grad()
        figure = ebops_of(w, x, layer, shape)
        figure.backward()
        optimizer.step()
        figures.append(figure.item())
    assert all(after <= before for before, after in itertools.pairwise(figures))
    assert figures[-1] < 0.01 * figures[0]


def test_bits_below_zero_are_no_gain() -> None:
    w = torch.tensor([[-3.0, 2.0]], requires_grad=True)
    figure = ebops_of(w, torch.tensor(4.0), nn.Linear(2, 1), (2,))
    figure.backward()
    assert figure.item() == 8.0
    assert w.grad is not None
    assert w.grad.tolist() == [[0.0, 4.0]]


ONE = torch.tensor(1.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (ONE, ONE, nn.ReLU(), (4,)),
            "ebops_of knows linear layers and convolutions, got ReLU; pass the layer that multiplies",
        ),
        (
            (torch.ones(3), ONE, nn.Linear(4, 2), (4,)),
            "weight_bits of shape (3,) do not broadcast to (2, 4); "
            "give one number, one a channel, or one an element",
        ),
        ((5, ONE, nn.Linear(4, 2), (4,)), "weight_bits must be a tensor of floats, got int"),
        (
            (ONE, torch.tensor(8), nn.Linear(4, 2), (4,)),
            "input_bits must be a tensor of floats, got a tensor of torch.int64",
        ),
        (
            (ONE, ONE, nn.Linear(4, 2), (5,)),
            "this Linear reads 4 values on the last axis, got samples of shape (5,)",
        ),
        (
            (ONE, ONE, nn.Conv1d(4, 2, 3), (2, 8)),
            "this Conv1d reads 4 channels and 1 axes, got samples of shape (2, 8)",
        ),
        (
            (ONE, ONE, nn.Conv1d(4, 2, 3), (4, 2)),
            "this Conv1d reads at least as many positions as its kernel reaches over, "
            "got samples of shape (4, 2)",
        ),
    ],
)
def test_mistakes_are_answered(arguments: Any, message: str) -> None:
    with pytest.raises(CostError) as fault:
        ebops_of(*arguments)
    assert str(fault.value) == message
