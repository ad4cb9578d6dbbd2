"""A candidate of a stack ends as it would alone, whatever its quantizers, neurons, seed and learning rate."""

from __future__ import annotations

import copy
import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from torchq.convert import quantize
from torchq.data import load
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
    'quantized_bits(4,0,alpha="auto_po2")',
    'quantized_bits(3,1,alpha="auto_po2",max_po2_exponent=0)',
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
            scheme = scheme.with_slot(f"fc{layer}", "bias", draw.choice(WEIGHTS[:-2]))
            scheme = scheme.with_slot(f"relu{layer}", "output", draw.choice(ACTIVATIONS))
            if draw.random() < 0.5:
                scheme = scheme.with_units(f"fc{layer}", draw.choice([3, 5, 7]))
        scheme = scheme.with_slot("output", "weight", draw.choice(WEIGHTS))
        scheme = scheme.with_slot("output", "bias", draw.choice(WEIGHTS[:-2]))
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
        assert largest_gap(model, other) < 1e-9  # Adam makes steps of a gradient's rounding noise
        assert history.best_epoch == expected.best_epoch
        assert history.stopped_early == expected.stopped_early
        assert len(history.epochs) == len(expected.epochs)
        for mine, its in zip(history.epochs, expected.epochs, strict=True):
            assert mine.loss == pytest.approx(its.loss, rel=1e-12)
            assert mine.valid_loss == pytest.approx(its.valid_loss, rel=1e-12)
            assert mine.valid_accuracy == pytest.approx(its.valid_accuracy, abs=1e-12)
            assert mine.lr == pytest.approx(its.lr, rel=1e-12)
        assert not model.training


@pytest.mark.slow
def test_compiled_stacks_end_the_same() -> None:
    models: list[nn.Module] = []
    for k, weight in enumerate(("quantized_bits(6,0,alpha=1)", "ternary(alpha=1)", "quantized_po2(4)") * 2):
        scheme = Scheme.uniform(weight, "quantized_bits(4,0,alpha=1)", output=f"quantized_relu({3 + k},1)")
        models.append(quantize(jets_mlp(units=(5 + k,), seed=k).double(), scheme))
    alone = copy.deepcopy(models)
    train, valid = samples(330, 5), samples(150, 6)
    training = {"epochs": 5, "batch_size": 64, "patience": 1}
    reports: list[StackReport] = []
    histories = fit_many(
        models, train, valid, compile=True, chunk=3, seeds=range(6), on_report=reports.append, **training
    )  # fmt: skip
    assert reports[0].compiled
    assert reports[0].chunks == ((0, 1, 2), (3, 4, 5))
    for k, (model, other, history) in enumerate(zip(models, alone, histories, strict=True)):
        expected = fit(other, train, valid, seed=k, **training)
        assert isinstance(history, History)
        assert len(history.epochs) == len(expected.epochs)
        assert largest_gap(model, other) < 1e-11


@pytest.mark.slow
@given(
    seed=st.integers(0, 2**16),
    count=st.integers(2, 6),
    rows=st.integers(40, 200),
    batch=st.integers(3, 70),
    patience=st.none() | st.integers(1, 3),
    epochs=st.integers(1, 5),
)
@settings(max_examples=12, deadline=None)
def test_whatever_is_drawn_it_ends_as_alone(
    seed: int, count: int, rows: int, batch: int, patience: int | None, epochs: int
) -> None:
    models = drawn_models(count, seed)
    alone = copy.deepcopy(models)
    train, valid = samples(rows, seed + 1), samples(60, seed + 2)
    settings_ = {"epochs": epochs, "batch_size": batch, "patience": patience}
    histories = fit_many(models, train, valid, seeds=range(count), **settings_)  # type: ignore[arg-type]
    for k, (model, other, history) in enumerate(zip(models, alone, histories, strict=True)):
        expected = fit(other, train, valid, seed=k, **settings_)  # type: ignore[arg-type]
        assert isinstance(history, History)
        assert history.best_epoch == expected.best_epoch
        assert largest_gap(model, other) < 1e-9


def test_in_single_precision_a_short_training_ends_the_same() -> None:
    """A long one need not: one sum that is rounded the other way moves a value to the next grid point."""
    models = drawn_models(4, 3, dtype=torch.float32)
    alone = copy.deepcopy(models)
    train, valid = samples(200, 3, torch.float32), samples(100, 4, torch.float32)
    fit_many(models, train, valid, epochs=1, batch_size=50, seeds=range(4))
    for k, (model, other) in enumerate(zip(models, alone, strict=True)):
        fit(other, train, valid, epochs=1, batch_size=50, seed=k)
        assert largest_gap(model, other) < 1e-5


@pytest.mark.slow
def test_on_jets_stacks_are_as_accurate_as_candidates_alone() -> None:
    data = load("jets", limit=12_000)
    train, valid = (data.train.x, data.train.y), (data.valid.x, data.valid.y)
    weight = "quantized_bits(6,0,alpha=1)"
    scheme = Scheme.uniform(
        weight, weight, output="quantized_relu(6,2)", input="quantized_bits(16,6,alpha=1)"
    )
    models = [quantize(jets_mlp(seed=k), scheme) for k in range(6)]
    alone = copy.deepcopy(models)
    training = {"epochs": 6, "batch_size": 256, "lr": 1e-2}
    histories = fit_many(models, train, valid, seeds=range(6), **training)
    gaps = []
    for k, (other, history) in enumerate(zip(alone, histories, strict=True)):
        assert isinstance(history, History)
        expected = fit(other, train, valid, seed=k, **training)
        gaps.append(history.best.valid_accuracy - expected.best.valid_accuracy)
    assert max(map(abs, gaps)) < 0.015
    assert abs(sum(gaps) / len(gaps)) < 0.006
