"""A candidate of a stack ends as it would alone, whatever its quantizers, neurons, seed and learning rate."""

from __future__ import annotations

import copy
import random

import pytest
import torch
from torch import Tensor, nn

from torchq.convert import quantize
from torchq.models import jets_mlp
from torchq.scheme import Scheme
from torchq.train import History, fit
from torchq.train.stacked import StackReport, fit_many

WEIGHTS = (
    "quantized_bits(6,0,alpha=1)",
    "quantized_bits(3,0,symmetric=1,alpha=0.5)",
    "quantized_bits(1,0,alpha=1)",
    "ternary(alpha=1)",
    "ternary()",
    "binary(alpha=1)",
    "binary()",
    "quantized_po2(4)",
    "quantized_linear(5,1)",
    "fixed(6,2)",
    "quantized_relu(6,1)",
)
ACTIVATIONS = (
    "quantized_relu(6,2)",
    "quantized_relu(3,1)",
    "quantized_bits(5,2,alpha=1)",
    "quantized_linear(6,2)",
    "ternary(alpha=1)",
    "quantized_relu_po2(4,4)",
    "quantized_relu_po2(4)",
)


def samples(rows: int, seed: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    drawn = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, 16, generator=drawn, dtype=torch.float64)
    return x.to(dtype), torch.randint(0, 5, (rows,), generator=drawn)


def drawn_models(
    count: int, seed: int, *, batch_norm: bool = False, dtype: torch.dtype = torch.float64
) -> list[nn.Module]:
    """Small jet networks with random schemes."""
    draw = random.Random(seed)
    models: list[nn.Module] = []
    for number in range(count):
        scheme = Scheme(input=draw.choice(["quantized_bits(16,6,alpha=1)", "quantized_bits(8,3,alpha=1)"]))
        for layer in (1, 2):
            scheme = scheme.with_slot(f"fc{layer}", "weight", draw.choice(WEIGHTS))
            scheme = scheme.with_slot(f"fc{layer}", "bias", draw.choice(WEIGHTS))
            scheme = scheme.with_slot(f"relu{layer}", "output", draw.choice(ACTIVATIONS))
            if draw.random() < 0.5:
                scheme = scheme.with_units(f"fc{layer}", draw.choice([3, 5, 7]))
        scheme = scheme.with_slot("output", "weight", draw.choice(WEIGHTS))
        scheme = scheme.with_slot("output", "bias", draw.choice(WEIGHTS))
        made = jets_mlp(units=(9, 8), batch_norm=batch_norm, seed=100 * seed + number)
        models.append(quantize(made.to(dtype), scheme))
    return models


def largest_gap(one: nn.Module, other: nn.Module) -> float:
    a, b = one.state_dict(), other.state_dict()
    assert a.keys() == b.keys()
    return max(float((a[name].double() - b[name].double()).abs().max()) for name in a)


@pytest.mark.parametrize("seed", range(4))
def test_a_candidate_ends_as_it_would_alone(seed: int) -> None:
    models = drawn_models(5, seed)
    alone = copy.deepcopy(models)
    seeds, rates = [3 * k + seed for k in range(5)], [5e-3 * (k + 1) for k in range(5)]
    train, valid = samples(330, 2 * seed), samples(150, 2 * seed + 1)
    reports: list[StackReport] = []
    histories = fit_many(
        models, train, valid, epochs=4, batch_size=64, lr=rates, seeds=seeds, patience=2, weight_decay=0.01,
        on_report=reports.append,
    )  # fmt: skip
    assert reports[0].chunks == ((0, 1, 2, 3, 4),)
    for k, (model, other, history) in enumerate(zip(models, alone, histories, strict=True)):
        expected = fit(
            other, train, valid, epochs=4, batch_size=64, lr=rates[k], seed=seeds[k], patience=2,
            weight_decay=0.01,
        )  # fmt: skip
        assert isinstance(history, History)
        assert largest_gap(model, other) < 1e-12
        assert history.best_epoch == expected.best_epoch
        assert history.stopped_early == expected.stopped_early
        assert len(history.epochs) == len(expected.epochs)
        for mine, its in zip(history.epochs, expected.epochs, strict=True):
            assert mine.loss == pytest.approx(its.loss, rel=1e-12)
            assert mine.valid_loss == pytest.approx(its.valid_loss, rel=1e-12)
            assert mine.valid_accuracy == pytest.approx(its.valid_accuracy, abs=1e-12)
            assert mine.lr == pytest.approx(its.lr, rel=1e-12)
        assert not model.training
