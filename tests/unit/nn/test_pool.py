"""Pools: sums times a quantized constant, exact formats, and refusals word for word."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torchq.convert import left_float, quantize
from torchq.cost import estimate
from torchq.errors import GraphError, TorchqError
from torchq.formats import FixedPoint
from torchq.graph import evaluate, trace, workloads
from torchq.nn import (
    QAdaptiveAvgPool1d,
    QAdaptiveAvgPool2d,
    QAvgPool1d,
    QAvgPool2d,
    QGlobalAvgPool2d,
    QInput,
)
from torchq.scheme import Scheme

AVERAGE = "quantized_bits(8,0,alpha=1)"
INPUT = "quantized_bits(8,3,alpha=1)"


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(2)


@pytest.mark.parametrize(
    ("ours", "theirs", "shape"),
    [
        (QAvgPool1d(3, 2, 1), nn.AvgPool1d(3, 2, 1), (2, 9)),
        (QAvgPool2d((2, 3), 1, (1, 0)), nn.AvgPool2d((2, 3), 1, (1, 0)), (2, 5, 6)),
        (QAvgPool2d(2, divisor_override=3), nn.AvgPool2d(2, divisor_override=3), (2, 5, 6)),
        (QAdaptiveAvgPool2d(1), nn.AdaptiveAvgPool2d(1), (2, 3, 3)),
        (QAdaptiveAvgPool1d(2), nn.AdaptiveAvgPool1d(2), (2, 8)),
        (QAdaptiveAvgPool2d((2, None)), nn.AdaptiveAvgPool2d((2, None)), (2, 4, 6)),
    ],
)
def test_without_quantizers_it_is_torchs(ours: nn.Module, theirs: nn.Module, shape: tuple[int, ...]) -> None:
    x = torch.randn(3, *shape, dtype=torch.float64)
    torch.testing.assert_close(ours(x), theirs(x))
    assert ours(x[:0]).shape == (0, *theirs(x).shape[1:])


def test_the_constant_is_quantized() -> None:
    x = torch.randn(2, 3, 3, 3, dtype=torch.float64)
    pool = QGlobalAvgPool2d(average_quantizer=AVERAGE)
    assert pool.average((3, 3, 3)).item() == 14 / 128  # 1/9
    torch.testing.assert_close(pool(x), x.sum((2, 3)) * 14 / 128)
    assert pool(x).shape == (2, 3)


def model(*layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(QInput(INPUT), *layers)


def test_a_window_of_a_power_of_two_is_a_shift() -> None:
    graph = trace(model(QAvgPool2d(2)), (3, 4, 4))
    f = graph.node("1").format
    assert isinstance(f, FixedPoint)
    assert (f.width, f.integer) == (10, 4)  # two bits more below the point
    work = workloads(graph)[-1]
    assert (work.count("multiply"), work.count("add")) == (0, 3 * 4 * 3)
    x = torch.randn(50, 3, 4, 4, dtype=torch.float64) * 4
    values = evaluate(graph, x)
    assert torch.equal(values["1"], F.avg_pool2d(values["0"], 2))
    assert f.holds(values["1"].numpy()).all()


def test_work_of_a_pool_with_a_constant() -> None:
    graph = trace(model(QAvgPool2d(3, average_quantizer=AVERAGE)), (2, 6, 6))
    work = workloads(graph)[-1]
    assert (work.kind, work.macs, work.count("multiply"), work.count("add")) == ("average_pool", 0, 8, 8 * 8)
    assert [str(op.result) for op in work.operations] == [
        "ap_fixed<12,8,TRN,WRAP>",
        "ap_fixed<20,9,TRN,WRAP>",
    ]
    assert str(work.accumulator) == "ap_fixed<19,8,TRN,WRAP>"  # (8 + 4) + 8 - 1 bits
    assert estimate(graph).total["energy_pj"] > 0


def test_max_pools_pass_formats_through() -> None:
    graph = trace(model(nn.MaxPool2d(2), nn.Flatten(1, 2), nn.MaxPool1d(2, padding=1)), (2, 4, 4))
    nodes = {node.name: node for node in graph.nodes}
    assert [nodes[name].kind for name in ("1", "3")] == ["max_pool", "max_pool"]
    assert nodes["3"].format == nodes["0"].format
    assert nodes["3"].shape == (4, 2)
    works = {work.layer: work for work in workloads(graph)}
    assert (works["1"].count("maximum"), works["3"].count("maximum")) == (2 * 4 * 3, 4 * 2 * 1)
    x = torch.randn(5, 2, 4, 4, dtype=torch.float64)
    values = evaluate(graph, x)
    assert torch.equal(values["1"], F.max_pool2d(values["0"], 2))
    assert estimate(graph).total["bits"] == 0


class Functional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(torch.relu(self.conv(x)), 2)


def test_max_pool_as_a_function() -> None:
    scheme = Scheme.uniform(AVERAGE, AVERAGE, output="quantized_relu(6,2)", input=INPUT)
    converted = quantize(Functional(), scheme, (1, 4, 4))
    graph = trace(converted, (1, 4, 4))
    assert graph.nodes[-1].kind == "max_pool"
    assert graph.nodes[-1].shape == (2, 2, 2)
    assert str(graph.nodes[-1].format) == "ap_ufixed<6,2,RND_CONV,SAT>"


def test_pools_of_a_network_are_converted_with_or_without_a_constant() -> None:
    net = nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(8, 3)
    )
    scheme = Scheme.uniform(AVERAGE, AVERAGE, output="quantized_relu(6,2)", input=INPUT)
    converted = quantize(net, scheme, (1, 4, 4))
    pool = converted.get_submodule("2")
    assert isinstance(pool, QAvgPool2d)
    assert str(pool.output_quantizer).startswith("quantized_relu(6,2")
    assert left_float(converted) == {}
    trace(converted, (1, 4, 4))


def sentence(call: Any, kind: type[TorchqError] = TorchqError) -> str:
    with pytest.raises(kind) as caught:
        call()
    return str(caught.value)


def test_what_cannot_be_is_refused() -> None:
    assert sentence(lambda: QAvgPool2d(2, ceil_mode=True)) == (
        "QAvgPool2d: windows of different areas cannot be averaged with one constant; "
        "use ceil_mode=False and count_include_pad=True"
    )
    assert sentence(lambda: QAvgPool1d(2)(torch.ones(1, 1, 4, dtype=torch.int64))) == (
        "QAvgPool1d reads floating-point tensors, got int64; convert it first, for example with x.float()"
    )
    assert sentence(lambda: QAdaptiveAvgPool2d(2)(torch.ones(1, 1, 4, 5))) == (
        "QAdaptiveAvgPool2d averages to 2 x 2 values, which must divide the size, "
        "got samples of shape (1, 4, 5)"
    )


def test_what_cannot_be_traced_is_named() -> None:
    def traced(layer: nn.Module, shape: tuple[int, ...]) -> str:
        return sentence(lambda: trace(model(layer), shape), GraphError)

    assert traced(QAvgPool2d(3), (1, 3, 3)) == (
        "the average of 1 has no quantizer; give it a average_quantizer"
    )
    assert traced(QAvgPool2d(4), (1, 3, 5)) == (
        "1 has a window of 4 x 4 positions, got samples of shape (1, 3, 5) from 0"
    )
    assert traced(QAvgPool1d(4), (3,)) == (
        "1 needs samples of shape [channels, length], got samples of shape (3,) from 0"
    )
    assert traced(QGlobalAvgPool2d(), (1, 3, 3)) == (
        "1 needs an average_quantizer, since 9 is no power of two, "
        "to average samples of shape (1, 3, 3) from 0"
    )
