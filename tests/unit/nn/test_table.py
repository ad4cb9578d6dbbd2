"""Tables: what comes out is what stands in them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from torchq.errors import QuantizerError, TorchqError, UnknownNameError
from torchq.formats import FixedPoint
from torchq.graph import trace, workloads
from torchq.nn import (
    FUNCTIONS,
    LAYERS,
    QELU,
    QGELU,
    QHardtanh,
    QInput,
    QLinear,
    QSigmoid,
    QSoftplus,
    QTable,
    QTanh,
)
from torchq.nn.table import Lookup
from torchq.quantizers import parse

OUT = "quantized_bits(9,3,alpha=1)"
SIMPLE = [name for name in FUNCTIONS if name not in ("reciprocal", "rsqrt")]


@pytest.mark.parametrize("name", SIMPLE)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_it_is_the_lookup(name: str, dtype: torch.dtype) -> None:
    """Reading the content by the bits of the input code gives what the layer computes, in every dtype."""
    layer = QTable(name, OUT, input_quantizer="quantized_bits(7,2,alpha=1)")
    table = layer.table()
    x = torch.linspace(-9, 9, 400).to(dtype)
    codes = (parse("quantized_bits(7,2,alpha=1)")(x).double() / table.input.lsb).numpy().astype(int)
    expected = table.values[codes % len(table.values)]
    assert layer(x).dtype == dtype
    assert np.array_equal(layer(x).double().numpy(), torch.from_numpy(expected).to(dtype).double().numpy())


@pytest.mark.parametrize("name", SIMPLE)
def test_it_is_the_quantized_function_in_float64(name: str) -> None:
    layer = QTable(name, OUT)
    x = torch.randn(500, dtype=torch.float64) * 5
    q_in, q_out = parse("fixed(10,4)"), parse(OUT)
    assert torch.equal(layer(x), q_out(FUNCTIONS.get(name)(q_in(x))))
    assert torch.equal(layer(x.float()).double(), q_out(FUNCTIONS.get(name)(q_in(x.float()).double())))


@given(st.integers(1, 9), st.integers(-2, 5), st.booleans())
def test_the_content_stands_at_the_codes(bits: int, integer: int, signed: bool) -> None:
    layer = QTable("tanh", OUT, input_quantizer=FixedPoint(bits, integer, signed))
    table = layer.table()
    assert table.values.shape == (2**bits,)
    assert sorted(table.codes()) == list(range(int(table.input.code_min), int(table.input.code_max) + 1))
    x = torch.from_numpy(table.codes() * table.input.lsb)
    assert np.array_equal(layer(x).numpy(), table.values)
    assert str(table.output) == str(parse(OUT).format)


def test_the_gradient_is_the_derivative_at_the_quantized_input() -> None:
    layer = QTable("sigmoid", "quantized_bits(8,1,alpha=1)")
    x = torch.randn(50, dtype=torch.float64, requires_grad=True)
    layer(x).sum().backward()
    y = torch.sigmoid(parse("fixed(10,4)")(x.detach()))
    assert x.grad is not None
    assert torch.allclose(x.grad, y * (1 - y))
    assert not layer(x.detach()).requires_grad


def test_infinities_saturate_and_nan_stays() -> None:
    y = QTanh("quantized_bits(6,1,alpha=1)")(torch.tensor([float("inf"), -float("inf"), float("nan")]))
    assert y[:2].tolist() == [1.0, -1.0]
    assert y[2].isnan()
    assert QTanh(OUT)(torch.zeros(0, 3)).shape == (0, 3)


def test_the_arguments_of_the_float_layers_are_kept() -> None:
    made = {
        QELU: nn.ELU(0.5),
        QGELU: nn.GELU("tanh"),
        QHardtanh: nn.Hardtanh(-0.25, 2.0),
        QSoftplus: nn.Softplus(2.0, 3.0),
    }
    x = torch.linspace(-4, 4, 100, dtype=torch.float64)
    for cls, module in made.items():
        layer = cls.from_float((module,), {"output": OUT})
        assert torch.equal(layer(x), parse(OUT)(module(parse("fixed(10,4)")(x)))), cls
        assert repr(layer.dequantized()) == repr(module)


def test_without_quantizers_it_is_the_function() -> None:
    x = torch.randn(20)
    assert torch.equal(QTanh(input_quantizer=None)(x), torch.tanh(x))
    assert QTanh(input_quantizer=None).missing_slots() == ("output", "input")


def test_a_table_may_read_exact_sums() -> None:
    q = "quantized_bits(6,0,alpha=1)"
    model = nn.Sequential(
        QInput(q),
        QLinear(4, 3, weight_quantizer=q, bias_quantizer=q),
        QTanh(q),
        QLinear(3, 2, False, weight_quantizer=q),
    )
    graph = trace(model)
    assert [node.kind for node in graph.nodes] == ["input", "quantize", "linear", "table", "linear"]
    assert str(graph.node("2").format) == "ap_fixed<6,1,RND_CONV,SAT>"
    assert workloads(graph)[2].macs == 0


def test_noise_below_one_mixes_with_the_function() -> None:
    layer = QTable("tanh", "quantized_bits(3,0,alpha=1)", input_quantizer="quantized_bits(4,1,alpha=1)")
    for slot in layer.slots:
        quantizer = layer.quantizer(slot)
        assert quantizer is not None
        quantizer.update_qnoise_factor(0.0)
    x = torch.randn(20)
    assert torch.allclose(layer(x), torch.tanh(x))


def test_one_may_register_a_function() -> None:
    def cube(x: Tensor) -> Tensor:
        return x**3

    FUNCTIONS.add("cube_of_a_test", cube)
    try:
        assert QTable("cube_of_a_test", OUT)(torch.tensor([0.5])).item() == 0.125
    finally:
        del FUNCTIONS._things["cube_of_a_test"]


def test_division_by_zero_saturates() -> None:
    layer = QTable("reciprocal", "quantized_relu(6,2)", input_quantizer="quantized_relu(5,2)")
    assert layer(torch.tensor([0.0, 1.0])).tolist() == [3.9375, 1.0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: QTanh(OUT, input_quantizer="quantized_bits(13,2,alpha=1)"),
            "QTanh: input_quantizer quantized_bits(13,2,alpha=1.0) makes 13 bits, and a table has at most 12 "
            "address bits; give it a format such as 'fixed(10,4)'",
        ),
        (
            lambda: QTanh(OUT, input_quantizer="quantized_bits(6,2,alpha='auto_po2')"),
            "QTanh: input_quantizer quantized_bits(6,2,alpha='auto_po2') finds its scale from the data, and "
            "a table needs fixed codes; give it a format such as 'fixed(10,4)'",
        ),
        (
            lambda: QTanh(OUT, input_quantizer="quantized_bits(6,2,alpha=0.3)"),
            "QTanh: input_quantizer quantized_bits(6,2,alpha=0.3) makes no values of one fixed-point format "
            "for a table; give it a format such as 'fixed(10,4)'",
        ),
        (
            lambda: QTable("rsqrt", OUT),
            "QTable: rsqrt is not a number at -8, which fixed(10,4) has; give an input_quantizer whose "
            "values the function takes, such as an unsigned one",
        ),
        (lambda: QTable("tanh", OUT, slope=2), "QTable: tanh does not take {'slope': 2}"),
        (
            lambda: QSigmoid().table(),
            "QSigmoid: a table needs an output_quantizer; give it an output_quantizer",
        ),
    ],
)
def test_errors(make: object, message: str) -> None:
    with pytest.raises(QuantizerError) as caught:
        make()  # type: ignore[operator]
    assert str(caught.value) == message


def test_a_table_of_no_torch_layer_does_not_go_back() -> None:
    with pytest.raises(TorchqError, match="a table of exp has no float layer that says the same"):
        QTable("exp", OUT).dequantized()


def test_an_unknown_function() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown function 'tahn'; did you mean 'tanh'\? Known: elu,"):
        QTable("tahn")


def test_a_lookup_is_made_for_one_device_and_function() -> None:
    lookup = Lookup("exp", parse("fixed(4,3)"), None)
    assert torch.equal(lookup.values, torch.exp(lookup.points))
    assert "QTable" in LAYERS
