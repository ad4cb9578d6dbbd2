"""The ranges are attained: layers of few inputs by trying all of them."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from interval_networks import layer
from torch import Tensor, nn

from torchq.formats import FixedPoint
from torchq.graph import evaluate, trace
from torchq.graph.intervals import Interval, intervals
from torchq.nn import QAdd, QInput

INPUT = "fixed(3,2)"


def all_inputs(shape: tuple[int, ...]) -> Tensor:
    """Every sample of 3-bit numbers."""
    values = np.arange(-4, 4) / 2
    count = int(np.prod(shape))
    rows = np.array(list(itertools.product(values, repeat=count)))
    return torch.from_numpy(rows.reshape(-1, *shape))


def check_attained(model: nn.Module, shape: tuple[int, ...]) -> None:
    graph = trace(model.double().eval(), shape)
    found = intervals(graph)[graph.output].value
    values = evaluate(graph, all_inputs(shape))[graph.output].numpy()
    assert isinstance(found, Interval)
    assert found.contains(values)
    low, high = found.ends()
    assert np.array_equal(low, values.min(axis=0))
    assert np.array_equal(high, values.max(axis=0))


def with_weights(module: nn.Module, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    for parameter in module.parameters():
        nn.init.uniform_(parameter, -3, 3)
    return module


@given(
    st.integers(1, 4),
    st.integers(1, 3),
    st.sampled_from(["fixed(4,2)", "ternary(alpha=1)", "quantized_po2(4)", "binary(alpha=0.5)"]),
    st.booleans(),
    st.integers(0, 99),
)
@settings(max_examples=40)
def test_linear(inputs: int, outputs: int, weight: str, bias: bool, seed: int) -> None:
    fc = layer(
        "QLinear",
        inputs,
        outputs,
        bias=bias,
        weight_quantizer=weight,
        bias_quantizer="fixed(4,1)" * bias or None,
    )
    check_attained(nn.Sequential(QInput(INPUT), with_weights(fc, seed)), (inputs,))


@pytest.mark.parametrize("mode", ["zeros", "circular"])
@pytest.mark.parametrize("seed", range(4))
def test_convolutions(mode: str, seed: int) -> None:
    conv = layer("QConv1d", 2, 2, 2, padding=1, padding_mode=mode, weight_quantizer="fixed(4,2)", bias=False)
    check_attained(nn.Sequential(QInput(INPUT), with_weights(conv, seed)), (2, 2))


@pytest.mark.parametrize("seed", range(4))
def test_transposed_convolutions(seed: int) -> None:
    conv = layer("QConvTranspose1d", 2, 2, 3, 2, weight_quantizer="fixed(4,2)", bias_quantizer="fixed(5,2)")
    check_attained(nn.Sequential(QInput(INPUT), with_weights(conv, seed)), (2, 2))


@pytest.mark.parametrize("seed", range(4))
def test_scale_and_shift_and_quantizers_behind(seed: int) -> None:
    scale = layer("QScaleShift", 2, weight_quantizer="fixed(4,2)", bias_quantizer="fixed(5,2)")
    check_attained(nn.Sequential(QInput(INPUT), with_weights(scale, seed), nn.ReLU()), (2, 2))
    behind = layer("QActivation", "fixed(4,3)")
    check_attained(nn.Sequential(QInput(INPUT), with_weights(scale, seed), behind), (2,))


class Square(nn.Module):
    """A tensor times itself, in a layer of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.mul = layer("QMul")

    def forward(self, x: Tensor) -> Any:
        return self.mul(x, x)


def test_pools_tables_and_squares() -> None:
    for module, shape in (
        (layer("QAvgPool1d", 2, 1, average_quantizer="fixed(6,1)"), (1, 3)),
        (layer("QGlobalAvgPool1d"), (1, 4)),
        (nn.MaxPool1d(2, 1), (1, 3)),
        (layer("QTable", "gelu", "fixed(6,2)", input_quantizer="fixed(5,3)"), (2,)),
        (layer("QHardswish", "fixed(6,2)", input_quantizer="fixed(4,3)"), (2,)),
        (Square(), (2,)),
        (layer("QActivation", "quantized_hswish(6,2)"), (2,)),
    ):
        check_attained(nn.Sequential(QInput(INPUT), module), shape)


def test_a_softmax_knows_that_one_exponential_is_one() -> None:
    slots = {"output_quantizer": "quantized_relu(8)", "input_quantizer": "fixed(6,5)"}
    graph = trace(nn.Sequential(QInput("fixed(6,5)"), layer("QSoftmax", -1, **slots)), (3,))
    total = next(part.total for part in intervals(graph)["1"].parts if part.name == "1.sum")
    assert total is not None
    assert [float(end) for end in (total.ends()[0].item(), total.ends()[1].item())] == [1.0, 3.0]


def test_the_product_of_each_value_is_that_with_its_own_weights() -> None:
    fc = layer("QLinear", 2, 2, bias=False, weight_quantizer="fixed(4,3)")
    fc.weight.data = torch.tensor([[1.0, -2.0], [0.5, 0.0]])
    graph = trace(nn.Sequential(QInput(INPUT), fc), (2,))
    (part,) = intervals(graph)["1"].parts
    assert part.product is not None
    assert [end.tolist() for end in part.product.ends()] == [[-2.0, -3.0], [1.5, 4.0]]


def test_depthwise_products_keep_to_their_channel() -> None:
    conv = layer("QConv1d", 2, 2, 1, groups=2, bias=False, weight_quantizer="fixed(6,4)")
    conv.weight.data = torch.tensor([[[4.0]], [[0.25]]])
    graph = trace(nn.Sequential(QInput(INPUT), conv), (2, 1))
    (part,) = intervals(graph)["1"].parts
    assert part.product is not None
    assert [end.tolist() for end in part.product.ends()] == [[[-8.0], [-0.5]], [[6.0], [0.375]]]


def test_sums_wider_than_float64_are_exact() -> None:
    """Codes of 40 bits on both sides, against Python's integers."""
    torch.manual_seed(1)
    fc = layer("QLinear", 3, 2, weight_quantizer="fixed(41,1)", bias_quantizer="fixed(30,20)").double()
    for parameter in fc.parameters():
        nn.init.uniform_(parameter, -1, 1)
    graph = trace(nn.Sequential(QInput("fixed(40,1)"), fc), (3,))
    found = intervals(graph)["1"].value
    assert isinstance(found, Interval)
    step = 2.0**-40
    weight = [[int(v / step) for v in row] for row in fc.quantized_weight().tolist()]  # type: ignore[operator]
    bias = [int(v / 2**-10) for v in fc.quantized_bias().tolist()]  # type: ignore[operator]
    up = found.fraction - 39 - 40
    ends = (-(2**39), 2**39 - 1)
    for n, (row, b) in enumerate(zip(weight, bias, strict=True)):
        corners = [sorted(w * end for end in ends) for w in row]
        for side, codes in ((0, found.low), (1, found.high)):
            exact = sum(corner[side] for corner in corners)
            assert int(codes[n]) == exact * 2**up + b * 2 ** (found.fraction - 10)


def test_only_known_zero_bits_are_saved() -> None:
    fc = layer("QLinear", 1, 1, bias=False, weight_quantizer="fixed(8,4)")
    fc.weight.data = torch.tensor([[2.0]])
    graph = trace(nn.Sequential(QInput(INPUT), fc), (1,))
    found = intervals(graph)["1"].value
    assert isinstance(found, Interval)
    assert found.format() == FixedPoint.parse("ap_fixed<3,3>")


def test_a_sum_with_itself_is_followed() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.add = QAdd()

        def forward(self, x: Tensor) -> Any:
            return self.add(x, x)

    check_attained(nn.Sequential(QInput(INPUT), Twice()), (2,))
