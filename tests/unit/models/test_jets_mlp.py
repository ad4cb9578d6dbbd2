"""The reference model."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from torchq.errors import TorchqError, UnknownNameError
from torchq.models import MODELS, jets_mlp


def test_layers_by_name() -> None:
    model = jets_mlp()
    names = ["fc1", "relu1", "fc2", "relu2", "fc3", "relu3", "output"]
    assert [name for name, _ in model.named_children()] == names
    assert [(m.in_features, m.out_features) for m in model if isinstance(m, nn.Linear)] == [
        (16, 64),
        (64, 32),
        (32, 32),
        (32, 5),
    ]
    assert model(torch.zeros(3, 16)).shape == (3, 5)


def test_batch_norm_stands_before_the_relu() -> None:
    model = jets_mlp(inputs=4, units=(8, 6), classes=3, batch_norm=True)
    assert [name for name, _ in model.named_children()] == [
        "fc1",
        "bn1",
        "relu1",
        "fc2",
        "bn2",
        "relu2",
        "output",
    ]
    assert [m.num_features for m in model if isinstance(m, nn.BatchNorm1d)] == [8, 6]
    assert model(torch.zeros(3, 4)).shape == (3, 3)


def test_no_hidden_layer() -> None:
    assert [name for name, _ in jets_mlp(units=()).named_children()] == ["output"]


def test_a_seed_gives_the_same_weights_and_leaves_torch_alone() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one = jets_mlp(seed=5)
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(2)
    other = jets_mlp(seed=5)
    assert torch.equal(one.fc1.weight, other.fc1.weight)
    assert not torch.equal(one.fc1.weight, jets_mlp(seed=6).fc1.weight)
    assert not torch.equal(jets_mlp().fc1.weight, jets_mlp().fc1.weight)


def test_the_registry() -> None:
    assert MODELS.get("jets_mlp") is jets_mlp
    with pytest.raises(UnknownNameError) as told:
        MODELS.get("jet_mlp")
    assert str(told.value) == "unknown model 'jet_mlp'; did you mean 'jets_mlp'? Known: jets_mlp"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"inputs": 0}, "jets_mlp: inputs must be at least 1, got 0"),
        ({"units": (64, 0)}, "jets_mlp: units must be at least 1, got 0"),
        ({"classes": -1}, "jets_mlp: classes must be at least 1, got -1"),
    ],
)
def test_what_is_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(TorchqError) as told:
        jets_mlp(**arguments)  # type: ignore[arg-type]
    assert str(told.value) == message
