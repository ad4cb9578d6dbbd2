"""A training that was killed goes on and ends where it would have ended."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from test_fit import TRAIN, VALID, network, same

from torchq.errors import TrainError
from torchq.train import EpochRecord, History, fit


class KilledError(Exception):
    """What the test throws in the middle of a training."""


def train(
    path: Path | None, *, kill_after: int | None = None, **more: object
) -> tuple[torch.nn.Module, History]:
    def on_epoch(record: EpochRecord) -> None:
        if record.epoch == kill_after:
            raise KilledError

    model = network()
    settings = {"epochs": 12, "batch_size": 32, "lr": 0.2, "seed": 3, **more}
    return model, fit(model, TRAIN, VALID, checkpoint=path, on_epoch=on_epoch, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("kills", [(1,), (5,), (11,), (2, 7), (12,)])
@pytest.mark.parametrize("patience", [None, 5])
def test_killed_and_gone_on(tmp_path: Path, kills: tuple[int, ...], patience: int | None) -> None:
    whole, expected = train(None, patience=patience)
    for kill in kills:
        if kill <= len(expected.epochs):
            with pytest.raises(KilledError):
                train(tmp_path / "c.pt", kill_after=kill, patience=patience)
    model, history = train(tmp_path / "c.pt", patience=patience)
    assert history == expected
    assert same(model, whole)
    assert not model.training


def test_the_global_random_state_does_not_matter(tmp_path: Path) -> None:
    whole, _ = train(None)
    torch.manual_seed(1)
    with pytest.raises(KilledError):
        train(tmp_path / "c.pt", kill_after=4)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    model, _ = train(tmp_path / "c.pt")
    assert same(model, whole)
    assert torch.equal(before, torch.get_rng_state())


KILL = """
import os, signal, sys
sys.path.insert(0, sys.argv[2])
from test_fit import TRAIN, VALID, network
from torchq.train import fit
def on_epoch(record):
    if record.epoch == 3:
        os.kill(os.getpid(), signal.SIGKILL)
fit(network(), TRAIN, VALID, epochs=12, batch_size=32, lr=0.2, seed=3, checkpoint=sys.argv[1],
    on_epoch=on_epoch)
"""


def test_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    here = str(Path(__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", KILL, str(path), here], capture_output=True, check=False, env=os.environ
    )
    assert done.returncode == -9, done.stderr
    heard: list[int] = []
    model = network()
    history = fit(
        model,
        TRAIN,
        VALID,
        epochs=12,
        batch_size=32,
        lr=0.2,
        seed=3,
        checkpoint=path,
        on_epoch=lambda record: heard.append(record.epoch),
    )
    whole, expected = train(None)
    assert heard == list(range(4, 13))
    assert history == expected
    assert same(model, whole)


def test_a_training_that_had_ended_is_restored_at_once(tmp_path: Path) -> None:
    model, history = train(tmp_path / "c.pt", patience=5)
    again, restored = train(tmp_path / "c.pt", patience=5, kill_after=None)
    assert restored == history
    assert [record.seconds for record in restored.epochs] == [record.seconds for record in history.epochs]
    assert same(model, again)


def test_nothing_else_is_left_in_the_folder(tmp_path: Path) -> None:
    train(tmp_path / "c.pt", epochs=2)
    assert [path.name for path in tmp_path.iterdir()] == ["c.pt"]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"epochs": 13}, "epochs was 12 and is 13"),
        ({"lr": 0.1}, "lr was 0.2 and is 0.1"),
        ({"batch_size": 16}, "batch_size was 32 and is 16"),
        ({"seed": 4}, "seed was 3 and is 4"),
        ({"schedule": "constant"}, "schedule was cosine and is constant"),
        ({"patience": 3}, "patience was None and is 3"),
        ({"weight_decay": 0.5}, "weight_decay was 0.0 and is 0.5"),
    ],
)
def test_other_arguments_are_refused(tmp_path: Path, change: dict[str, object], what: str) -> None:
    path = tmp_path / "c.pt"
    with pytest.raises(KilledError):
        train(path, kill_after=2)
    before = path.read_bytes()
    with pytest.raises(TrainError) as told:
        train(path, **change)
    assert str(told.value) == (
        f"{path}: is the checkpoint of another training: {what}; "
        "remove it to begin anew, or name another file"
    )
    assert path.read_bytes() == before


def test_other_data_and_other_models_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    settings = {"epochs": 12, "batch_size": 32, "lr": 0.2, "seed": 3, "checkpoint": path}
    with pytest.raises(KilledError):
        train(path, kill_after=2)
    changed = TRAIN[0].clone()
    changed[17, 2] += 1e-6
    with pytest.raises(TrainError, match="another training: the samples are another; remove it"):
        fit(network(), (changed, TRAIN[1]), VALID, **settings)  # type: ignore[arg-type]
    other = network()
    other[3] = torch.nn.Dropout(0.3)  # type: ignore[index]
    with pytest.raises(TrainError, match="another training: the model is another; remove it"):
        fit(other, TRAIN, VALID, **settings)  # type: ignore[arg-type]


def test_a_damaged_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    train(path, epochs=2)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(TrainError) as told:
        train(path, epochs=2)
    assert str(told.value) == f"{path}: is damaged, or no checkpoint; remove it to begin anew"


def test_weights_are_no_checkpoint_of_a_training(tmp_path: Path) -> None:
    from torchq.train import save_weights

    path = save_weights(tmp_path / "w.pt", network())
    with pytest.raises(TrainError) as told:
        train(path)
    assert str(told.value) == f"{path}: is no checkpoint of a training; remove it to begin anew"
