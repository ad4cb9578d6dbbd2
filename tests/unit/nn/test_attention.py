"""``QMultiheadAttention``: torch's numbers without quantizers, integer arithmetic with them."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from torchq.convert import freeze
from torchq.cost import estimate
from torchq.errors import GraphError, QuantizerError, TorchqError
from torchq.graph import evaluate, trace, workloads
from torchq.nn import QInput, QMultiheadAttention
from torchq.nn.attention_slots import SelfAttention

W, B = "quantized_bits(6,0,alpha=1)", "quantized_bits(6,1,alpha=1)"
OUT = "fixed(8,3)"


def unquantized(module: nn.MultiheadAttention) -> QMultiheadAttention:
    return QMultiheadAttention.from_float((module,), dict.fromkeys(QMultiheadAttention.slots))


@pytest.mark.parametrize("arguments", [{}, {"batch_first": True}, {"bias": False}])
@pytest.mark.parametrize("heads", [1, 2, 3])
def test_without_quantizers_it_is_torch(arguments: dict[str, Any], heads: int) -> None:
    torch.manual_seed(0)
    module = nn.MultiheadAttention(6, heads, **arguments).double()
    layer = unquantized(module)
    assert isinstance(layer, nn.MultiheadAttention)
    q, k, v = (torch.randn(4, 5, 6, dtype=torch.float64) for _ in range(3))
    for given in ((q, q, q), (q, k, v), (q[0], k[0], v[0])):
        for mine, reference in zip(layer(*given), module(*given), strict=True):
            assert torch.allclose(mine, reference, atol=1e-12)
        per_head = layer(*given, average_attn_weights=False)[1]
        assert torch.allclose(per_head, module(*given, average_attn_weights=False)[1], atol=1e-12)
    assert layer(q, q, q, need_weights=False)[1] is None
    first = torch.autograd.grad(layer(q, k, v)[0].square().sum(), list(layer.parameters()))
    second = torch.autograd.grad(module(q, k, v)[0].square().sum(), list(module.parameters()))
    assert all(torch.allclose(a, b, atol=1e-10) for a, b in zip(first, second, strict=True))


def test_key_and_value_may_be_longer() -> None:
    module = nn.MultiheadAttention(6, 2, batch_first=True)
    q, k = torch.randn(3, 2, 6), torch.randn(3, 7, 6)
    for mine, reference in zip(unquantized(module)(q, k, k), module(q, k, k), strict=True):
        assert torch.allclose(mine, reference, atol=1e-6)


# ---------------------------------------------------------------------- integer arithmetic


def code(value: Fraction | float, width: int, fraction: int, signed: bool = True) -> int:
    low, high = (-(2 ** (width - 1)), 2 ** (width - 1) - 1) if signed else (0, 2**width - 1)
    return max(low, min(high, round(Fraction(value) * 2**fraction)))


def integers(values: Tensor, fraction: int) -> list[Any]:
    scaled = values.double() * 2**fraction
    assert torch.equal(scaled, scaled.round())
    return scaled.long().tolist()  # type: ignore[no-any-return]


def dot(a: list[int], b: list[int]) -> int:
    return sum(x * y for x, y in zip(a, b, strict=True))


def softmax(scores: list[int]) -> list[int]:
    """Scores in ap_fixed<10,4>, result in ap_ufixed<8,0>."""
    exps = [code(math.exp(-(max(scores) - s) / 64), 10, 9, False) for s in scores]
    integer = len(scores).bit_length()
    places = min(9, 12 - integer)
    address = code(Fraction(sum(exps), 2**9), integer + places, places, False)
    inverse = code(Fraction(2**places, address), 12, 11, False)
    return [code(Fraction(e * inverse, 2 ** (9 + 11)), 8, 8, False) for e in exps]


@pytest.mark.parametrize("heads", [1, 2, 3, 6])
def test_it_is_integer_arithmetic(heads: int) -> None:
    """Whatever the square root of the heads' size is."""
    torch.manual_seed(heads)
    module = nn.MultiheadAttention(6, heads, batch_first=True).double()
    with torch.no_grad():
        for p in module.parameters():
            p.normal_(0.0, 0.6)
    layer = QMultiheadAttention.from_float((module,), {"weight": W, "bias": B, "output": OUT})
    x = QInput("fixed(8,4)")(torch.randn(6, 5, 6, dtype=torch.float64) * 2)
    w, b = (
        integers(layer.quantized_parameter(n), f) for n, f in (("in_proj_weight", 5), ("in_proj_bias", 4))
    )  # type: ignore[arg-type]
    wo, bo = (
        integers(layer.quantized_parameter(n), f) for n, f in (("out_proj.weight", 5), ("out_proj.bias", 4))
    )  # type: ignore[arg-type]
    size = 6 // heads
    y = layer(x, x, x)[0]
    for sample, result in zip(x, y, strict=True):
        rows = integers(sample, 4)
        projected = [
            [code(Fraction(dot(r, row), 2**9) + Fraction(v, 16), 8, 5) for r, v in zip(w, b, strict=True)]
            for row in rows
        ]
        context: list[list[int]] = [[] for _ in rows]
        for head in range(heads):
            q, k, v = (
                [row[start + head * size : start + (head + 1) * size] for row in projected]
                for start in (0, 6, 12)
            )
            for i, one in enumerate(q):
                a = softmax([code(Fraction(dot(one, other), 2**10), 10, 6) for other in k])
                context[i] += [code(Fraction(dot(a, list(c)), 2**13), 8, 5) for c in zip(*v, strict=True)]
        expected = [
            [code(Fraction(dot(r, row), 2**10) + Fraction(v, 16), 8, 5) for r, v in zip(wo, bo, strict=True)]
            for row in context
        ]
        assert expected == integers(result, 5)
    narrow = layer.float()(x.float(), x.float(), x.float())[0]
    assert torch.equal(narrow.double(), y)


# ---------------------------------------------------------------------- models


def model(**slots: Any) -> nn.Sequential:
    module = nn.MultiheadAttention(8, 2, batch_first=True)
    layer = QMultiheadAttention.from_float((module,), {"weight": W, "bias": B, **slots})
    return nn.Sequential(QInput("fixed(8,3)"), SelfAttention(layer)).eval()


def test_its_work() -> None:
    works = {work.layer: work for work in workloads(trace(model(output=OUT), (5, 8)))}
    macs = {name: work.macs for name, work in works.items()}
    assert macs == {
        "0": 0,
        "1.layer.query": 5 * 8 * 8,
        "1.layer.key": 5 * 8 * 8,
        "1.layer.value": 5 * 8 * 8,
        "1.layer.scores": 5 * 5 * 8,
        "1.layer.softmax": 0,
        "1.layer.context": 5 * 5 * 8,
        "1.layer": 5 * 8 * 8,
    }
    assert str(works["1.layer.scores"].accumulator) == "ap_fixed<17,7,TRN,WRAP>"
    assert str(works["1.layer.context"].accumulator) == "ap_fixed<19,6,TRN,WRAP>"
    assert sum(work.parameter_bits for work in works.values()) == 6 * (4 * 64 + 4 * 8)


@pytest.mark.parametrize("weight", [W, "quantized_bits(4,0,alpha='auto_po2')"])
def test_frozen_it_has_the_factor_in_its_weight(weight: str) -> None:
    given = model(weight=weight, output=OUT).double()
    frozen = freeze(given)
    x = torch.randn(9, 5, 8, dtype=torch.float64)
    assert torch.equal(frozen(x), given(x))
    assert torch.equal(freeze(frozen)(x), given(x))
    assert workloads(trace(frozen, (5, 8))) == workloads(trace(given, (5, 8)))
    layer = frozen[1].layer
    assert torch.equal(layer.in_proj_weight, given[1].layer.quantized_parameter("in_proj_weight"))
    with pytest.raises(RuntimeError, match="folded_scale"):
        given.load_state_dict(frozen.state_dict())
    with pytest.raises(RuntimeError, match="folded_scale"):
        frozen.load_state_dict(given.state_dict())
    with pytest.raises(TorchqError, match="a frozen QMultiheadAttention does not go back to float"):
        layer.dequantized()


def test_it_goes_back_to_torch() -> None:
    module = nn.MultiheadAttention(8, 2, batch_first=True).eval()
    twin = QMultiheadAttention.from_float((module,), {"weight": W, "bias": B}).dequantized()
    x = torch.randn(2, 3, 8)
    assert type(twin) is nn.MultiheadAttention
    assert torch.equal(twin(x, x, x)[0], module(x, x, x)[0])


def test_the_sum_leaves_exactly_without_output_quantizer() -> None:
    given = model().double()
    graph = trace(given, (5, 8))
    x = torch.randn(40, 5, 8, dtype=torch.float64) * 3
    values = evaluate(graph, x)[graph.output]
    format = graph.node(graph.output).format
    assert str(format) == "ap_fixed<17,7,TRN,WRAP>"
    assert format.holds(values.numpy()).all()  # type: ignore[union-attr]
    assert not graph.node(graph.output).quantized


def test_another_axis_of_the_batch() -> None:
    torch.manual_seed(1)
    module = nn.MultiheadAttention(8, 2)
    layer = QMultiheadAttention.from_float((module,), {"weight": W, "bias": B, "output": OUT})
    assert layer.batch_axis == 1
    x = torch.randn(5, 3, 8)
    y = layer(x, x, x)[0]
    alone = layer(x[:, 1], x[:, 1], x[:, 1])[0]
    assert torch.equal(y[:, 1], alone)


def test_errors() -> None:
    layer = QMultiheadAttention(8, 2, weight_quantizer=W)
    x = torch.zeros(5, 3, 8)
    for name in ("key_padding_mask", "attn_mask", "is_causal"):
        with pytest.raises(TorchqError) as caught:
            layer(x, x, x, **{name: True})
        assert str(caught.value) == (
            f"QMultiheadAttention has no masks, got {name}; cut the samples to one length, or leave this "
            "layer float"
        )
    for arguments, name in (
        ({"kdim": 4}, "kdim or vdim"),
        ({"add_bias_kv": True}, "add_bias_kv"),
        ({"add_zero_attn": True}, "add_zero_attn"),
    ):
        with pytest.raises(TorchqError) as caught:
            QMultiheadAttention.from_float((nn.MultiheadAttention(8, 2, **arguments),), {"weight": W})  # type: ignore[arg-type]
        assert str(caught.value) == f"QMultiheadAttention has no {name}; leave this layer float"
    with pytest.raises(
        QuantizerError, match=r"QMultiheadAttention: scores_quantizer fixed\(14,4\) makes 14 bits"
    ):
        QMultiheadAttention(8, 2, scores_quantizer="fixed(14,4)")


def test_what_is_missing_is_named() -> None:
    given = nn.Sequential(QInput(OUT), SelfAttention(QMultiheadAttention(8, 2, batch_first=True)))
    with pytest.raises(GraphError) as caught:
        trace(given, (5, 8))
    assert str(caught.value).splitlines() == [
        f"the {slot} of 1.layer has no quantizer; give it a {slot}_quantizer"
        for slot in ("weight", "bias", "out_weight", "out_bias")
    ]
    with pytest.raises(GraphError) as caught:
        trace(given, (5, 7))
    assert "1.layer needs samples of shape (length, 8), got samples of shape (5, 7)" in str(caught.value)


def test_products_of_two_tensors_are_priced() -> None:
    report = estimate(model(output=OUT), (5, 8))
    cost = {layer.layer: layer.costs["energy_pj_op_cost"] for layer in report.layers}
    assert cost["1.layer.scores"] > 0
    assert cost["1.layer.context"] > 0
    narrow = estimate(model(output=OUT, query="fixed(4,3)"), (5, 8))
    priced = {layer.layer: layer.costs["energy_pj_op_cost"] for layer in narrow.layers}
    assert priced["1.layer.scores"] < cost["1.layer.scores"]
    assert priced["1.layer.context"] == cost["1.layer.context"]
