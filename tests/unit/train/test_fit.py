"""The training loop: it learns, stops, restores, repeats itself, and says what is wrong."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from torchq.data import load
from torchq.errors import TrainError, UnknownNameError
from torchq.models import jets_mlp
from torchq.train import EpochRecord, History, accuracy, fit, predict_logits
from torchq.train.loop import _batches
from torchq.train.schedule import SCHEDULES, cosine

Samples = tuple[Tensor, Tensor]


def blobs(rows: int, seed: int) -> Samples:
    """Two classes that overlap, in four dimensions."""
    random = torch.Generator().manual_seed(seed)
    y = torch.randint(0, 2, (rows,), generator=random)
    return torch.randn(rows, 4, generator=random) + y[:, None], y


TRAIN, VALID = blobs(300, 0), blobs(200, 1)


def network(seed: int = 0) -> nn.Module:
    """With everything that has a random or running state."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 2))


def same(one: nn.Module, other: nn.Module) -> bool:
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_it_learns_the_jets() -> None:
    data = load("jets", limit=12_000)
    model = jets_mlp(seed=0)
    history = fit(
        model, (data.train.x, data.train.y), (data.valid.x, data.valid.y), epochs=12, batch_size=256, lr=1e-2
    )
    reached = accuracy(data.test.y, predict_logits(model, data.test.x))
    assert reached > 0.68  # 0.2 is guessing; the whole sample and more epochs give 0.72
    assert history.best.valid_accuracy > 0.67
    assert history.epochs[-1].loss < 0.9 < history.epochs[0].loss


def test_the_same_seed_gives_the_same_weights() -> None:
    one, other, third = network(), network(), network()
    histories = [
        fit(model, TRAIN, VALID, epochs=3, batch_size=32, seed=seed)
        for model, seed in ((one, 7), (other, 7), (third, 8))
    ]
    assert same(one, other)
    assert histories[0] == histories[1]
    assert not same(one, third)


def test_torchs_own_random_state_is_left_alone() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    fit(network(), TRAIN, VALID, epochs=2, batch_size=32)
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(4)
    other = network()
    fit(other, TRAIN, VALID, epochs=2, batch_size=32)
    torch.manual_seed(5)
    again = network()
    fit(again, TRAIN, VALID, epochs=2, batch_size=32)
    assert same(other, again)


def test_the_best_epoch_is_restored() -> None:
    model = network()
    history = fit(model, TRAIN, VALID, epochs=30, batch_size=16, lr=0.3, schedule="constant")
    losses = [record.valid_loss for record in history.epochs]
    assert history.best_epoch == 1 + int(np.argmin(losses)) < 30
    assert not model.training
    scores = predict_logits(model, VALID[0])
    found = float(nn.functional.cross_entropy(torch.from_numpy(scores), VALID[1]))
    assert found == pytest.approx(history.best.valid_loss, abs=1e-7)
    assert accuracy(VALID[1], scores) == history.best.valid_accuracy


def test_patience_ends_it() -> None:
    history = fit(network(), TRAIN, VALID, epochs=200, batch_size=16, lr=0.3, schedule="constant", patience=4)
    assert history.stopped_early
    assert len(history.epochs) == history.best_epoch + 4 < 200
    assert min(record.valid_loss for record in history.epochs[-4:]) >= history.best.valid_loss


def test_without_patience_it_goes_to_the_end() -> None:
    history = fit(network(), TRAIN, VALID, epochs=25, batch_size=64, lr=0.3, schedule="constant")
    assert len(history.epochs) == 25
    assert not history.stopped_early


def test_learning_rates() -> None:
    falling = fit(network(), TRAIN, VALID, epochs=4, batch_size=100, lr=0.1)
    steady = fit(network(), TRAIN, VALID, epochs=4, batch_size=100, lr=0.1, schedule="constant")
    assert [r.lr for r in falling.epochs] == pytest.approx([0.1 * cosine(i / 12) for i in (2, 5, 8, 11)])
    assert [r.lr for r in steady.epochs] == [0.1] * 4


@pytest.mark.parametrize("name", list(SCHEDULES))
def test_schedules_begin_at_1_and_stay_in_range(name: str) -> None:
    values = [SCHEDULES.get(name)(t) for t in np.linspace(0, 1, 21)]
    assert values[0] == 1.0
    assert all(0 <= value <= 1 for value in values)
    assert values == sorted(values, reverse=True)


def test_one_step_is_adam() -> None:
    """Against the formula of arXiv:1412.6980: the first step is lr * g / (|g| + eps)."""
    model = nn.Linear(4, 2)
    start = {name: p.detach().clone() for name, p in model.named_parameters()}
    loss = nn.functional.cross_entropy(model(TRAIN[0]), TRAIN[1])
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    history = fit(model, TRAIN, VALID, epochs=1, batch_size=300, lr=0.01)
    for (name, p), g in zip(model.named_parameters(), gradients, strict=True):
        torch.testing.assert_close(p.detach(), start[name] - 0.01 * g / (g.abs() + 1e-8), rtol=0, atol=1e-6)
    assert history.epochs[0].loss == pytest.approx(loss.item(), abs=1e-6)


def test_weight_decay_shrinks() -> None:
    plain, decayed = network(), network()
    fit(plain, TRAIN, VALID, epochs=10, batch_size=32)
    fit(decayed, TRAIN, VALID, epochs=10, batch_size=32, weight_decay=5.0)
    assert decayed[0].weight.norm() < 0.9 * plain[0].weight.norm()  # type: ignore[index]


def test_weights_that_need_no_gradient_stay() -> None:
    model = network()
    model[0].weight.requires_grad_(False)  # type: ignore[index]
    before = model[0].weight.clone()  # type: ignore[index]
    fit(model, TRAIN, VALID, epochs=2, batch_size=32)
    assert torch.equal(before, model[0].weight)  # type: ignore[index]


def test_another_loss() -> None:
    seen = []

    def loss(answer: Tensor, y: Tensor) -> Tensor:
        seen.append(answer.shape)
        return nn.functional.multi_margin_loss(answer, y)

    history = fit(network(), TRAIN, VALID, epochs=3, batch_size=150, loss=loss)
    assert len(seen) == 3 * (2 + 1)
    assert history.epochs[-1].loss < history.epochs[0].loss


def test_on_epoch_hears_every_epoch() -> None:
    heard: list[EpochRecord] = []
    history = fit(network(), TRAIN, VALID, epochs=3, batch_size=64, on_epoch=heard.append)
    assert tuple(heard) == history.epochs
    assert [record.epoch for record in heard] == [1, 2, 3]
    assert history.seconds == pytest.approx(sum(record.seconds for record in heard))


def test_arrays_do_as_well_as_tensors() -> None:
    one, other = network(), network()
    fit(one, TRAIN, VALID, epochs=2, batch_size=32)
    fit(other, tuple(t.numpy() for t in TRAIN), tuple(t.numpy() for t in VALID), epochs=2, batch_size=32)  # type: ignore[arg-type]
    assert same(one, other)


def test_history_goes_through_json() -> None:
    history = fit(network(), TRAIN, VALID, epochs=2, batch_size=64)
    assert History.from_dict(json.loads(json.dumps(history.to_dict()))) == history


@pytest.mark.parametrize(
    ("rows", "size", "ends"),
    [(10, 4, [4, 8, 10]), (9, 4, [4, 9]), (8, 4, [4, 8]), (3, 4, [3]), (1, 4, [1]), (2, 1, [2])],
)
def test_no_batch_of_one_sample_at_the_end(rows: int, size: int, ends: list[int]) -> None:
    found = _batches(rows, size)
    assert [batch.stop for batch in found] == ends
    assert [batch.start for batch in found] == [0, *ends[:-1]]


def test_predicting_leaves_every_mode_as_it_was() -> None:
    model = network().train()
    model[1].eval()  # type: ignore[index]
    scores = predict_logits(model, VALID[0], batch_size=7)
    assert [module.training for module in model] == [True, False, True, True, True]  # type: ignore[union-attr]
    assert scores.shape == (200, 2)
    assert np.array_equal(scores[:7], predict_logits(model, VALID[0][:7]))
    assert not model[4].weight.grad  # type: ignore[index]


class Exploding(nn.Module):
    """Answers with NaN from its third training step on."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.steps = nn.Linear(4, 2), 0

    def forward(self, x: Tensor) -> Tensor:
        self.steps += self.training
        return self.inner(x) * (float("nan") if self.steps > 2 else 1.0)


BAD = (torch.full((4, 4), float("nan")), torch.zeros(4, dtype=torch.long))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"patience": 0}, "patience must be at least 1, got 0"),
        ({"lr": 0.0}, "lr must be greater than 0, got 0"),
        ({"lr": float("nan")}, "lr must be greater than 0, got nan"),
        ({"weight_decay": -1.0}, "weight_decay must be at least 0, got -1"),
        ({"device": "gpu"}, "unknown device 'gpu'; it needs to be cpu, cuda, cuda:N or auto"),
        (
            {"valid": (VALID[0], VALID[1][1:])},
            "validation samples: 200 rows of features and 199 classes; they need to be as many",
        ),
        (
            {"train": (TRAIN[0][:0], TRAIN[1][:0])},
            "training samples: 0 rows of features and 0 classes; they need to be as many",
        ),
        (
            {"train": BAD},
            "training samples: a feature is NaN or infinite; repair or remove these samples",
        ),
        (
            {"model": nn.ReLU()},
            "the model has no weights to train; give one with parameters that require grad",
        ),
        (
            {"model": Exploding(), "batch_size": 300, "epochs": 9, "lr": 0.25},
            "training: the training loss became nan in epoch 3 of 9 (learning rate 0.25); "
            "lower the learning rate, or look for inputs or quantizer scales out of range",
        ),
    ],
)
def test_what_is_refused(arguments: dict[str, object], message: str) -> None:
    given = {"model": network(), "train": TRAIN, "valid": VALID, **arguments}
    with pytest.raises(TrainError) as told:
        fit(given.pop("model"), given.pop("train"), given.pop("valid"), **given)  # type: ignore[arg-type]
    assert str(told.value) == message


def test_a_gpu_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(TrainError) as told:
        fit(network(), TRAIN, VALID, device="cuda")
    assert str(told.value) == "device 'cuda': torch finds 0 GPUs; use device 'cpu' or 'auto'"
    assert fit(network(), TRAIN, VALID, epochs=1, device="auto").epochs


def test_an_unknown_schedule() -> None:
    with pytest.raises(UnknownNameError) as told:
        fit(network(), TRAIN, VALID, schedule="cosin")
    assert str(told.value) == (
        "unknown learning rate schedule 'cosin'; did you mean 'cosine'? Known: constant, cosine"
    )
