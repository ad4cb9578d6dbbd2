"""A batch norm of its own, and the scale and shift that it becomes."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from torchq.convert import freeze, left_float, quantize
from torchq.errors import TorchqError
from torchq.graph import evaluate, trace
from torchq.nn import QBatchNorm1d, QBatchNorm2d, QInput, QScaleShift
from torchq.nn.batch_folding import random_statistics
from torchq.scheme import Scheme

SLOTS = {
    "inverse": "quantized_bits(8,2,alpha=1)",
    "mean": "quantized_bits(6,2,alpha=1)",
    "shift": "quantized_bits(6,1,alpha=1)",
}


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(4)


def batch(dimensions: int) -> Tensor:
    return torch.randn(16, 3, *(4, 5)[: dimensions - 2], dtype=torch.float64)


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize(
    ("ours", "theirs", "dimensions"),
    [(QBatchNorm1d, nn.BatchNorm1d, 2), (QBatchNorm1d, nn.BatchNorm1d, 3), (QBatchNorm2d, nn.BatchNorm2d, 4)],
)
def test_without_quantizers_it_is_torchs(
    ours: Any, theirs: Any, dimensions: int, affine: bool, momentum: float | None
) -> None:
    layer = ours(3, affine=affine, momentum=momentum).double()
    plain = theirs(3, affine=affine, momentum=momentum).double()
    assert isinstance(layer, theirs)
    for _ in range(3):
        x = batch(dimensions)
        torch.testing.assert_close(layer(x), plain(x))
    torch.testing.assert_close(layer.state_dict(), plain.state_dict())
    layer.eval(), plain.eval()
    x = batch(dimensions)
    torch.testing.assert_close(layer(x), plain(x))


def test_frozen_it_is_a_scale_and_a_shift() -> None:
    norm = random_statistics(nn.BatchNorm2d(3))
    model = nn.Sequential(
        QInput("quantized_bits(8,3,alpha=1)"), QBatchNorm2d.from_float([norm], SLOTS)
    ).double()
    frozen = freeze(model)
    layer = frozen[1]
    assert isinstance(layer, QScaleShift)
    x = batch(4)
    assert torch.equal(frozen(x), model.eval()(x))
    graph = trace(frozen, (3, 4, 5))
    assert str(graph) == str(trace(model, (3, 4, 5)))
    assert torch.equal(evaluate(graph, x)["1"], frozen(x))


def test_training_quantizes_the_statistics_of_the_batch() -> None:
    layer = QBatchNorm1d(1, mean_quantizer="quantized_bits(3,2,alpha=1)").double()
    y = layer(torch.tensor([[0.1], [0.3]], dtype=torch.float64))
    assert (y > 0).all()  # the mean 0.2 becomes 0
    assert layer.running_mean is not None
    assert layer.running_mean.item() == pytest.approx(0.02)


def test_a_batch_norm_behind_no_layer_is_converted_where_it_is_asked_for() -> None:
    net = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.BatchNorm1d(3))
    q = "quantized_bits(6,1,alpha=1)"
    scheme = Scheme.uniform(q, q, output="quantized_relu(6,2)", input=q)
    assert left_float(quantize(net, scheme, (3,))) == {"2": "BatchNorm1d, no inverse quantizer"}
    wanted = Scheme({**scheme.layers, "2": SLOTS}, scheme.input)
    converted = quantize(net, wanted, (3,))
    assert isinstance(converted.get_submodule("2"), QBatchNorm1d)
    assert left_float(converted) == {}
    before = copy.deepcopy(converted.state_dict())
    freeze(converted)
    torch.testing.assert_close(converted.state_dict(), before)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(TorchqError) as without:
        QBatchNorm2d.from_float([nn.BatchNorm2d(2, track_running_stats=False)], {})
    assert str(without.value) == "QBatchNorm2d needs running statistics; use track_running_stats=True"
    with pytest.raises(TorchqError) as alone:
        QBatchNorm1d(2)(torch.zeros(1, 2))
    assert str(alone.value) == (
        "QBatchNorm1d needs at least 2 samples in a training batch, got 1; "
        "leave out the last batch, or call eval() first"
    )
    with pytest.raises(TorchqError) as other:
        trace(nn.Sequential(QInput("quantized_bits(8)"), QScaleShift(2)), (3,))
    assert str(other.value) == "1 needs samples of 2 channels, got samples of shape (3,) from 0"


def test_one_scale_for_everything_or_one_for_each_channel() -> None:
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    one, two = QScaleShift(bias=False), QScaleShift(2)
    with torch.no_grad():
        one.weight.fill_(0.5)
        two.weight.copy_(torch.tensor([1.0, 2.0]))
    assert one(x).tolist() == [[0.5, 1.0], [1.5, 2.0]]
    assert two(x).tolist() == [[1.0, 4.0], [3.0, 8.0]]
