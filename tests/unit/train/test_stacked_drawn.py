"""Whatever chain is drawn, a candidate of a stack ends as ``fit`` leaves it, unless a rounding decides."""

from __future__ import annotations

import copy

import pytest
import torch
from drawn_stacks import compared, drawn
from torch import nn

from torchq.nn import QLinear, QLinearBatchNorm1d, QReLU
from torchq.train import fit
from torchq.train.stacked import fit_many


def check(seeds: range) -> None:
    """Ties whose side depends on the order of adding may be left: one candidate in 200."""
    found = {seed: compared(drawn(seed)) for seed in seeds}
    count = sum(map(len, found.values()))
    wrong = [(seed, one) for seed, ones in found.items() for one in ones if one.unexplained]
    agreeing = sum(one.agrees for ones in found.values() for one in ones)
    assert len(wrong) <= count // 200, f"drawn_stacks.drawn(seed): {wrong}"
    assert agreeing > 0.75 * count


def test_drawn_stacks_end_as_alone() -> None:
    check(range(22))


@pytest.mark.slow
@pytest.mark.parametrize("first", [22, 77])
def test_more_drawn_stacks_end_as_alone(first: int) -> None:
    check(range(first, first + 55))


def dead(norm: str, seed: int) -> nn.Module:
    """Weights so small that most neurons never change, and relus behind a batch norm that starts at zero."""
    torch.manual_seed(seed)
    first: nn.Module
    if norm == "folded":
        first = QLinearBatchNorm1d(6, 32, weight_quantizer="ternary(alpha=1)", bias_quantizer="fixed(8,2)")
        layers = [first]
    else:
        first = QLinear(6, 32, weight_quantizer="ternary(alpha=1)", bias_quantizer="fixed(6,1)")
        layers = [first, nn.BatchNorm1d(32)]
    torch.nn.init.uniform_(first.weight, -0.35, 0.35)  # type: ignore[arg-type]
    return nn.Sequential(*layers, QReLU("quantized_relu(6,2)"), nn.Linear(32, 3))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("norm", ["apart", "folded"])
def test_neurons_that_never_change_open_the_same_relus(norm: str, dtype: torch.dtype) -> None:
    """What a batch norm leaves of a value that is its own mean is a rounding error, whose sign decides."""
    drawn_ = torch.Generator().manual_seed(1)
    x = torch.randn(101, 6, generator=drawn_).to(dtype).mul(4).round().div(4)
    y = torch.randint(0, 3, (101,), generator=drawn_)
    models = [dead(norm, seed).to(dtype) for seed in range(3)]
    alone = copy.deepcopy(models)
    fit_many(models, (x, y), (x, y), epochs=1, batch_size=101, seeds=range(3), lr=0.01)
    for seed, (model, other) in enumerate(zip(models, alone, strict=True)):
        fit(other, (x, y), (x, y), epochs=1, batch_size=101, seed=seed, lr=0.01)
        name = "0.batch_norm.bias" if norm == "folded" else "1.bias"
        gap = (model.state_dict()[name] - other.state_dict()[name]).abs().max()
        assert float(gap) < (1e-9 if dtype == torch.float64 else 1e-3), "a step of Adam is 1e-2"
