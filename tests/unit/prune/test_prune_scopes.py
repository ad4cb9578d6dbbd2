"""Which weights a scope takes."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from torchq.errors import TrainError
from torchq.models import jets_mlp
from torchq.nn import QLinear
from torchq.prune import ConstantSparsity, PolynomialDecay, Pruner, sparsity


def shares(model: nn.Module) -> dict[str, float]:
    return {layer.layer: layer.share for layer in sparsity(model).layers}


def test_layer_takes_the_smallest_of_each() -> None:
    model = jets_mlp(seed=0)
    before = model.fc2.weight.detach().clone()
    Pruner(model, ConstantSparsity(0.75))
    assert set(shares(model).values()) == {0.75}
    gone = model.fc2.weight == 0
    assert before[gone].abs().max() <= before[~gone].abs().min()
    assert torch.equal(model.fc2.weight[~gone], before[~gone])


def test_global_takes_the_smallest_of_all() -> None:
    model = jets_mlp(seed=0)
    before = torch.cat([p.detach().flatten() for n, p in model.named_parameters() if "weight" in n])
    Pruner(model, ConstantSparsity(0.6), scope="global")
    after = torch.cat([p.detach().flatten() for n, p in model.named_parameters() if "weight" in n])
    gone = after == 0
    assert int(gone.sum()) == len(gone) - round(len(gone) * 0.4)
    assert before[gone].abs().max() <= before[~gone].abs().min()
    assert len(set(shares(model).values())) > 1


def test_n_of_m_in_every_group() -> None:
    model = jets_mlp(seed=0)
    Pruner(model, ConstantSparsity(0.5), scope="2:4")
    for name in ("fc1", "fc2", "fc3", "output"):
        groups = model.get_submodule(name).weight.reshape(-1, 4)
        assert bool(((groups == 0).sum(dim=1) == 2).all())


def test_n_of_m_comes_by_and_by() -> None:
    model = jets_mlp(seed=0)
    pruner = Pruner(model, PolynomialDecay(0, 0.75, 0, 10, frequency=1), scope="1:4")
    seen = []
    for _ in range(10):
        seen.append(sparsity(model).share)
        pruner.step()
    assert seen == sorted(seen)
    assert sparsity(model).share == 0.75
    assert 0.25 in seen


def test_neurons_go_whole_with_their_biases() -> None:
    model = jets_mlp(seed=0)
    norms = model.fc1.weight.detach().norm(dim=1)
    pruner = Pruner(model, ConstantSparsity(0.5), scope="neurons")
    assert pruner.layers == ("fc1", "fc2", "fc3")
    dead = (model.fc1.weight == 0).all(dim=1)
    assert int(dead.sum()) == 32
    assert norms[dead].max() <= norms[~dead].min()
    assert bool((model.fc1.bias[dead] == 0).all())
    assert bool((model.fc1.bias[~dead] != 0).all())
    assert bool((model.fc1(torch.randn(20, 16))[:, dead] == 0).all())
    assert shares(model)["output"] == 0.0


def test_only_the_named_layers() -> None:
    model = jets_mlp(seed=0)
    pruner = Pruner(model, ConstantSparsity(0.5), layers=["fc*"])
    assert pruner.layers == ("fc1", "fc2", "fc3")
    assert shares(model) == {"fc1": 0.5, "fc2": 0.5, "fc3": 0.5, "output": 0.0}


def test_other_layers_with_weights() -> None:
    model = nn.Sequential(nn.Conv1d(3, 4, 3), nn.Conv2d(2, 4, 3, groups=2), nn.GRU(4, 6), nn.BatchNorm1d(4))
    Pruner(model, ConstantSparsity(0.5))
    counted = {f"{x.layer}.{x.weight}": x.share for x in sparsity(model).layers}
    assert counted == dict.fromkeys(("0.weight", "1.weight", "2.weight_ih_l0", "2.weight_hh_l0"), 0.5)
    assert bool((model[3].weight == 1).all())


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0.0, 0.95), min_size=1, max_size=5), st.integers(1, 40), st.integers(0, 999))
def test_pruned_weights_do_not_come_back(amounts: list[float], size: int, seed: int) -> None:
    torch.manual_seed(seed)
    layer = nn.Linear(size, 3)
    masks = []
    for amount in sorted(amounts):
        Pruner(layer, ConstantSparsity(amount))
        masks.append(layer.weight_pruned.clone())
        count = layer.weight.numel()
        assert int(masks[-1].sum()) == count - round(count * (1 - amount))
        with torch.no_grad():
            layer.weight.add_(torch.randn_like(layer.weight))
    assert all(bool((later | ~earlier).all()) for earlier, later in itertools.pairwise(masks))


def test_the_report() -> None:
    model = jets_mlp(units=(4,), seed=0)
    Pruner(model, ConstantSparsity(0.5), layers=["fc1"])
    found = sparsity(model)
    assert found.text().splitlines()[1].split() == ["fc1.weight", "64", "32", "32", "50.0%"]
    assert found.text().splitlines()[-1].split() == ["all", "84", "32", "32", "38.1%"]
    assert found.to_dict()["layers"][0] == {
        "layer": "fc1",
        "weight": "weight",
        "count": 64,
        "pruned": 32,
        "zeros": 32,
    }


def test_the_report_counts_what_is_quantized_to_zero() -> None:
    layer = QLinear(4, 1, bias=False, weight_quantizer="quantized_bits(2,0,alpha=1)")
    layer.weight.data = torch.tensor([[0.1, -0.2, 0.5, 0.9]])
    assert (sparsity(layer).zeros, sparsity(layer).pruned) == (2, 0)


MODEL = jets_mlp(seed=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"scope": "laye"},
            "unknown scope 'laye'; did you mean 'layer'? Scopes: layer, global, neurons, N:M",
        ),
        (
            {"layers": ["fc9"]},
            "no layer 'fc9' to prune; did you mean 'fc3'? Layers with weights: fc1, fc2, fc3, output",
        ),
        (
            {"scope": "4:2"},
            "scope 4:2: N:M keeps N of M weights; N must be at least 1 and below M",
        ),
        (
            {"scope": "1:3"},
            "fc1 has 16 inputs, which 3 does not divide; prune other layers 1:3, or take another M",
        ),
        (
            {"scope": "1:4"},
            "scope 1:4 ends at a sparsity of 0.75, the schedule at 0.5; let the schedule end at 0.75",
        ),
    ],
)
def test_what_does_not_fit(arguments: dict, message: str) -> None:
    with pytest.raises(TrainError) as fault:
        Pruner(MODEL, ConstantSparsity(0.5), **arguments)
    assert str(fault.value) == message
    assert sparsity(MODEL).pruned == 0


def test_nothing_to_prune() -> None:
    with pytest.raises(TrainError, match=r"^the model has no weights to prune; give one with linear layers$"):
        Pruner(nn.ReLU(), ConstantSparsity(0.5))
    with pytest.raises(TrainError, match=r"^no layer is left to prune; name the layers$"):
        Pruner(nn.Linear(2, 2), ConstantSparsity(0.5), scope="neurons")


@pytest.mark.parametrize("text", ["binary(alpha=1.0)", "quantized_po2(4)"])
def test_a_quantizer_without_zero(text: str) -> None:
    model = nn.Sequential(QLinear(4, 4, weight_quantizer=text))
    with pytest.raises(
        TrainError, match=r"^0 cannot be pruned: its weight quantizer .* has no zero; take one"
    ):
        Pruner(model, ConstantSparsity(0.5))


def test_weights_that_are_no_numbers() -> None:
    layer = nn.Linear(2, 2)
    layer.weight.data[0, 0] = float("nan")
    with pytest.raises(TrainError, match=r"^ cannot be pruned: its weight holds NaN or infinity$"):
        Pruner(layer, ConstantSparsity(0.5))
