"""A pruned weight is zero whenever the model is used, through everything that happens to a model."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hls_export import execute, export
from torchq.convert import freeze, quantize
from torchq.data import load
from torchq.errors import TrainError
from torchq.graph import trace, workloads
from torchq.models import jets_mlp
from torchq.nn import LAYERS, Example, QLayer
from torchq.prune import (
    ConstantSparsity,
    PolynomialDecay,
    Pruner,
    carry_masks,
    remove_masks,
    restore_masks,
    sparsity,
    zero_masked,
)
from torchq.prune.report import weights_of
from torchq.scheme import Scheme
from torchq.train import fit, load_weights, predict_logits, save_weights

SIX = "quantized_bits(6,0,alpha=1)"
SCHEME = Scheme.uniform(
    weight=SIX, bias=SIX, output="quantized_relu(6,0)", input="quantized_bits(16,6,alpha=1)"
)


def pruned_and_quantized(batch_norm: bool = False) -> tuple[nn.Module, nn.Module]:
    model = jets_mlp(batch_norm=batch_norm, seed=0)
    Pruner(model, ConstantSparsity(0.75))
    twin = quantize(model, SCHEME)
    carry_masks(model, twin)
    return model, twin


def train_a_bit(model: nn.Module, after: object = None) -> None:
    """Adam, with moments from before, and weight decay: everything that moves weights."""
    torch.manual_seed(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05, weight_decay=0.1)
    model.train()
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.randn(64, 16)).square().sum().backward()
        optimizer.step()


def masks(model: nn.Module) -> dict[str, Tensor]:
    return {name: mask for name, mask in model.named_buffers() if name.endswith("weight_pruned")}


def assert_zero(model: nn.Module) -> None:
    found = masks(model)
    assert len(found) == 4
    for name, mask in found.items():
        weight = model.get_parameter(name.removesuffix("_pruned"))
        assert int(mask.sum()) == 0.75 * mask.numel()
        assert bool((weight[mask] == 0).all())


@pytest.mark.parametrize("which", [0, 1])
def test_a_forward_pass_sees_zeros_whatever_an_optimizer_did(which: int) -> None:
    model = pruned_and_quantized()[which]
    train_a_bit(model)  # and no pruner
    moved = model.fc1.weight[model.fc1.weight_pruned]
    assert bool((moved != 0).any())
    model(torch.randn(2, 16))
    assert_zero(model)


def test_saved_weights_are_zero(tmp_path: Path) -> None:
    _, model = pruned_and_quantized()
    train_a_bit(model)
    state = model.state_dict()
    assert bool((state["fc2.weight"][state["fc2.weight_pruned"]] == 0).all())
    save_weights(tmp_path / "weights.pt", model)
    other = pruned_and_quantized()[1]
    load_weights(tmp_path / "weights.pt", other)
    assert_zero(other)
    x = torch.randn(8, 16)
    assert torch.equal(model.eval()(x), other.eval()(x))


def test_masks_from_a_state_into_a_new_model() -> None:
    model, _ = pruned_and_quantized()
    fresh = jets_mlp(seed=1)
    restore_masks(fresh, model.state_dict()).load_state_dict(model.state_dict())
    train_a_bit(fresh)
    fresh(torch.randn(2, 16))
    assert_zero(fresh)
    with pytest.raises(TrainError, match=r"^the state has a mask for fc3.weight, which the model lacks$"):
        restore_masks(jets_mlp(units=(64, 32)), model.state_dict())
    wanted = r"^the state has a mask of shape \(64, 16\) for fc1.weight, which has shape \(8, 16\)$"
    with pytest.raises(TrainError, match=wanted):
        restore_masks(jets_mlp(units=(8, 32, 32)), model.state_dict())


def test_a_copy_stays_pruned_and_is_its_own() -> None:
    _, model = pruned_and_quantized()
    twin = copy.deepcopy(model)
    train_a_bit(twin)
    twin(torch.randn(2, 16))
    assert_zero(twin)
    assert twin.fc1.weight_pruned is not model.fc1.weight_pruned
    remove_masks(model)
    assert masks(model) == {}
    assert len(masks(twin)) == 4


@pytest.mark.parametrize("batch_norm", [False, True])
def test_quantized_and_frozen(batch_norm: bool) -> None:
    _, model = pruned_and_quantized(batch_norm)
    train_a_bit(model)
    frozen = freeze(zero_masked(model).double())
    for name in ("fc1", "fc2", "fc3", "output"):
        weight = frozen.get_submodule(name).weight
        pruned = model.get_submodule(name).weight_pruned
        assert bool((weight[pruned] == 0).all())
    assert sparsity(frozen).share >= 0.75
    x = torch.randn(30, 16, dtype=torch.float64)
    assert torch.equal(frozen(x), model.eval()(x))


def test_fewer_neurons_keep_their_zeros() -> None:
    model = jets_mlp(seed=0)
    Pruner(model, ConstantSparsity(0.75))
    twin = quantize(model, SCHEME.with_units("fc1", 20))
    carry_masks(model, twin)
    assert twin.fc1.weight_pruned.shape == (20, 16)
    before = twin.fc2.weight == 0
    train_a_bit(twin)
    twin(torch.randn(2, 16))
    assert bool((twin.fc2.weight[before] == 0).all())


def test_fewer_neurons_of_a_layer_that_stays_float() -> None:
    model = jets_mlp(seed=0)
    Pruner(model, ConstantSparsity(0.75))
    twin = quantize(model, Scheme(units={"fc1": 20}), (16,))
    assert type(twin.fc1) is nn.Linear
    twin(torch.zeros(1, 16))
    zeros = twin.fc1.weight == 0
    assert torch.equal(twin.fc1.weight_pruned, zeros)
    train_a_bit(twin)
    twin(torch.zeros(1, 16))
    assert torch.equal(twin.fc1.weight == 0, zeros)


def examples() -> list[Any]:
    return [
        pytest.param(layer, example, id=f"{name}-{i}")
        for name, layer in LAYERS.items()
        for i, example in enumerate(layer.examples())
        if any(weights_of(module) for module in layer.from_example(example).modules())
    ]


@pytest.mark.parametrize(("cls", "example"), examples())
def test_every_layer_that_has_weights(cls: type[QLayer], example: Example) -> None:
    torch.manual_seed(1)
    layer = cls.from_example(example)
    if any(isinstance(module, nn.Embedding) for module in layer.modules()):
        return
    model = nn.Sequential(layer)
    Pruner(model, ConstantSparsity(0.5))
    counted = sparsity(model)
    assert counted.layers
    for found in counted.layers:
        assert found.pruned == found.count - round(found.count * 0.5)
        assert found.zeros >= found.pruned
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.5)
    zero_masked(model)
    with_zeros = {name: parameter == 0 for name, parameter in model.named_parameters()}
    for name, mask in model.named_buffers():
        if name.endswith("_pruned"):
            assert bool((mask <= with_zeros[name.removesuffix("_pruned")]).all())
    frozen = freeze(model)
    assert all(int((p == 0).sum()) >= p.numel() // 2 for n, p in frozen.named_parameters() if "weight" in n
               and p.ndim > 1)  # fmt: skip


def test_quantization_that_has_no_zero_is_refused() -> None:
    model = jets_mlp(seed=0)
    Pruner(model, ConstantSparsity(0.75))
    with pytest.raises(TrainError, match=r"^fc2 cannot be pruned: its weight quantizer binary"):
        quantize(model, Scheme({"fc2": {"weight": "binary(alpha=1.0)"}}))


def test_masks_can_be_taken_away() -> None:
    model, _ = pruned_and_quantized()
    remove_masks(model)
    assert set(model.state_dict()) == set(jets_mlp().state_dict())
    assert sparsity(model).share == 0.75
    train_a_bit(model)
    model(torch.randn(2, 16))
    assert sparsity(model).share < 0.5


def test_a_layer_that_is_called_twice_has_its_gradient() -> None:
    layer = nn.Linear(4, 4)
    Pruner(layer, ConstantSparsity(0.5))
    layer(layer(torch.randn(3, 4))).sum().backward()
    assert layer.weight.grad is not None


def test_attentions_which_read_a_layer_without_calling_it() -> None:
    model = nn.MultiheadAttention(8, 2, batch_first=True)
    Pruner(model, ConstantSparsity(0.5))
    with torch.no_grad():
        model.out_proj.weight.add_(1.0)
        model.in_proj_weight.add_(1.0)
    x = torch.randn(2, 3, 8)
    model(x, x, x)
    assert bool((model.out_proj.weight[model.out_proj.weight_pruned] == 0).all())
    assert bool((model.in_proj_weight[model.in_proj_weight_pruned] == 0).all())
    remove_masks(model)
    assert not model._forward_pre_hooks
    assert not model.out_proj._state_dict_pre_hooks


def test_other_places_and_types() -> None:
    model, _ = pruned_and_quantized()
    model.to(torch.float64)
    assert all(mask.dtype == torch.bool for mask in masks(model).values())
    assert model(torch.zeros(1, 16, dtype=torch.float64)).dtype == torch.float64


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
def test_compiled_it_computes_the_same() -> None:
    _, model = pruned_and_quantized()
    x = torch.randn(64, 16)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    for _ in range(3):
        assert torch.equal(compiled(x), model(x))
        with torch.no_grad():
            model.fc1.weight.add_(0.01)
    compiled(x)
    assert_zero(model)


def test_a_stopped_training_prunes_on(tmp_path: Path) -> None:
    torch.manual_seed(3)
    data = (torch.randn(400, 16), torch.randint(0, 5, (400,)))

    class StoppedError(Exception):
        pass

    def run(checkpoint: Path | None, stop: int | None = None) -> nn.Module:
        model = quantize(jets_mlp(seed=0), SCHEME)
        pruner = Pruner(model, PolynomialDecay(0.0, 0.75, 2, 30, frequency=3))

        def on_epoch(record: object) -> None:
            if getattr(record, "epoch", 0) == stop:
                raise StoppedError

        fit(
            model, data, data, epochs=5, batch_size=50, lr=1e-2, best_from=4,
            after_step=pruner.step, checkpoint=checkpoint, on_epoch=on_epoch,
        )  # fmt: skip
        return model

    whole = run(None)
    with pytest.raises(StoppedError):
        run(tmp_path / "state.pt", stop=2)
    resumed = run(tmp_path / "state.pt")
    assert_zero(whole)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_the_papers_bp_model(tmp_path: Path) -> None:
    """75 % of the weights pruned while training quantized; the file and the work of its layers say so."""
    data = load("jets", limit=12_000)
    model = quantize(jets_mlp(seed=0), SCHEME)
    steps = -(-len(data.train.x) // 256)
    pruner = Pruner(model, PolynomialDecay(0.0, 0.75, steps, 4 * steps, frequency=10))
    assert sparsity(model).pruned == 0
    train, valid = (data.train.x, data.train.y), (data.valid.x, data.valid.y)
    history = fit(model, train, valid, epochs=7, batch_size=256, lr=1e-2, after_step=pruner.step, best_from=5)
    assert history.best_epoch >= 5
    assert history.best.valid_accuracy > 0.62
    assert_zero(model)
    for work in workloads(trace(model)):
        if work.weight is not None:
            assert 0.75 <= work.weight.zeros / work.weight.count < 0.95
    exported = export(model, tmp_path / "bp.onnx", check=data.valid.x[:64].astype("float64"))
    x = data.test.x[:50].astype("float64")
    assert bool((execute(exported.path, x) == predict_logits(freeze(model).double(), x)).all())
