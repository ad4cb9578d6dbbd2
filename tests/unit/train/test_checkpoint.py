"""Weights on disk."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from torchq.errors import RunDirError, TrainError
from torchq.models import jets_mlp
from torchq.nn import QLinear
from torchq.train import load_state, load_weights, save_state, save_weights


def test_weights_come_back(tmp_path: Path) -> None:
    model, other = jets_mlp(seed=1), jets_mlp(seed=2)
    path = save_weights(tmp_path / "deep" / "w.pt", model)
    assert load_weights(path, other) is other
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))
    assert [p.name for p in path.parent.iterdir()] == ["w.pt"]


def test_a_state_of_plain_values_comes_back(tmp_path: Path) -> None:
    state = {"a": [1, 2.5, "x", None, True], "b": {"c": torch.arange(3)}}
    held = load_state(save_state(tmp_path / "s.pt", state))
    assert held["a"] == state["a"]
    assert torch.equal(held["b"]["c"], torch.arange(3))


class Trap:
    """Runs code when unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("trapped"),))  # type: ignore[return-value]


def test_no_code_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"trap": Trap()}, "s.pt")
    with pytest.raises(TrainError, match="is damaged, or no checkpoint"):
        load_state("s.pt")
    assert not Path("trapped").exists()


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(TrainError) as told:
        load_state(tmp_path / "none.pt")
    assert str(told.value) == f"{tmp_path / 'none.pt'}: no such checkpoint"


def test_a_list_is_no_state(tmp_path: Path) -> None:
    torch.save([1, 2], tmp_path / "l.pt")
    with pytest.raises(TrainError, match="is damaged, or no checkpoint"):
        load_state(tmp_path / "l.pt")


def test_weights_of_another_model(tmp_path: Path) -> None:
    path = save_weights(tmp_path / "w.pt", jets_mlp(units=(64, 32)))
    model = jets_mlp(units=(64, 16, 8), seed=0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(TrainError) as told:
        load_weights(path, model)
    assert str(told.value) == (
        f"{path}: holds the weights of another model: fc3.weight is missing, fc3.bias is missing, "
        "fc2.weight has shape (32, 64) and needs (16, 64), and 2 more; "
        "build the model that these weights were saved from"
    )
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_scales_that_were_found_come_back(tmp_path: Path) -> None:
    def made(neurons: int) -> nn.Module:
        return QLinear(4, neurons, weight_quantizer="ternary(alpha='auto_po2')")

    model, other, larger = made(3), made(3), made(5)
    with torch.no_grad():
        model.weight.mul_(torch.tensor([[0.1], [1.0], [9.0]]))
    model(torch.ones(1, 4))
    path = save_weights(tmp_path / "w.pt", model)
    load_weights(path, other)
    assert str(other.weight_quantizer.format) == str(model.weight_quantizer.format)
    assert torch.equal(other.weight_quantizer.scale, model.weight_quantizer.scale)
    assert other.weight_quantizer.scale.shape == (3, 1)
    with pytest.raises(TrainError, match=r"weight has shape \(3, 4\) and needs \(5, 4\)"):
        load_weights(path, larger)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunDirError, match="cannot be written"):
        save_weights(tmp_path / "file" / "w.pt", nn.Linear(1, 1))
