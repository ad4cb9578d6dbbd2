"""What every registered layer must keep on the way to quantized and back."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from torchq.convert import dequantize
from torchq.errors import GraphError
from torchq.nn import LAYERS, QInput
from torchq.nn.base import Example, QLayer
from torchq.scheme import SLOTS
from torchq.summary import summary

CASES = [
    pytest.param(layer, example, id=f"{name}-{i}")
    for name, layer in LAYERS.items()
    for i, example in enumerate(layer.examples())
]
every_layer = pytest.mark.parametrize(("cls", "example"), CASES)

NO_TWIN = {"QTable"}
"""Layers that stand for a function, not for a float layer."""


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(5)


def alone(layer: nn.Module, example: Example) -> nn.Module:
    return layer if example.within is None else example.within(layer)


def samples(example: Example, layer: QLayer) -> Tensor:
    if layer.reads_integers:
        return torch.zeros(20, *example.shape, dtype=torch.long)
    return torch.randn(20, *example.shape) * 2


def test_schemes_know_all_slots() -> None:
    for name, layer in LAYERS.items():
        assert set(layer.slots) <= set(SLOTS), name


@every_layer
def test_there_and_back(cls: type[QLayer], example: Example) -> None:
    modules = [module.eval() for module in example.modules()]
    layer = cls.from_float(modules, example.slots, **example.options).eval()
    x = samples(example, layer)
    before = {key: value.clone() for key, value in layer.state_dict().items()}
    model = nn.Sequential()
    model.add_module("layer", layer)
    if cls.__name__ in NO_TWIN:
        with pytest.raises(GraphError, match=r"^layer: .* has no float layer that says the same$"):
            dequantize(model)
        return
    back = dequantize(model).get_submodule("layer")
    assert not any(isinstance(module, QLayer) for module in back.modules())
    if cls.replaces:
        assert type(back) is cls.replaces[0]
        expected = alone(nn.Sequential(*modules) if len(modules) > 1 else modules[0], example)(x)
        assert torch.allclose(alone(back, example)(x), expected, atol=1e-5)
    after = layer.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())
    assert {id(p) for p in back.parameters()}.isdisjoint({id(p) for p in layer.parameters()})


@every_layer
def test_a_summary_shows_it_and_changes_nothing(cls: type[QLayer], example: Example) -> None:
    layer = cls.from_example(example)
    first = [] if layer.reads_integers else [QInput(example.input)]
    model = nn.Sequential(*first, alone(layer, example)).train()
    before = copy.deepcopy(model.state_dict())
    made = summary(model, samples(example, layer))
    assert any(row.type == cls.__name__ and row.quantizers for row in made.rows) or not example.slots
    assert model.training
    after = model.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())
