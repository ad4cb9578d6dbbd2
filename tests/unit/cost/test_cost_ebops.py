"""``ebops``: against the definition, product by product."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from cost_networks import RELU, SIX, SIXTEEN, dense, jets
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from torchq.cost import Ebops, estimate, in_formats, workloads_of
from torchq.cost.constants import constant_bits, nonzero, set_bits
from torchq.cost.reference import Q6 as Q6_FORMATS
from torchq.errors import CostError
from torchq.formats import Binary, FixedPoint, Float, PowerOfTwo, Ternary
from torchq.graph import trace
from torchq.nn import QConcat, QConv1d, QConv2d, QConvTranspose2d, QInput, QLinear, QReLU
from torchq.workload import Geometry, Operation, ParamSpec, TensorSpec, Workload

WEIGHT = "quantized_bits(5,1,alpha=1)"


def bits_in_text(code: int) -> int:
    """The definition, on the digits of the number."""
    return len(bin(abs(code)).removeprefix("0b").strip("0"))


def ebops(*works: Workload) -> float:
    return float(Ebops().price(works).total["ebops"])


# ---------------------------------------------------------------------- bits of constants


def test_a_constant_needs_the_bits_between_its_ends() -> None:
    assert set_bits(np.array([0b0011010000, -0b0011010000, 1, 0, 2.0**-30])).tolist() == [4, 4, 1, 0, 1]


@given(st.integers(-(2**52), 2**52), st.integers(-60, 60))
def test_bits_of_constants_do_not_depend_on_the_point(code: int, shift: int) -> None:
    (found,) = set_bits(np.array([math.ldexp(code, shift)]))
    assert found == bits_in_text(code)


def test_bits_of_the_smallest_numbers() -> None:
    tiny = np.array([2.0**-1074, 5 * 2.0**-1074, -(2.0**-1022), 3 * 2.0**-1030, 0.0, 1.5])
    assert set_bits(tiny).tolist() == [1, 3, 1, 2, 0, 2]


@pytest.mark.parametrize(
    ("format", "bits"),
    [
        (FixedPoint(6, 1), 5),
        (FixedPoint(6, 1, signed=False), 6),
        (FixedPoint(0, 0), 0),
        (Ternary(), 1),
        (Ternary(0.3), 1),
        (Binary(), 1),
        (PowerOfTwo(4, -4, 3), 1),
        (Float(16), 16),
        (None, 32),
    ],
)
def test_without_values_the_format_says_the_most(format: Any, bits: int) -> None:
    assert constant_bits(ParamSpec("weight", (2, 2), format)) == bits


def test_formats_per_channel_and_values_off_every_grid() -> None:
    each = FixedPoint(np.array([[4], [0]]), 1)
    assert constant_bits(ParamSpec("weight", (2, 3), each)).tolist() == [[3] * 3, [0] * 3]  # type: ignore[union-attr]
    values = np.array([0.3, 0.0, -0.3])
    for format, bits in ((None, 32), (Float(32), 32), (Ternary(0.3), 1)):
        spec = ParamSpec("weight", (3,), format, zeros=1, values=values)
        assert constant_bits(spec).tolist() == [bits, 0, bits]  # type: ignore[union-attr]


def test_values_that_are_not_zero() -> None:
    assert nonzero(ParamSpec("weight", (2, 3), SIX, zeros=1, values=np.array([[0, 1, 0], [1, 1, 1.0]]))) == 4
    assert nonzero(ParamSpec("weight", (2, 3), FixedPoint(np.array([[4], [0]]), 1))) == 3
    assert nonzero(ParamSpec("weight", (2, 3), SIX, zeros=2)) == 4


# ---------------------------------------------------------------------- layers


def test_the_jet_network_product_by_product() -> None:
    torch.manual_seed(1)
    model = jets("quantized_bits(6,0,alpha=1)", "quantized_relu(6,0)")
    expected, inputs = {}, {"fc1": 16, "fc2": 6, "fc3": 6, "output": 6}
    for name, x_bits in inputs.items():
        codes = (model.get_submodule(name).quantized_weight() * 32).detach().int().flatten().tolist()  # type: ignore[operator]
        expected[name] = sum(bits_in_text(code) for code in codes) * x_bits
    report = estimate(model, (16,), targets="ebops")
    assert {row.layer: row.costs["ebops"] for row in report.layers if row.costs["ebops"]} == expected
    assert report.total["ebops"] == sum(expected.values())
    assert not report.notes


def test_zero_weights_cost_nothing_and_biases_stand_beside() -> None:
    layer = QLinear(4, 3, weight_quantizer=WEIGHT, bias_quantizer=WEIGHT)
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.copy_(torch.tensor([0.5, 0.75, 0.0]))
    row = estimate(nn.Sequential(QInput("quantized_bits(8,2)"), layer), targets="ebops").layers[-1]
    assert (row.costs["ebops"], row.costs["ebops_bias"]) == (0, 1 + 2)


def test_formats_alone_give_the_most() -> None:
    model = jets("quantized_bits(6,0,alpha=1)", "quantized_relu(6,0)")
    most = estimate(in_formats(model, Q6_FORMATS), targets="ebops").total["ebops"]
    assert most == (16 * 64 * 16 + (64 * 32 + 32 * 32 + 32 * 5) * 6) * 5
    assert 0 < estimate(model, (16,), targets="ebops").total["ebops"] < most


def test_floats_count_32_bits() -> None:
    assert ebops(dense(None, None)) == 64 * 32 * 32
    assert ebops(dense(SIX, Float(32))) == 64 * 5 * 32


def test_inputs_with_bits_of_their_own() -> None:
    x = FixedPoint(np.array([2, 3, 0]), 1)
    work = Workload(
        "fc",
        "linear",
        (TensorSpec("x", (2, 3), x),),
        TensorSpec("fc", (2, 2), None),
        macs=12,
        fan_in=3,
        weight=ParamSpec("weight", (2, 3), FixedPoint(np.array([[5], [3]]), 1)),
    )
    assert ebops(work) == 2 * (2 + 3 + 0) * (4 + 2)


def test_products_of_two_tensors() -> None:
    a, b = FixedPoint(np.array([[2], [4]]), 1), FixedPoint(np.array([1, 2, 3]), 1)
    inputs = (TensorSpec("a", (2, 3), a), TensorSpec("b", (3,), b))
    mul = Workload("mul", "mul", inputs, TensorSpec("mul", (2, 3), None), macs=6, fan_in=1)
    assert ebops(mul) == (2 + 4) * (1 + 2 + 3)
    inputs = (TensorSpec("a", (4, 8), SIX), TensorSpec("b", (8, 5), RELU))
    matmul = Workload("scores", "matmul", inputs, TensorSpec("scores", (4, 5), None), macs=160, fan_in=8)
    assert ebops(matmul) == 160 * 6 * 6
    gates = (Operation("multiply", 7, (SIX, SIXTEEN), None), Operation("add", 9, (SIX, SIX), None))
    gate = Workload("gru", "gru", inputs, TensorSpec("gru", (4, 5), None), operations=gates)
    assert ebops(gate) == 7 * 6 * 16


def test_a_product_with_something_unknown_is_refused() -> None:
    lonely = Workload("pool", "pool", (TensorSpec("x", (4,), SIX),), TensorSpec("pool", (4,), None), macs=4)
    with pytest.raises(CostError) as fault:
        ebops(lonely)
    assert str(fault.value) == (
        "pool: ebops needs both factors of its 4 multiplications, got one input; "
        "give the workload a weight, or the products as operations"
    )


# ---------------------------------------------------------------------- convolutions


def by_convolution(layer: Any, x_bits: torch.Tensor) -> float:
    """The bits of the inputs, convolved with the bits of the weights: all products and no others."""
    w = torch.from_numpy(set_bits(layer.quantized_weight().detach().double().numpy())).double()
    if layer.kind.startswith("conv_transpose"):
        options = (layer.stride, layer.padding, layer.output_padding, layer.groups, layer.dilation)
        return float(F.conv_transpose2d(x_bits[None], w, None, *options).sum())
    twin = {"conv1d": nn.Conv1d, "conv2d": nn.Conv2d}[layer.kind]
    conv = twin(*(getattr(layer, n) for n in ("in_channels", "out_channels", "kernel_size", "stride")),
                padding=layer.padding, dilation=layer.dilation, groups=layer.groups, bias=False,
                padding_mode=layer.padding_mode).double()  # fmt: skip
    with torch.no_grad():
        conv.weight.copy_(w)
        return float(conv(x_bits[None]).sum())


def check(layer: Any, shape: tuple[int, ...], width: Any, seed: int) -> None:
    torch.manual_seed(seed)
    with torch.no_grad():
        layer.weight.normal_(0, 0.5)
    x = TensorSpec("x", shape, FixedPoint(width, 1))
    made = layer(torch.zeros(1, *shape)).shape[1:]
    work = layer.workload("conv", (x,), TensorSpec("conv", tuple(made), None))
    bits = torch.from_numpy(np.broadcast_to(np.asarray(width, dtype=np.float64), shape).copy())
    assert ebops(work) == pytest.approx(by_convolution(layer, bits), rel=1e-12)


WIDTHS = st.sampled_from(["tensor", "channel", "element"])


def some_widths(kind: str, shape: tuple[int, ...], seed: int) -> Any:
    random = np.random.default_rng(seed)
    sizes = {"tensor": (), "channel": (shape[0], *[1] * (len(shape) - 1)), "element": shape}[kind]
    return random.integers(0, 9, sizes) if sizes else 5


@given(
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(st.integers(1, 2), st.integers(1, 2)),
    st.integers(0, 2),
    st.sampled_from([(2, 4, 1), (4, 4, 4), (4, 2, 2), (3, 6, 3)]),
    st.sampled_from(["zeros", "reflect", "replicate", "circular"]),
    WIDTHS,
    st.integers(0, 99),
)
def test_every_convolution(
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    padding: int,
    channels: tuple[int, int, int],
    mode: str,
    kind: str,
    seed: int,
) -> None:
    shape = (channels[0], 6, 7)
    layer = QConv2d(
        *channels[:2], kernel, stride, padding, dilation, channels[2], False, mode, weight_quantizer=WEIGHT
    )
    check(layer, shape, some_widths(kind, shape, seed), seed)


@given(st.sampled_from([1, 3, 5]), st.sampled_from(["same", "valid", 2]), st.integers(1, 2), WIDTHS)
def test_every_convolution_along_one_axis(kernel: int, padding: Any, dilation: int, kind: str) -> None:
    layer = QConv1d(3, 2, kernel, padding=padding, dilation=dilation, bias=False, weight_quantizer=WEIGHT)
    check(layer, (3, 11), some_widths(kind, (3, 11), kernel), kernel)


@given(
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(1, 2),
    st.integers(0, 1),
    st.sampled_from([(2, 4, 1), (4, 4, 4), (4, 2, 2)]),
    WIDTHS,
)
def test_every_transposed_convolution(
    kernel: int, stride: int, dilation: int, padding: int, channels: tuple[int, int, int], kind: str
) -> None:
    extra = 1 if stride > 1 else 0
    layer = QConvTranspose2d(
        *channels[:2], kernel, stride, min(padding, (kernel - 1) * dilation // 2), extra, channels[2], False,
        dilation, weight_quantizer=WEIGHT,
    )  # fmt: skip
    shape = (channels[0], 3, 4)
    check(layer, shape, some_widths(kind, shape, kernel), stride)


def test_a_traced_network_with_convolutions_flatten_and_branches() -> None:
    torch.manual_seed(2)
    q = {"weight_quantizer": WEIGHT, "bias_quantizer": WEIGHT}

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.input = QInput("quantized_bits(8,2,alpha=1)")
            self.a, self.b = QConv2d(1, 2, 3, padding=1, **q), QConv2d(1, 2, 1, **q)
            self.relu_a, self.relu_b = QReLU("quantized_relu(4,1)"), QReLU("quantized_relu(3,1)")
            self.cat = QConcat(1)
            self.fc = QLinear(2 * 2 * 5 * 5, 3, **q)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.input(x)
            joined: torch.Tensor = self.cat(self.relu_a(self.a(x)), self.relu_b(self.b(x)))
            result: torch.Tensor = self.fc(joined.flatten(1))
            return result

    model = Net()
    ones = torch.ones(1, 5, 5, dtype=torch.float64)
    expected = 8 * (by_convolution(model.a, ones) + by_convolution(model.b, ones))
    fc = set_bits(model.fc.quantized_weight().detach().double().numpy())
    works = {work.layer: work for work in workloads_of(trace(model, (1, 5, 5)))}
    read = works["fc"].inputs[0].format
    assert isinstance(read, FixedPoint)
    x_bits = np.broadcast_to(np.asarray(read.width), (100,))
    report = estimate(trace(model, (1, 5, 5)), targets="ebops")
    assert report.total["ebops"] == expected + float((fc * x_bits).sum())


def test_a_convolution_whose_geometry_is_not_known_says_so() -> None:
    layer = QConv1d(2, 3, 3, padding=1, weight_quantizer="quantized_bits(2,1,alpha=1)", bias=False)
    with torch.no_grad():
        layer.weight.fill_(1.0)
    x, y = TensorSpec("x", (2, 6), FixedPoint(4, 1)), TensorSpec("conv", (3, 6), None)
    known = layer.workload("conv", (x,), y)
    assert known.geometry == Geometry((1,), (1,), ((1, 1),))
    vague = Workload(**{**vars(known), "geometry": None})
    assert ebops(known) == 6 * 4 * (3 * 6 - 2)
    price = Ebops().price((vague,))
    assert price.total["ebops"] == 6 * 4 * (3 * 6)
    assert price.notes == {
        "ebops": "source=formula, with mean bits and padded zeros where the workload does not say "
        "which values meet: conv"
    }
