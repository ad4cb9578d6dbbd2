"""``QLayerNorm`` against integer arithmetic, written without torch."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
import torch
from torch import nn

from torchq.errors import GraphError, QuantizerError
from torchq.graph import trace
from torchq.nn import QInput, QLayerNorm

W, B, OUT = "fixed(8,2)", "fixed(8,3)", "fixed(10,4)"


def saturated(value: Fraction, width: int, signed: bool = True) -> int:
    low, high = (-(2 ** (width - 1)), 2 ** (width - 1) - 1) if signed else (0, 2**width - 1)
    return max(low, min(high, round(value)))


def integer_layer_norm(x: list[float], w: list[int], b: list[int], eps: float) -> list[int]:
    """Codes of the result in ap_fixed<10,4>, with the default formats inside; weights have 6 bits behind
    the point, biases 5."""
    n = len(x)
    codes = [saturated(Fraction(v) * 2**7, 12) for v in x]
    exponent = math.frexp(1 / n)[1]
    constant, places = round(Fraction(1, n) * 2 ** (16 - exponent)), 16 - exponent
    mean = saturated(Fraction(sum(codes) * constant, 2**places), 12)
    d = [c - mean for c in codes]  # 7 bits behind the point, as the mean
    variance = saturated(Fraction(sum(v * v for v in d) * constant, 2 ** (14 + places - 6)), 12, False)
    r = saturated(Fraction(1 / math.sqrt(variance / 2**6 + eps)) * 2**8, 12, False)
    sums = [v * r * k * 2**-0 + c * 2 ** (7 + 8 + 6 - 5) for v, k, c in zip(d, w, b, strict=True)]
    return [saturated(Fraction(s, 2 ** (7 + 8 + 6 - 6)), 10) for s in sums]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 16, 30])
@pytest.mark.parametrize("scale", [0.05, 1.0, 6.0])
def test_it_is_integer_arithmetic(count: int, scale: float) -> None:
    torch.manual_seed(count)
    layer = QLayerNorm(count, weight_quantizer=W, bias_quantizer=B, output_quantizer=OUT, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.normal_(1.0, 0.3)
        layer.bias.normal_()
    w = [round(v * 2**6) for v in layer.quantized_weight().tolist()]  # type: ignore[union-attr]
    b = [round(v * 2**5) for v in layer.quantized_bias().tolist()]  # type: ignore[union-attr]
    x = torch.randn(60, count, dtype=torch.float64) * scale + scale
    for row, y in zip(x, layer(x) * 2**6, strict=True):
        assert integer_layer_norm(row.tolist(), w, b, layer.eps) == y.tolist()


def none() -> dict[str, None]:
    return dict.fromkeys(f"{slot}_quantizer" for slot in QLayerNorm.slots)


@pytest.mark.parametrize("shape", [(6,), (3, 4)])
def test_without_quantizers_it_is_the_float_layer(shape: tuple[int, ...]) -> None:
    float_layer, layer = nn.LayerNorm(shape), QLayerNorm(shape, **none())
    x = torch.randn(5, *shape, requires_grad=True)
    assert torch.allclose(layer(x), float_layer(x), atol=1e-6)
    (ours,) = torch.autograd.grad(layer(x).square().sum(), x)
    (theirs,) = torch.autograd.grad(float_layer(x).square().sum(), x)
    assert torch.allclose(ours, theirs, atol=1e-4)
    assert isinstance(layer, nn.LayerNorm)
    assert type(layer.dequantized()) is nn.LayerNorm
    assert torch.equal(layer.dequantized()(x), float_layer(x))
    assert QLayerNorm(6, elementwise_affine=False, **none()).weight is None


def test_it_is_near_the_float_layer() -> None:
    layer = QLayerNorm(16, weight_quantizer=W, bias_quantizer=B, output_quantizer=OUT)
    x = torch.randn(100, 16)
    assert (layer(x) - nn.LayerNorm(16)(x)).abs().max() < 0.06


def test_float32_gives_what_float64_gives() -> None:
    layer = QLayerNorm(16, weight_quantizer=W, bias_quantizer=B, output_quantizer=OUT)
    x = torch.randn(100, 16)
    assert torch.equal(layer(x).double(), layer.double()(x.double()))


def test_its_table() -> None:
    table = QLayerNorm(4, output_quantizer=OUT).table()
    assert len(table.values) == 4096
    assert table.values[64] == 1.0
    assert table.values[0] == table.values.max() == 16 - 1 / 256


def test_errors() -> None:
    with pytest.raises(QuantizerError) as caught:
        QLayerNorm(4, variance_quantizer="fixed(16,6)")
    assert str(caught.value) == (
        "QLayerNorm: variance_quantizer fixed(16,6) makes 16 bits, and a table has at most 12 address bits; "
        "give it a format such as 'fixed(10,4)'"
    )
    model = nn.Sequential(QInput("fixed(8,3)"), QLayerNorm(4, weight_quantizer=W, bias_quantizer=B))
    with pytest.raises(GraphError) as failed:
        trace(model, (4,))
    assert str(failed.value) == "the output of 1 has no quantizer; give it a output_quantizer"
    with pytest.raises(GraphError) as failed:
        trace(model, (5,))
    assert str(failed.value) == "1 needs samples that end in (4,), got samples of shape (5,) from 0"
    wide = QLayerNorm(
        4, weight_quantizer=W, bias_quantizer=B, output_quantizer=OUT, input_quantizer="fixed(20,4)"
    )
    with pytest.raises(GraphError) as failed:
        trace(nn.Sequential(QInput("fixed(8,3)"), wide), (4,))
    assert str(failed.value) == (
        "1 needs 61 bits for its sum of squares, and float64 is exact up to 53; give it a narrower "
        "input_quantizer and mean_quantizer for what comes from 0"
    )
    no_weight = QLayerNorm(4, elementwise_affine=False, output_quantizer=OUT)
    assert no_weight.missing_slots() == ()
