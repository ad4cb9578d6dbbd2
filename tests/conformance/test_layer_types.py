"""Every registered layer has types, and no value whatever leaves its range; a new one is tested by itself."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from torchq.convert import freeze
from torchq.cost import data_types, workloads_of
from torchq.graph import Graph, evaluate, trace
from torchq.graph.intervals import Interval, intervals
from torchq.nn import LAYERS, QInput
from torchq.nn.base import Example, QLayer
from torchq.nn.types import fixed

CASES = [
    pytest.param(layer, example, id=f"{name}-{i}")
    for name, layer in LAYERS.items()
    for i, example in enumerate(layer.examples())
]
every_layer = pytest.mark.parametrize(("cls", "example"), CASES)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(7)


def model_of(cls: type[QLayer], example: Example) -> nn.Module:
    """The layer behind an input quantizer, unless it reads whole numbers."""
    made = cls.from_example(example)
    alone: nn.Module = made if example.within is None else example.within(made)
    return nn.Sequential(alone) if cls.reads_integers else nn.Sequential(QInput(example.input), alone)


def name_of(cls: type[QLayer], example: Example) -> str:
    name = "0" if cls.reads_integers else "1"
    return name if example.within is None else f"{name}.layer"


def samples(cls: type[QLayer], example: Example) -> Tensor:
    """Random ones; large ones of either sign, and zeros."""
    if cls.reads_integers:
        return torch.randint(0, 8, (50, *example.shape))
    x = torch.randn(200, *example.shape, dtype=torch.float64)
    ends = torch.tensor([1e6, -1e6, 0.0], dtype=torch.float64).reshape(3, *[1] * len(example.shape))
    return torch.cat([x, 8 * x, x.sign() * 1e6, ends.expand(3, *example.shape)])


def check_inside(graph: Graph, x: Tensor) -> None:
    found = intervals(graph)
    for name, values in evaluate(graph, x).items():
        if name != graph.input:
            check_value(found[name].value, values, x, graph.node(name).batch_axis, name)


def check_value(value: Any, values: Any, x: Tensor, axis: int, name: str) -> None:
    if isinstance(value, tuple):
        for one, other in zip(value, values, strict=True):
            check_value(one, other, x, axis, name)
        return
    if values is None or value is None:
        return
    axis = axis if values.shape[axis] == len(x) and values.ndim == len(value.shape) + 1 else 1
    along = values.movedim(axis, 0).numpy()
    assert along.shape[1:] == value.shape, name
    assert value.contains(along), name
    assert value.format().holds(along).all(), name


@every_layer
def test_it_has_types(cls: type[QLayer], example: Example) -> None:
    table = data_types(model_of(cls, example), example.shape)
    row = table.row(name_of(cls, example))
    assert len({row.layer for row in table.rows}) == len(table.rows)
    assert row.kind
    assert row.output is not None
    assert row.tight_output is not None
    assert json.loads(json.dumps(table.to_dict())) == table.to_dict()
    assert len(table.text().splitlines()) == 2 + len(table.rows)
    assert table.to_html().count("<tr>") == 1 + len(table.rows)
    for step in table.rows:
        assert bool(step.gate) == (step.product is not None), step.layer
        assert step.tight_product is None or step.product is not None, step.layer
        assert step.tight_accumulator is None or step.accumulator is not None, step.layer


@every_layer
def test_its_tight_output_is_no_wider_than_its_format(cls: type[QLayer], example: Example) -> None:
    graph = trace(model_of(cls, example), example.shape)
    for name, found in intervals(graph).items():
        value = found.value[0] if isinstance(found.value, tuple) else found.value
        format = fixed(graph.node(name).format)
        if isinstance(value, Interval) and format is not None:
            low, high = value.ends()
            assert (low >= format.lo).all(), name
            assert (high <= format.hi).all(), name
            assert int(value.format().width) <= max(int(format.width), 1), name


@every_layer
def test_every_value_of_random_inputs_stays_inside(cls: type[QLayer], example: Example) -> None:
    graph = trace(model_of(cls, example), example.shape)
    found = intervals(graph)
    assert all(found[node.name].value is not None for node in graph.nodes[1:])
    check_inside(graph, samples(cls, example))


@every_layer
@pytest.mark.parametrize("sign", [-1, 1])
def test_so_do_those_of_extreme_parameters(cls: type[QLayer], example: Example, sign: int) -> None:
    model = model_of(cls, example)
    with torch.no_grad():
        for p in model.parameters():
            p.fill_(sign * 1e6)
    check_inside(trace(model, example.shape), samples(cls, example))


@every_layer
def test_frozen_or_in_training_it_has_the_same_types(cls: type[QLayer], example: Example) -> None:
    model = model_of(cls, example)
    training = data_types(model.train(), example.shape)
    assert model.training
    tight = [
        [(row.layer, row.tight_product, row.tight_accumulator, row.tight_output) for row in table.rows]
        for table in (
            training,
            data_types(model.eval(), example.shape),
            data_types(freeze(model), example.shape),
        )
    ]
    assert tight[0] == tight[1] == tight[2]


@every_layer
def test_its_workloads_alone_have_the_same_types_by_rule(cls: type[QLayer], example: Example) -> None:
    model = model_of(cls, example)
    whole, works = data_types(model, example.shape), workloads_of(model, example.shape)
    bare = data_types(works)
    for work in works:
        one, other = bare.row(work.layer), whole.row(work.layer)
        assert (one.inputs, one.weight, one.bias, one.output) == (
            other.inputs,
            other.weight,
            other.bias,
            other.output,
        )
        if work.weight is not None and work.fan_in:
            assert (one.gate, one.product, one.accumulator) == (other.gate, other.product, other.accumulator)
    assert all(row.tight_output is None for row in bare.rows)


def test_there_are_layers_of_every_sort() -> None:
    assert len(CASES) >= 60
    assert {layer.reads_integers for _, layer in LAYERS.items()} == {True, False}
