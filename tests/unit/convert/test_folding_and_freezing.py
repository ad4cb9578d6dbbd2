"""Batch norms folded during training or now, and frozen copies."""

from __future__ import annotations

import copy
from collections import OrderedDict

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from torchq.convert import freeze, quantize
from torchq.errors import GraphError, SchemeError
from torchq.graph import evaluate, trace
from torchq.nn import Baked, QLinear, QLinearBatchNorm1d
from torchq.scheme import Scheme

Q = "quantized_bits(6,1,alpha=1)"
UNIFORM = Scheme.uniform(Q, Q, output="quantized_relu(6,1)", input="quantized_bits(10,3,alpha=1)")


def model(bias: bool = True) -> nn.Sequential:
    torch.manual_seed(5)
    net = nn.Sequential(
        OrderedDict(
            fc1=nn.Linear(6, 8, bias=bias),
            bn1=nn.BatchNorm1d(8),
            relu1=nn.ReLU(),
            fc2=nn.Linear(8, 4),
            bn2=nn.BatchNorm1d(4),
        )
    )
    for _ in range(20):
        net(torch.randn(64, 6) * 2 + 1)
    return net


@pytest.mark.parametrize("bias", [True, False])
def test_for_training_the_pair_becomes_one_layer_of_the_first_name(bias: bool) -> None:
    net = model(bias)
    result = quantize(net, UNIFORM, folding="batch_stats", freeze_delay=7)
    assert [name for name, _ in result.named_children()] == ["fc1", "relu1", "fc2", "input_quantizer"]
    fc1 = result.get_submodule("fc1")
    assert isinstance(fc1, QLinearBatchNorm1d)
    assert (fc1.folding, fc1.freeze_delay) == ("batch_stats", 7)
    assert torch.equal(fc1.batch_norm.running_mean, net.get_submodule("bn1").running_mean)
    assert torch.equal(fc1.weight, net.get_submodule("fc1").weight)
    assert [node.name for node in trace(result).nodes] == ["input", "input_quantizer", "fc1", "relu1", "fc2"]


def test_both_ways_of_folding_give_the_same_evaluation() -> None:
    net = model().eval()
    x = torch.randn(100, 6, dtype=torch.float64)
    train = quantize(net.double(), UNIFORM)
    now = quantize(net.double(), UNIFORM, fold="now")
    assert type(now.get_submodule("fc1")) is QLinear
    assert torch.equal(train.eval()(x), now.eval()(x))


def test_folding_now_is_close_to_the_float_model_with_wide_quantizers() -> None:
    net = model().eval()
    wide = "quantized_bits(24,5,alpha=1)"
    scheme = Scheme.uniform(wide, wide, output="quantized_relu(24,5)", input=wide)
    x = torch.randn(100, 6)
    for fold in ("train", "now"):
        result = quantize(net, scheme, fold=fold)  # type: ignore[arg-type]
        torch.testing.assert_close(result(x), net(x), atol=1e-3, rtol=1e-3)


def test_a_pair_without_weight_quantizer_stays_float() -> None:
    result = quantize(model(), Scheme({"fc2": {"weight": Q, "bias": Q}}))
    assert type(result.get_submodule("fc1")) is nn.Linear
    assert type(result.get_submodule("bn1")) is nn.BatchNorm1d


def test_calls_without_effect_do_not_stand_in_the_way() -> None:
    class Unused(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.bn, self.relu = nn.Linear(3, 3), nn.BatchNorm1d(3), nn.ReLU()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.fc(x)
            self.relu(y)
            return self.bn(y)  # type: ignore[no-any-return]

    assert [name for name, _ in quantize(Unused(), UNIFORM).named_children()] == ["fc", "input_quantizer"]


def test_faults_of_folding_are_named() -> None:
    net = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3, track_running_stats=False))
    for fold in ("train", "now"):
        with pytest.raises(GraphError) as caught:
            quantize(net, UNIFORM, fold=fold)  # type: ignore[arg-type]
        assert str(caught.value) == (
            "0 and 1: a BatchNorm1d without running statistics cannot be folded; "
            "make it with track_running_stats=True"
        )
    with pytest.raises(SchemeError) as unknown:
        quantize(net, UNIFORM, fold="later")  # type: ignore[arg-type]
    assert str(unknown.value) == "fold must be 'train', 'now' or 'apart', got 'later'"


# ---------------------------------------------------------------------- freezing


def test_a_frozen_model_has_plain_layers_with_values_on_their_grids() -> None:
    trained = quantize(model(), UNIFORM)
    frozen = freeze(trained)
    fc1 = frozen.get_submodule("fc1")
    assert type(fc1) is QLinear
    assert isinstance(fc1.weight_quantizer, Baked)
    assert fc1.weight_quantizer.format.holds(fc1.weight.double().numpy()).all()
    assert fc1.bias is not None
    assert not any(p.requires_grad for p in frozen.parameters())
    assert not any(m.training for m in frozen.modules())
    assert trained.training
    assert isinstance(trained.get_submodule("fc1"), QLinearBatchNorm1d)
    assert str(trace(frozen)) == str(trace(trained))
    assert "batch_norm" not in str(list(frozen.state_dict()))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**16), st.sampled_from(["train", "now"]), st.integers(2, 12), st.booleans())
def test_frozen_equals_evaluation_exactly(seed: int, fold: str, bits: int, double: bool) -> None:
    q = f"quantized_bits({bits},1,alpha=1)"
    scheme = Scheme.uniform(q, q, output=f"quantized_relu({bits},2)", input=q)
    trained = quantize(model(), scheme, fold=fold)  # type: ignore[arg-type]
    torch.manual_seed(seed)
    trained.train()(torch.randn(16, 6))
    x = torch.randn(64, 6, dtype=torch.float64) * 3
    frozen = freeze(trained.double() if double else trained)
    wide = copy.deepcopy(trained).double().eval()
    assert torch.equal(frozen.double()(x), wide(x))
    assert torch.equal(evaluate(trace(trained), x)["fc2"], wide(x))


def test_freezing_twice_changes_nothing() -> None:
    once = freeze(quantize(model(), UNIFORM))
    twice = freeze(once)
    x = torch.randn(20, 6)
    assert torch.equal(once(x), twice(x))
    assert str(trace(once)) == str(trace(twice))


def test_a_single_layer_can_be_frozen() -> None:
    layer = QLinear(3, 2, weight_quantizer=Q, bias_quantizer=Q)
    assert torch.equal(freeze(layer).weight, layer.quantized_weight())


def test_a_frozen_model_can_be_copied_and_saved() -> None:
    frozen = freeze(quantize(model(), UNIFORM))
    twin = copy.deepcopy(frozen)
    twin.load_state_dict(frozen.state_dict())
    x = torch.randn(20, 6)
    assert torch.equal(frozen(x), twin(x))
