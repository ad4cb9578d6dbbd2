"""What every registered layer must keep; a new one is tested by being registered."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from torchq.convert import freeze, left_float, quantize
from torchq.formats import Format
from torchq.graph import Graph, evaluate, trace, workloads
from torchq.nn import LAYERS, QInput
from torchq.nn.base import Example, QLayer
from torchq.nn.types import fixed
from torchq.scheme import Scheme

CASES = [
    pytest.param(layer, example, id=f"{name}-{i}")
    for name, layer in LAYERS.items()
    if not layer.reads_integers  # tests/unit/nn/test_embedding.py does the same with whole numbers
    for i, example in enumerate(layer.examples())
]
every_layer = pytest.mark.parametrize(("cls", "example"), CASES)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(7)


def samples(example: Example, count: int = 200) -> Tensor:
    return torch.randn(count, *example.shape, dtype=torch.float64) * 4


def alone(layer: nn.Module, example: Example) -> nn.Module:
    """The layer as a module of one tensor to one tensor."""
    return layer if example.within is None else example.within(layer)


def named(example: Example, name: str) -> str:
    """The name of the layer in a model where :func:`alone` has this name."""
    return name if example.within is None else f"{name}.layer"


def behind_input(layer: QLayer, example: Example) -> nn.Sequential:
    return nn.Sequential(QInput(example.input), alone(layer, example))


def graph_of(layer: QLayer, example: Example) -> Graph:
    return trace(behind_input(layer, example), example.shape)


def held(format: Format | None, values: Tensor) -> bool:
    f = fixed(format)
    assert f is not None
    return bool(f.holds(values.numpy()).all())


def test_there_are_layers_and_each_has_examples() -> None:
    assert len(LAYERS) >= 5
    assert all(layer.examples() for _, layer in LAYERS.items())


@every_layer
def test_it_says_its_kind_and_documents_itself(cls: type[QLayer], example: Example) -> None:
    assert cls.kind
    assert cls.slots
    assert "Args:" in (cls.__doc__ or "") or "Args:" in (cls.__mro__[1].__doc__ or "")
    assert "Example:" in (cls.__doc__ or "")
    assert set(example.slots) <= set(cls.slots)


@every_layer
def test_its_parameters_are_those_of_the_float_layer(cls: type[QLayer], example: Example) -> None:
    modules = example.modules()
    if not cls.replaces:
        assert modules == ()
        return
    given = [p for module in modules for p in module.parameters()]
    layer = cls.from_float(modules, example.slots, **example.options)
    assert {id(p) for p in layer.parameters()} == {id(p) for p in given}


@every_layer
def test_a_checkpoint_of_the_float_layer_loads(cls: type[QLayer], example: Example) -> None:
    if len(cls.replaces) != 1:
        assert cls.replaces == tuple(type(m) for m in example.modules())
        return
    (module,) = example.modules()
    layer = cls.from_example(example)
    layer.load_state_dict(module.state_dict())
    mine = layer.state_dict()
    for key, value in module.state_dict().items():
        assert torch.equal(mine[key], value)


@every_layer
def test_it_loads_its_own_state(cls: type[QLayer], example: Example) -> None:
    first, second = cls.from_example(example).eval(), cls.from_example(example).eval()
    second.load_state_dict(first.state_dict())
    x = samples(example).float()
    assert torch.equal(alone(first, example)(x), alone(second, example)(x))


@every_layer
def test_it_shows_its_quantizers(cls: type[QLayer], example: Example) -> None:
    layer = cls.from_example(example)
    for slot in cls.slots:
        assert f"{slot}_quantizer={layer.quantizer(slot)}" in repr(layer)
    assert "\n" not in repr(layer)


@every_layer
def test_a_copy_is_its_own(cls: type[QLayer], example: Example) -> None:
    layer = cls.from_example(example).eval()
    x = samples(example).float()
    before = alone(layer, example)(x)
    twin = copy.deepcopy(layer)
    assert torch.equal(alone(twin, example)(x), before)
    with torch.no_grad():
        for p in twin.parameters():
            p.fill_(0.0)
    assert torch.equal(alone(layer, example)(x), before)
    assert all(twin.quantizer(s) is not layer.quantizer(s) for s in example.slots)


@every_layer
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_follows_the_dtype(cls: type[QLayer], example: Example, dtype: torch.dtype) -> None:
    layer = cls.from_example(example).to(dtype).eval()
    y = alone(layer, example)(samples(example).to(dtype))
    assert y.dtype == dtype
    assert all(p.dtype == dtype for p in layer.parameters())


@every_layer
def test_it_keeps_the_dtype_and_mode_of_the_float_layer(cls: type[QLayer], example: Example) -> None:
    modules = [module.double().eval() for module in example.modules()]
    layer = cls.from_float(modules, example.slots, **example.options)
    assert all(p.dtype == torch.float64 for p in layer.parameters()) or not modules
    assert layer.training == (not modules)


@every_layer
def test_what_leaves_it_stands_on_the_grid(cls: type[QLayer], example: Example) -> None:
    graph = graph_of(cls.from_example(example), example)
    for name, values in evaluate(graph, samples(example)).items():
        f = graph.node(name).format
        if name != graph.input:
            assert held(f, values[0] if isinstance(values, tuple) else values), name


@every_layer
@pytest.mark.parametrize("sign", [-1, 1])
def test_the_extremes_fit_into_the_format(cls: type[QLayer], example: Example, sign: int) -> None:
    """The largest and smallest inputs with parameters at the ends of their ranges."""
    layer = cls.from_example(example)
    with torch.no_grad():
        for p in layer.parameters():
            p.fill_(sign * 1e6)
    graph = graph_of(layer, example)
    ends = torch.tensor([[1e6], [-1e6]], dtype=torch.float64).expand(2, math.prod(example.shape))
    values = evaluate(graph, ends.reshape(2, *example.shape))[graph.output]
    assert held(graph.node(graph.output).format, values)


@every_layer
def test_frozen_it_computes_the_same(cls: type[QLayer], example: Example) -> None:
    model = behind_input(cls.from_example(example), example)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    frozen = freeze(model)
    x = samples(example)
    assert torch.equal(frozen.double()(x), copy.deepcopy(model).double().eval()(x))
    assert not any(p.requires_grad for p in frozen.parameters())
    assert not frozen.training
    assert all(torch.equal(model.state_dict()[key], value) for key, value in before.items())


@every_layer
def test_frozen_parameters_stand_on_their_grids(cls: type[QLayer], example: Example) -> None:
    layer = cls.from_example(example).frozen()
    for name, parameter in layer.named_parameters():
        quantizer = layer.quantizer(layer.slot_of(name))
        assert quantizer is not None
        assert held(quantizer.format, parameter.double())


@every_layer
def test_frozen_it_has_the_same_graph(cls: type[QLayer], example: Example) -> None:
    model = behind_input(cls.from_example(example), example)
    plain, frozen = trace(model, example.shape), trace(freeze(model), example.shape)
    assert str(plain) == str(frozen)
    assert workloads(plain) == workloads(frozen)


@every_layer
def test_its_workload_is_sane(cls: type[QLayer], example: Example) -> None:
    layer = cls.from_example(example)
    graph = graph_of(layer, example)
    name = named(example, "1")
    works = [w for w in workloads(graph) if f"{w.layer}.".startswith(f"{name}.")]
    work = works[-1]
    assert work.layer == name
    assert work.kind == cls.kind
    assert work.output == graph.node(name).spec
    assert work.inputs[0].shape == example.shape
    for part in works:
        assert part.macs == part.fan_in * part.output.count
        assert part.accumulator is not None or part.macs == 0
        for spec in part.parameters:
            assert 0 <= spec.zeros <= spec.count
            assert spec.format is not None
    for spec in work.parameters:
        assert spec.format == layer.quantizer(spec.name).format  # type: ignore[union-attr]
    counted = sum(spec.count for part in works for spec in part.parameters)
    assert counted in (0, sum(p.numel() for p in layer.frozen().parameters()))


@every_layer
def test_gradients_reach_every_parameter(cls: type[QLayer], example: Example) -> None:
    layer = cls.from_example(example).train()
    x = (samples(example).float() / 8).requires_grad_()
    alone(layer, example)(x).square().sum().backward()
    assert x.grad is not None
    assert all(p.grad is not None and np.isfinite(p.grad.numpy()).all() for p in layer.parameters())


@every_layer
def test_conversion_finds_it(cls: type[QLayer], example: Example) -> None:
    if not cls.replaces:
        assert example.modules() == ()
        return
    name = named(example, "0")
    scheme = Scheme({name: example.slots}, input=example.input)
    modules = example.modules()
    floats = nn.Sequential(*modules) if example.within is None else nn.Sequential(alone(modules[0], example))
    model = quantize(floats, scheme, example.shape)
    assert type(model.get_submodule(name)) is cls
    assert left_float(model) == {}
    assert name in [node.name for node in trace(model, example.shape).nodes]
