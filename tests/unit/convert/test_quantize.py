"""``quantize``: the model's own names, parameters and modes, with quantizers where the scheme says."""

from __future__ import annotations

import copy
from collections import OrderedDict

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from torchq.convert import left_float, quantize
from torchq.graph import trace
from torchq.nn import QActivation, QInput, QLinear, QReLU
from torchq.quantizers import make
from torchq.scheme import Scheme

SIX = str(make("quantized_bits(6,0,alpha=1)"))
UNIFORM = Scheme.uniform(SIX, SIX, output="quantized_relu(6)", input="quantized_bits(16,6,alpha=1)")


def jets(**options: nn.Module) -> nn.Sequential:
    layers: dict[str, nn.Module] = {
        "fc1": nn.Linear(16, 8),
        "relu1": nn.ReLU(),
        "drop": nn.Dropout(0.3),
        "fc2": nn.Linear(8, 6),
        "relu2": nn.ReLU(),
        "output": nn.Linear(6, 5),
        **options,
    }
    return nn.Sequential(OrderedDict(layers))


class Own(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
        self.head = nn.Linear(4, 3)
        self.out = nn.Linear(3, 2)
        self.never_called = nn.Linear(9, 9)

    def forward(self, features: Tensor) -> Tensor:
        x = F.relu(self.head(self.block(features)))
        return self.out(x)  # type: ignore[no-any-return]


def test_layers_are_replaced_and_names_kept() -> None:
    result = quantize(jets(), UNIFORM, (16,))
    assert isinstance(result, fx.GraphModule)
    assert {name: type(layer) for name, layer in result.named_children()} == {
        "fc1": QLinear,
        "relu1": QReLU,
        "drop": nn.Dropout,
        "fc2": QLinear,
        "relu2": QReLU,
        "output": QLinear,
        "input_quantizer": QInput,
    }
    assert [node.name for node in trace(result).nodes] == [
        "input",
        "input_quantizer",
        "fc1",
        "relu1",
        "drop",
        "fc2",
        "relu2",
        "output",
    ]
    assert left_float(result) == {}
    assert type(result).__name__ == "Sequential"


def test_the_default_output_goes_to_activations_and_not_to_sums() -> None:
    result = quantize(jets(), UNIFORM)
    assert all(result.get_submodule(name).quantizer("output") is None for name in ("fc1", "fc2", "output"))
    assert str(result.get_submodule("relu1").output_quantizer) == "quantized_relu(6,0)"


def test_an_output_that_is_named_goes_to_the_sum() -> None:
    named = UNIFORM.with_slot("output", "output", SIX).with_slot("fc?", "output", SIX)
    result = quantize(jets(), named)
    assert all(str(result.get_submodule(n).output_quantizer) == SIX for n in ("fc1", "fc2", "output"))


def test_a_sum_that_feeds_a_sum_gets_the_default_output() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Identity(), nn.Dropout(), nn.Linear(4, 2))
    result = quantize(model, UNIFORM.with_slot("*", "output", "quantized_bits(8,3,alpha=1)"))
    assert str(result.get_submodule("0").output_quantizer) == "quantized_bits(8,3,alpha=1.0)"
    assert result.get_submodule("3").output_quantizer is None
    assert trace(result).output == "3"


def test_weights_are_carried_over_and_checkpoints_fit() -> None:
    model = jets()
    result = quantize(model, UNIFORM)
    state = result.state_dict()
    for key, value in model.state_dict().items():
        assert torch.equal(state[key], value)
    torch.manual_seed(1)
    other = jets().state_dict()
    missing = result.load_state_dict(other, strict=False)
    assert missing.unexpected_keys == []
    assert all("quantizer" in key for key in missing.missing_keys)


def test_the_model_stays_as_it_is() -> None:
    model = jets()
    before = copy.deepcopy(model.state_dict())
    kinds = [type(module) for module in model.modules()]
    result = quantize(model, UNIFORM.with_units("fc1", 3))
    with torch.no_grad():
        for parameter in result.parameters():
            parameter.zero_()
    assert [type(module) for module in model.modules()] == kinds
    assert all(torch.equal(model.state_dict()[key], value) for key, value in before.items())


def test_random_numbers_are_not_drawn() -> None:
    model = jets()
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    quantize(model, UNIFORM)
    assert torch.equal(torch.rand(3), expected)


def test_wide_quantizers_change_next_to_nothing() -> None:
    model = jets().eval()
    wide = "quantized_bits(24,4,alpha=1)"
    result = quantize(model, Scheme.uniform(wide, wide, output="quantized_relu(24,4)", input=wide))
    x = torch.randn(50, 16)
    torch.testing.assert_close(result(x), model(x), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("training", [True, False])
def test_mode_and_dtype_are_kept(training: bool) -> None:
    result = quantize(jets().double().train(training), UNIFORM)
    assert all(module.training == training for module in result.modules())
    assert result(torch.randn(4, 16, dtype=torch.float64)).dtype == torch.float64


def test_a_forward_of_ones_own() -> None:
    model = Own()
    result = quantize(model, UNIFORM.with_slot("relu", "output", "quantized_relu(4)"))
    graph = trace(result)
    assert [(node.name, node.kind) for node in graph.nodes] == [
        ("features", "input"),
        ("input_quantizer", "quantize"),
        ("block.0", "linear"),
        ("block.1", "relu"),
        ("head", "linear"),
        ("relu", "relu"),
        ("out", "linear"),
    ]
    assert str(graph.node("relu").format) == "ap_ufixed<4,0,RND_CONV,SAT>"
    assert not hasattr(result, "never_called")
    kept = {key for key in result.state_dict() if "quantizer" not in key}
    assert kept == {key for key in model.state_dict() if not key.startswith("never")}


def test_it_can_be_copied_and_trained() -> None:
    result = copy.deepcopy(quantize(jets(), UNIFORM))
    optimizer = torch.optim.SGD(result.parameters(), 0.1)
    x, y = torch.randn(64, 16), torch.randint(0, 5, (64,))
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = F.cross_entropy(result(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_a_slot_without_quantizer_leaves_the_layer_float() -> None:
    scheme = Scheme({"fc1": {"weight": SIX}, "fc2": {"bias": SIX}, "output": {"weight": SIX, "bias": SIX}})
    result = quantize(jets(), scheme)
    assert type(result.get_submodule("fc1")) is QLinear
    assert type(result.get_submodule("fc2")) is nn.Linear
    assert type(result.get_submodule("relu1")) is nn.ReLU
    assert left_float(result) == {
        "input": "no quantizer",
        "fc1.bias": "no quantizer",
        "relu1": "ReLU, no output quantizer",
        "fc2": "Linear, no weight quantizer",
        "relu2": "ReLU, no output quantizer",
    }


def test_left_float_names_batch_norms_that_follow_no_linear() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.BatchNorm1d(4), nn.Linear(4, 2))
    assert left_float(quantize(model, UNIFORM)) == {"2": "BatchNorm1d, no inverse quantizer"}


def test_layers_that_are_quantized_already_stay_unless_they_are_named() -> None:
    model = jets(
        fc1=QLinear(16, 8, weight_quantizer="quantized_bits(3,0,alpha=1)", bias_quantizer=SIX),
        relu1=QActivation("quantized_bits(5,2,alpha=1)"),
    )
    result = quantize(model, UNIFORM.with_slot("fc1", "bias", "quantized_bits(7,0,alpha=1)"))
    fc1 = result.get_submodule("fc1")
    assert str(fc1.weight_quantizer) == "quantized_bits(3,0,alpha=1.0)"
    assert str(fc1.bias_quantizer) == "quantized_bits(7,0,alpha=1.0)"
    assert str(result.get_submodule("relu1").output_quantizer) == "quantized_bits(5,2,alpha=1.0)"


def test_quantizing_again_changes_the_input_quantizer_and_adds_none() -> None:
    once = quantize(jets(), UNIFORM)
    again = quantize(once, Scheme(input="quantized_bits(8,3,alpha=1)"))
    inputs = [name for name, module in again.named_modules() if isinstance(module, QInput)]
    assert inputs == ["input_quantizer"]
    assert str(again.get_submodule("input_quantizer").output_quantizer) == "quantized_bits(8,3,alpha=1.0)"
    assert str(once.get_submodule("input_quantizer").output_quantizer) == "quantized_bits(16,6,alpha=1.0)"
    assert [n.name for n in trace(again).nodes] == [n.name for n in trace(once).nodes]


def test_names_that_are_taken_get_a_number() -> None:
    model = nn.Sequential(OrderedDict(input_quantizer=nn.Linear(4, 2)))
    result = quantize(model, UNIFORM)
    assert [node.name for node in trace(result).nodes] == ["input", "input_quantizer_0", "input_quantizer"]


def test_a_single_layer() -> None:
    result = quantize(nn.Linear(4, 2), UNIFORM)
    assert type(result.get_submodule("layer")) is QLinear


def test_quantizers_go_to_the_layers_dtype() -> None:
    auto = "quantized_bits(6,0,alpha='auto')"
    result = quantize(jets().double(), UNIFORM.with_slot("fc1", "weight", auto))
    assert all(b.dtype == torch.float64 for b in result.buffers() if b.is_floating_point())
