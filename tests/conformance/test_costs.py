"""What every registered cost target must keep; a new one is tested by being registered."""

from __future__ import annotations

import json
import math
from dataclasses import FrozenInstanceError, fields, is_dataclass
from typing import Any

import pytest
import torch
from torch import nn

import torchq.cost  # noqa: F401 - registers the targets
from torchq.cost import (
    BF,
    PROCESSES,
    Q6,
    TARGETS,
    estimate,
    figure_of,
    figures,
    in_formats,
    target_of,
    workloads_of,
)
from torchq.errors import CostError
from torchq.nn import LAYERS, QInput, QLinear, QReLU
from torchq.nn.base import Example, QLayer
from torchq.workload import Workload


def network(width: int = 4, units: int = 6) -> nn.Sequential:
    q = f"quantized_bits({width},1,alpha=1)"
    return nn.Sequential(
        QInput("quantized_bits(8,2,alpha=1)"),
        QLinear(5, units, weight_quantizer=q, bias_quantizer=q),
        QReLU(f"quantized_relu({width},1)"),
        nn.Dropout(0.1),
        QLinear(units, 3, bias=False, weight_quantizer="quantized_bits(2,0,alpha=1)"),
    )


def works() -> tuple[Workload, ...]:
    torch.manual_seed(3)
    return workloads_of(network(), (5,))


def costs_of(name: str) -> list[str]:
    """The figures of a target of which less is better."""
    gains = getattr(TARGETS.get(name), "gains", ())
    return [figure for figure in TARGETS.get(name).units if figure not in gains]


@pytest.fixture(params=list(TARGETS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_it_is_a_frozen_dataclass_that_says_its_units_and_has_defaults(name: str) -> None:
    target: Any = TARGETS.get(name)()
    assert is_dataclass(target)
    assert target.units
    assert all(isinstance(text, str) and text for pair in target.units.items() for text in pair)
    for field in fields(target):
        with pytest.raises(FrozenInstanceError):
            setattr(target, field.name, None)


def test_it_is_documented(name: str) -> None:
    cls = TARGETS.get(name)
    doc = cls.__doc__ or ""
    assert len(doc.splitlines()) > 3
    assert all(f"{field.name}:" in doc for field in fields(cls))  # type: ignore[arg-type]


def test_its_figures_are_its_own_and_found_by_name(name: str) -> None:
    for figure in TARGETS.get(name).units:
        assert target_of(figure) == figures()[figure] == name
        if figure in costs_of(name):
            assert figure_of(figure) == figure
        else:
            with pytest.raises(CostError, match="more of it is better"):
                figure_of(figure)
        assert figure == name or figure not in TARGETS
        assert [n for n, target in TARGETS.items() if figure in target.units] == [name]


def test_it_has_all_figures_in_total_and_a_row_for_each_layer(name: str) -> None:
    target = TARGETS.get(name)
    price = target().price(works())
    assert len(price.layers) == len(works())
    assert set(target.units) <= set(price.total)
    assert set(price.notes) <= set(target.units)
    for row in (price.total, *price.layers):
        for key, value in row.items():
            assert any(key == figure or key.startswith(f"{figure}_") for figure in target.units), key
            assert 0 <= value < math.inf, key


def test_it_keeps_no_state(name: str) -> None:
    target = TARGETS.get(name)()
    assert target.price(works()) == target.price(works())


def test_nothing_costs_nothing(name: str) -> None:
    price = TARGETS.get(name)().price(())
    assert price.layers == ()
    assert all(value == 0 for value in price.total.values())


def test_more_bits_and_more_neurons_never_cost_less(name: str) -> None:
    target = TARGETS.get(name)()
    narrow, wide = (target.price(in_formats(works(), formats)).total for formats in (Q6, BF))
    # formats alone: the random weights of a wider layer are smaller, and may all be rounded to zero
    few, many = (target.price(in_formats(workloads_of(network(units=n), (5,)), Q6)).total for n in (6, 24))
    for figure in costs_of(name):
        assert narrow[figure] <= wide[figure], figure
        assert few[figure] <= many[figure], figure
    assert any(few[figure] < many[figure] for figure in costs_of(name))


def test_its_settings_and_figures_are_json(name: str) -> None:
    report = estimate(works(), targets=[name])
    assert json.loads(json.dumps(report.to_dict())) == report.to_dict()


LAYER_EXAMPLES = [
    pytest.param(layer, example, id=f"{layer_name}-{i}")
    for layer_name, layer in LAYERS.items()
    for i, example in enumerate(layer.examples())
]


@pytest.mark.parametrize(("layer", "example"), LAYER_EXAMPLES)
def test_all_targets_price_every_layer(layer: type[QLayer], example: Example) -> None:
    torch.manual_seed(5)
    made: nn.Module = layer.from_example(example)
    made = made if example.within is None else example.within(made)
    model = nn.Sequential(made) if layer.reads_integers else nn.Sequential(QInput(example.input), made)
    stated = workloads_of(model, example.shape)
    for formats in (stated, in_formats(stated, Q6)):
        report = estimate(formats, targets=list(TARGETS))
        assert set(figures()) <= set(report.total)
        assert all(0 <= value < math.inf for value in report.total.values())
        assert all(0 <= value < math.inf for row in report.layers for value in row.costs.values())
    exact = estimate(stated, targets=["ebops", "bops", "macs"])
    assert not exact.notes
    multiplies = any(work.macs or work.count("multiply") for work in stated)
    assert (exact.total["macs"] > 0) == (exact.total["bops"] > 0) == multiplies


@pytest.mark.parametrize("process", list(PROCESSES))
def test_processes_grow_with_the_width_and_name_their_source(process: str) -> None:
    found = PROCESSES.get(process)
    assert found.name == process
    assert found.source
    for gate in ("add", "mul"):
        energies = [found.gate(gate, bits) for bits in range(65)]
        assert energies == sorted(energies)
        assert energies[0] >= 0 < energies[-1]
    assert set(found.float_add) == set(found.float_mul)
