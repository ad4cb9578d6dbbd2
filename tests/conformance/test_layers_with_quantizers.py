"""Every layer with weights takes every registered quantizer: traced, priced, frozen, exact."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from torchq.convert import freeze, quantize
from torchq.formats import FixedPoint
from torchq.graph import evaluate, trace, workloads
from torchq.nn import QInput, QLinear, QReLU
from torchq.nn.types import fixed
from torchq.quantizers import QUANTIZERS, Quantizer, make
from torchq.scheme import Scheme


def _fits_one_shape_only(quantizer: Quantizer) -> bool:
    """Whether it has numbers for each channel of some tensor that is not ours."""
    f = quantizer.format
    per_channel = isinstance(f, FixedPoint) and not f.is_scalar
    return per_channel or isinstance(getattr(quantizer, "alpha", None), list)


CASES = [
    pytest.param(example, id=f"{name}-{i}")
    for name, cls in QUANTIZERS.items()
    for i, example in enumerate(cls.examples())
    if not _fits_one_shape_only(example)
]
every_quantizer = pytest.mark.parametrize("quantizer", CASES)

INPUT = "quantized_bits(6,2,alpha=1)"


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(11)


def network(quantizer: Quantizer) -> nn.Sequential:
    return nn.Sequential(
        QInput(INPUT),
        QLinear(4, 8, weight_quantizer=quantizer, bias_quantizer="quantized_bits(5,1,alpha=1)"),
        QReLU("quantized_relu(6,2)"),
        QLinear(8, 4, bias=False, weight_quantizer=quantizer),
    ).eval()


@every_quantizer
def test_as_weights(quantizer: Quantizer) -> None:
    model = network(quantizer)
    x = torch.randn(60, 4, dtype=torch.float64) * 3
    graph = trace(model)
    values = evaluate(graph, x)
    for node in graph.nodes[1:]:
        f = fixed(node.format)
        if f is not None:
            assert f.holds(values[node.name].numpy()).all(), node.name
    if quantizer.hardware_reason() is None:
        assert all(fixed(node.format) is not None for node in graph.nodes[1:])
    works = {work.layer: work for work in workloads(graph)}
    assert works["1"].weight is not None
    assert works["1"].weight.bits > 0
    assert (works["1"].accumulator is None) == (fixed(works["1"].weight.format) is None)


@every_quantizer
def test_frozen(quantizer: Quantizer) -> None:
    model = network(quantizer).double()
    x = torch.randn(60, 4, dtype=torch.float64) * 3
    frozen = freeze(model)
    assert torch.equal(frozen(x), model(x))
    assert torch.equal(frozen(x), freeze(frozen)(x))
    again = freeze(model)
    assert all(torch.equal(p, q) for p, q in zip(frozen.parameters(), again.parameters(), strict=True))
    assert workloads(trace(frozen)) == workloads(trace(model))


@every_quantizer
def test_by_a_scheme(quantizer: Quantizer) -> None:
    floats = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 4))
    scheme = Scheme.uniform(weight=quantizer, bias=INPUT, output="quantized_relu(6,2)", input=INPUT)
    assert scheme.slot("0", "weight") == str(make(quantizer))
    model = quantize(floats, scheme, (4,))
    y = model(torch.randn(30, 4))
    y.sum().backward()
    model.eval()
    x = torch.randn(30, 4, dtype=torch.float64)
    frozen = freeze(model)
    assert torch.equal(frozen.double()(x), copy.deepcopy(model).double()(x)) or _auto(quantizer)


def _auto(quantizer: Quantizer) -> bool:
    """Scales found from float32 and from float64 values differ in their last bits."""
    return quantizer.hardware_reason() is not None
