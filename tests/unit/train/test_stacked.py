"""Stacks: who stands in one, who leaves it, and what is said."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torchq.convert import quantize
from torchq.errors import TrainError
from torchq.models import jets_mlp
from torchq.prune import ConstantSparsity, PolynomialDecay, Pruner, sparsity
from torchq.quantizers import parse
from torchq.scheme import Scheme
from torchq.train import EpochRecord, History, fit
from torchq.train.stacked import StackReport, fit_many
from torchq.train.stacked.arithmetic import Arithmetic
from torchq.train.stacked.chain import Chain
from torchq.train.stacked.chunks import chunk_size
from torchq.train.stacked.formulas import columns, passed, values
from torchq.train.stacked.layout import Layout
from torchq.train.stacked.native.build import lack, library
from torchq.train.stacked.numbers import FIELDS, Families, Numbers, numbers_of
from torchq.train.stacked.program import train_step
from torchq.train.stacked.reading import chain_of


def samples(rows: int, seed: int) -> tuple[Tensor, Tensor]:
    drawn = torch.Generator().manual_seed(seed)
    y = torch.randint(0, 3, (rows,), generator=drawn)
    return torch.randn(rows, 6, generator=drawn, dtype=torch.float64) + y[:, None], y


TRAIN, VALID = samples(257, 0), samples(90, 1)
SETTINGS = {"epochs": 3, "batch_size": 64, "lr": 1e-2}


def network(
    seed: int, units: tuple[int, ...] = (7, 5), *, batch_norm: bool = False, bits: int | None = 5
) -> nn.Module:
    made = jets_mlp(6, units, 3, batch_norm=batch_norm, seed=seed).double()
    if bits is None:
        return made
    weight = f"quantized_bits({bits},0,alpha=1)"
    return quantize(made, Scheme.uniform(weight, weight, output="quantized_relu(6,2)"))


def gap(one: nn.Module, other: nn.Module, without: str = "none") -> float:
    a, b = one.state_dict(), other.state_dict()
    assert a.keys() == b.keys()
    return max(float((a[n].double() - b[n].double()).abs().max()) for n in a if without not in n)


@pytest.mark.parametrize("folding", ["ema_stats", "batch_stats", None])
def test_batch_norms_are_those_of_fit(folding: str | None) -> None:
    """A bias before a batch norm has no gradient but noise, which Adam makes steps of; it cancels."""
    models = [network(seed, (4 + seed, 5), batch_norm=True, bits=None) for seed in range(3)]
    if folding is not None:
        weight = "quantized_bits(5,0,alpha=1)"
        scheme = Scheme.uniform(weight, weight, output="quantized_relu(6,2)")
        models = [quantize(model, scheme, folding=folding) for model in models]  # type: ignore[arg-type]
    alone = copy.deepcopy(models)
    histories = fit_many(models, TRAIN, VALID, seeds=range(3), **SETTINGS)
    for seed, (model, other, history) in enumerate(zip(models, alone, histories, strict=True)):
        expected = fit(other, TRAIN, VALID, seed=seed, **SETTINGS)
        assert isinstance(history, History)
        assert history.best.valid_loss == pytest.approx(expected.best.valid_loss, rel=1e-10)
        assert history.best_epoch == expected.best_epoch
        assert gap(model, other) < 1e-6


def test_the_last_batch_may_be_short_or_longer() -> None:
    for rows in (257, 250):  # 257: a batch of one would be left over
        models = [network(seed) for seed in range(2)]
        alone = copy.deepcopy(models)
        train = (TRAIN[0][:rows], TRAIN[1][:rows])
        fit_many(models, train, VALID, **SETTINGS)
        for model, other in zip(models, alone, strict=True):
            fit(other, train, VALID, **SETTINGS)
            assert gap(model, other) < 1e-12


def test_what_cannot_be_stacked_is_trained_by_fit_and_the_report_says_why() -> None:
    two = [network(0), network(1)]
    odd = nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    weight = "stochastic_ternary()"
    random = quantize(network(3, bits=None), Scheme.uniform(weight, "quantized_bits(6,0,alpha=1)"))
    models = [*two, odd, random, network(2, (7,))]
    alone = copy.deepcopy(models)
    reports: list[StackReport] = []
    histories = fit_many(models, TRAIN, VALID, on_report=reports.append, **SETTINGS)
    for model, other, history in zip(models, alone, histories, strict=True):
        assert history == fit(other, TRAIN, VALID, **SETTINGS) or gap(model, other) < 1e-12
    (report,) = reports
    assert report.chunks == ((0, 1),)
    assert report.alone[2] == "1: a Tanh is not stacked"
    assert report.alone[3].startswith("fc1: stochastic_ternary(")
    assert report.alone[4] == "no other candidate has its structure"
    assert not report.compiled
    assert report.notes == ("not compiled: 2,313 samples are trained sooner than a program is compiled",)
    assert "candidate 2 alone: 1: a Tanh is not stacked" in report.summary()


def test_only_the_candidate_whose_loss_is_no_number_fails() -> None:
    models = [network(seed, bits=None) for seed in range(3)]
    alone = copy.deepcopy(models)
    histories = fit_many(models, TRAIN, VALID, epochs=3, batch_size=64, lr=[1e-2, 1e300, 1e-2])
    with pytest.raises(TrainError) as expected:
        fit(alone[1], TRAIN, VALID, epochs=3, batch_size=64, lr=1e300)
    assert str(histories[1]) == str(expected.value)
    for number in (0, 2):
        fit(alone[number], TRAIN, VALID, **SETTINGS)
        assert gap(models[number], alone[number]) < 1e-12


def test_rungs_keep_the_better_part() -> None:
    models = [network(seed) for seed in range(5)]
    full = fit_many(copy.deepcopy(models), TRAIN, VALID, epochs=6, batch_size=64, seeds=range(5))
    seen: list[int] = []

    def on_epoch(number: int, record: EpochRecord) -> None:
        if record.epoch == 6:
            seen.append(number)

    halved = fit_many(
        models, TRAIN, VALID, epochs=6, batch_size=64, seeds=range(5), rungs=[(4, 0.5), (2, 0.6)], chunk=2,
        on_epoch=on_epoch,
    )  # fmt: skip
    best = {k: min(r.valid_loss for r in h.epochs[:2]) for k, h in enumerate(full) if isinstance(h, History)}
    first = sorted(best, key=lambda k: best[k])[:3]
    best = {k: min(r.valid_loss for r in full[k].epochs[:4]) for k in first}  # type: ignore[union-attr]
    second = sorted(best, key=lambda k: best[k])[:2]
    for number, (history, whole) in enumerate(zip(halved, full, strict=True)):
        assert isinstance(history, History)
        assert isinstance(whole, History)
        length = 6 if number in second else 4 if number in first else 2
        assert len(history.epochs) == length
        assert history.stopped_early == (length < 6)
        losses = [record.valid_loss for record in whole.epochs[:length]]
        assert [record.valid_loss for record in history.epochs] == pytest.approx(losses, rel=1e-12)
    assert sorted(seen) == sorted(second)


def test_stopped_candidates_leave_and_the_others_go_on() -> None:
    models = [network(seed) for seed in range(4)]
    alone = copy.deepcopy(models)
    rates = [1e-2, 1e-9, 0.3, 1e-2]
    given = {"epochs": 12, "batch_size": 64, "patience": 1}
    histories = fit_many(models, TRAIN, VALID, lr=rates, **given)
    lengths = set()
    for number, (model, other, history) in enumerate(zip(models, alone, histories, strict=True)):
        expected = fit(other, TRAIN, VALID, lr=rates[number], **given)
        assert isinstance(history, History)
        lengths.add(len(history.epochs))
        assert len(history.epochs) == len(expected.epochs)
        assert gap(model, other) < 1e-11
    assert len(lengths) > 1


def test_another_loss_is_that_of_each_candidate() -> None:
    def smooth(logits: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(logits, y, label_smoothing=0.1)

    models = [network(seed) for seed in range(2)]
    alone = copy.deepcopy(models)
    histories = fit_many(models, TRAIN, VALID, loss=smooth, **SETTINGS)
    for model, other, history in zip(models, alone, histories, strict=True):
        expected = fit(other, TRAIN, VALID, loss=smooth, **SETTINGS)
        assert isinstance(history, History)
        assert history.best.valid_loss == pytest.approx(expected.best.valid_loss, rel=1e-10)
        assert gap(model, other) < 1e-12


def test_a_loss_that_cannot_be_stacked_is_left_to_fit() -> None:
    def looks(logits: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(logits, y) * (2.0 if float(logits.detach().sum()) > 0 else 1.0)

    reports: list[StackReport] = []
    fit_many([network(0), network(1)], TRAIN, VALID, loss=looks, on_report=reports.append, **SETTINGS)
    assert reports[0].alone[0].startswith("the loss is not stacked: ")


def test_each_candidate_is_pruned_by_its_own_schedule() -> None:
    schedules = [
        ConstantSparsity(0.5, begin=3, frequency=4),
        None,
        PolynomialDecay(0.1, 0.75, begin=0, end=8, frequency=2),
    ]
    models = [network(seed, (7 - seed, 5)) for seed in range(3)]
    alone = copy.deepcopy(models)
    fit_many(models, TRAIN, VALID, prune=schedules, **SETTINGS)
    for model, other, schedule in zip(models, alone, schedules, strict=True):
        pruner = None if schedule is None else Pruner(other, schedule)
        fit(other, TRAIN, VALID, after_step=() if pruner is None else pruner.step, **SETTINGS)
        assert gap(model, other) < 1e-10
    pruned = [
        float(model.state_dict()["fc1.weight_pruned"].double().mean()) for model in (models[0], models[2])
    ]
    assert pruned == pytest.approx([0.5, 0.75], abs=0.03)
    assert "fc1.weight_pruned" not in models[1].state_dict()


def test_a_model_that_is_pruned_already_stays_so() -> None:
    source = network(0, bits=None)
    Pruner(source, ConstantSparsity(0.5))
    weight = "quantized_bits(5,0,alpha=1)"
    models: list[nn.Module] = [quantize(source, Scheme.uniform(weight, weight)), network(1)]
    models[1] = quantize(network(1, bits=None), Scheme.uniform(weight, weight))
    alone = copy.deepcopy(models)
    fit_many(models, TRAIN, VALID, **SETTINGS)
    for model, other in zip(models, alone, strict=True):
        fit(other, TRAIN, VALID, **SETTINGS)
        assert gap(model, other) < 1e-12
    assert sparsity(models[0]).share == sparsity(source).share


def test_like_makes_one_layout_of_two_calls() -> None:
    def chain(units: int, weight: str) -> Chain:
        scheme = Scheme.uniform(weight, "quantized_bits(5,0,alpha=1)", output="quantized_relu(4,1)")
        found = chain_of(quantize(jets_mlp(6, (units,), 3, seed=0), scheme))
        assert isinstance(found, Chain)
        return found

    wide, banded = chain(9, "quantized_bits(5,0,alpha=1)"), chain(9, "ternary(alpha=1)")
    narrow = chain(4, "quantized_bits(3,0,alpha=1)")
    assert Layout.of([narrow, wide, banded]) == Layout.of([banded, wide])
    assert Layout.of([narrow]) != Layout.of([wide])


@pytest.mark.parametrize(
    "text", ["quantized_relu_po2(4)", "ternary()", "binary(alpha=1)", "quantized_bits(5,1,alpha=0.3)"]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_formulas_are_the_quantizers(text: str, dtype: torch.dtype) -> None:
    quantizer = parse(text)
    edges = [0.0, -0.0, 0.33, -0.33, 1e-7, 2.0**0.5, 2.0**-0.5, 1e30, -1e30, 0.5, 0.25, 1.5, -2.5]
    tensor = torch.tensor(edges, dtype=torch.float64).to(dtype)
    near = torch.cat([tensor, torch.nextafter(tensor, tensor + 1), torch.nextafter(tensor, tensor - 1)])
    x = torch.cat([near, torch.randn(500, generator=torch.Generator().manual_seed(0)).to(dtype)])
    x.requires_grad_(True)
    expected = quantizer(x)
    (gradient,) = torch.autograd.grad(expected.sum(), x)
    numbers = numbers_of(quantizer, dtype)
    assert isinstance(numbers, Numbers)
    table, families = columns([numbers], dtype), Families.of(numbers)
    with torch.no_grad():
        made = values(x.reshape(1, 1, -1), table, families).reshape(-1)
        through = passed(torch.ones(1, 1, len(x), dtype=dtype), x.reshape(1, 1, -1), table, families)
    assert torch.equal(made, expected)
    assert torch.allclose(through.reshape(-1), gradient, rtol=1e-5, atol=1e-7)


def test_a_training_step_stays_on_its_device() -> None:
    chains = [
        found for seed in range(2) if isinstance(found := chain_of(network(seed, batch_norm=True)), Chain)
    ]
    layout = Layout.of(chains)
    values_, running = sum(p.count for p in layout.parameters()), sum(p.count for p in layout.statistics())

    def fake(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
        return torch.empty(shape, dtype=dtype, device="meta")

    loss = train_step(
        layout, Arithmetic(), None, fake(50, 6), fake(50, dtype=torch.int64), fake(2, 8, dtype=torch.int64),
        fake(8), fake(16), fake(2, 1), *(fake(2, values_) for _ in range(4)), fake(2, running),
        fake(2, len(chains[0].numbers), len(FIELDS)),
    )  # fmt: skip
    assert loss.device.type == "meta"
    assert loss.shape == (2,)


def test_stacks_are_as_large_as_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    found = chain_of(jets_mlp())
    assert isinstance(found, Chain)
    layout = Layout.of([found])
    monkeypatch.setattr("torchq.train.stacked.chunks._last_cache", lambda: 2**25)
    sizes = [chunk_size(layout, rows, torch.device("cpu")) for rows in (64, 128, 1024, 65536)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 30
    assert sizes[-1] == 8
    assert 8 <= sizes[2] < 32


def test_without_a_compiler_stacks_are_trained_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    library.cache_clear()
    lack.cache_clear()
    reports: list[StackReport] = []
    models = [network(0), network(1)]
    try:
        fit_many(models, TRAIN, VALID, compile=True, on_report=reports.append, **SETTINGS)
    finally:
        library.cache_clear()
        lack.cache_clear()
    assert reports[0].chunks == ((0, 1),)
    assert not reports[0].compiled
    assert reports[0].notes == ("not compiled: no C compiler among cc, gcc, clang",)


def test_no_models_no_histories() -> None:
    assert fit_many([], TRAIN, VALID) == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"lr": [0.1]}, "lr has 1 values and there are 2 models"),
        ({"seeds": [1, 2, 3]}, "seeds has 3 values and there are 2 models"),
        ({"prune": [None]}, "prune has 1 schedules and there are 2 models"),
        ({"lr": [0.1, -1.0]}, "lr must be greater than 0, got -1"),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"best_from": 31}, "best_from must be from 1 to 30 (the number of epochs), got 31"),
        ({"chunk": 1}, "chunk must be at least 2, got 1; one model alone is trained by fit"),
        (
            {"rungs": [(30, 0.5)]},
            "a rung needs an epoch from 1 to 29 and a fraction above 0 and at most 1, got (30, 0.5)",
        ),
    ],
)
def test_what_is_wrong_is_said(given: dict[str, object], message: str) -> None:
    with pytest.raises(TrainError) as fault:
        fit_many([network(0), network(1)], TRAIN, VALID, **given)  # type: ignore[arg-type]
    assert str(fault.value) == message


def test_one_model_twice_is_refused() -> None:
    model = network(0)
    with pytest.raises(TrainError) as fault:
        fit_many([model, network(1), model], TRAIN, VALID)
    assert str(fault.value) == "models 0 and 2 share a parameter; give each model its own copy"
