"""The folded layer against the two it stands for, and its switches."""

from __future__ import annotations

import copy
from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn

from torchq.errors import TorchqError, TrainError
from torchq.nn.folded import QLinearBatchNorm1d, fold_batch_norm

FOLDINGS: list[Literal["ema_stats", "batch_stats"]] = ["ema_stats", "batch_stats"]


def pair(bias: bool = True, **options: Any) -> nn.Sequential:
    torch.manual_seed(3)
    norm = nn.BatchNorm1d(4, **options)
    with torch.no_grad():
        for tensor in (norm.weight, norm.bias, norm.running_mean):
            if tensor is not None:
                tensor.uniform_(-1, 1)
        if norm.running_var is not None:
            norm.running_var.uniform_(0.5, 2)
    return nn.Sequential(nn.Linear(6, 4, bias=bias), norm).double()


def folded(model: nn.Sequential, **options: Any) -> QLinearBatchNorm1d:
    return QLinearBatchNorm1d.from_float(list(copy.deepcopy(model)), {}, **options)


def batch(count: int = 32) -> Tensor:
    return torch.randn(count, 6, dtype=torch.float64)


@pytest.mark.parametrize("folding", FOLDINGS)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("momentum", [0.1, None])
def test_without_quantizers_it_is_the_pair(
    folding: str, bias: bool, affine: bool, momentum: float | None
) -> None:
    model = pair(bias, affine=affine, momentum=momentum)
    layer = folded(model, folding=folding)
    for _ in range(3):
        x = batch()
        torch.testing.assert_close(layer(x), model(x))
    norm = model[1]
    assert isinstance(norm, nn.BatchNorm1d)
    torch.testing.assert_close(layer.batch_norm.running_mean, norm.running_mean)
    torch.testing.assert_close(layer.batch_norm.running_var, norm.running_var)
    assert layer.batch_norm.num_batches_tracked == 3
    layer.eval(), model.eval()
    x = batch()
    torch.testing.assert_close(layer(x), model(x))


@pytest.mark.parametrize("folding", FOLDINGS)
def test_gradients_without_quantizers_are_those_of_the_pair(folding: str) -> None:
    model = pair()
    layer = folded(model, folding=folding)
    x = batch()
    weights = torch.randn(32, 4, dtype=torch.float64)
    (model(x) * weights).sum().backward()
    (layer(x) * weights).sum().backward()
    norm = layer.batch_norm
    torch.testing.assert_close(norm.weight.grad, model[1].weight.grad)
    torch.testing.assert_close(norm.bias.grad, model[1].bias.grad)
    torch.testing.assert_close(layer.weight.grad, model[0].weight.grad)


@pytest.mark.parametrize("folding", FOLDINGS)
def test_after_the_delay_training_is_evaluation_and_statistics_stay(folding: str) -> None:
    layer = folded(pair(), folding=folding, freeze_delay=2)
    for _ in range(2):
        before = layer.batch_norm.running_mean.clone()  # type: ignore[union-attr]
        layer(batch())
        assert not torch.equal(layer.batch_norm.running_mean, before)  # type: ignore[arg-type]
    before = layer.batch_norm.running_mean.clone()  # type: ignore[union-attr]
    x = batch()
    in_training = layer(x)
    assert torch.equal(layer.batch_norm.running_mean, before)  # type: ignore[arg-type]
    assert torch.equal(in_training, layer.eval()(x))


def test_statistics_stop_with_the_batch_norm_in_evaluation() -> None:
    layer = folded(pair())
    layer.batch_norm.eval()
    before = layer.batch_norm.running_mean.clone()  # type: ignore[union-attr]
    layer(batch())
    assert torch.equal(layer.batch_norm.running_mean, before)  # type: ignore[arg-type]


def test_evaluation_quantizes_the_folded_weight_and_bias() -> None:
    layer = folded(pair()).eval()
    layer.set_quantizer("weight", "quantized_bits(5,1,alpha=1)")
    layer.set_quantizer("bias", "quantized_bits(6,2,alpha=1)")
    weight, bias = layer.folded()
    x = batch()
    assert layer.weight_quantizer is not None
    assert layer.bias_quantizer is not None
    torch.testing.assert_close(
        layer(x), nn.functional.linear(x, layer.weight_quantizer(weight), layer.bias_quantizer(bias))
    )


def test_float32_and_float64_models_have_the_same_weights() -> None:
    torch.manual_seed(0)
    layer = folded(pair()).float().eval()
    layer.set_quantizer("weight", "quantized_bits(12,1,alpha=1)")
    layer.set_quantizer("bias", "quantized_bits(12,1,alpha=1)")
    wide = copy.deepcopy(layer).double()
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(layer.folded(), wide.folded(), strict=True))
    assert torch.equal(layer.quantized_weight().double(), wide.quantized_weight())
    assert torch.equal(layer.quantized_bias().double(), wide.quantized_bias())


def test_folding_now_gives_one_float_layer() -> None:
    model = pair(bias=False).eval()
    before = copy.deepcopy(model)
    layer = fold_batch_norm(model[0], model[1])  # type: ignore[arg-type]
    assert type(layer) is nn.Linear
    assert not layer.training
    x = batch()
    torch.testing.assert_close(layer(x), model(x))
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), before.parameters(), strict=True))


def test_faults_are_named() -> None:
    with pytest.raises(TrainError) as alone:
        folded(pair())(batch(1))
    assert str(alone.value) == (
        "QLinearBatchNorm1d needs at least 2 samples in a training batch, got 1; "
        "leave out the last batch, or call eval() first"
    )
    with pytest.raises(TorchqError) as unknown:
        QLinearBatchNorm1d(6, 4, folding="ema")  # type: ignore[arg-type]
    assert str(unknown.value) == "folding must be 'ema_stats' or 'batch_stats', got 'ema'"
    with pytest.raises(TorchqError) as negative:
        QLinearBatchNorm1d(6, 4, freeze_delay=-1)
    assert str(negative.value) == "freeze_delay must be at least 0 steps, got -1"
    with pytest.raises(TorchqError) as without:
        folded(pair(track_running_stats=False))
    assert str(without.value) == (
        "a BatchNorm1d without running statistics cannot be folded; make it with track_running_stats=True"
    )
