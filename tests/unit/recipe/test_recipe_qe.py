"""The recipe ``paper/autoq_qe``: its space holds the published QE, and everything it tries is as cheap."""

from __future__ import annotations

import numpy as np

from torchq.autoq import TrainAndPrice
from torchq.models import jets_mlp
from torchq.quantizers import parse
from torchq.recipe.load import load
from torchq.recipe.searches import autoqkeras_of, space_of, untrained
from torchq.recipe.stages.workbench import uniform_scheme
from torchq.search import ForgivingFactor, Limit, Space
from torchq.search.ax import AxSearcher
from torchq.search.trial import Proposal

RECIPE = load("paper/autoq_qe").recipe
QE = load("paper/table_energy").content.designs["QE"]  # type: ignore[union-attr]
TIMES = {"energy_pj": 7.37, "bits": 12.99}


def space() -> Space:
    return space_of(RECIPE)


def published() -> dict[str, int]:
    """QE as a point of the space: stochastic binary is binary in hardware, and folded layers have biases."""
    wanted = {
        "fc1.weight": "quantized_bits(4,0,1,alpha='auto_po2')",
        "fc2.weight": "ternary(alpha='auto_po2')",
        "fc3.weight": "quantized_bits(2,1,1,alpha=1)",
        "output.weight": "binary(alpha='auto_po2')",
        "relu1.activation": "quantized_relu(4,2)",
        "relu2.activation": "quantized_relu(3,1)",
        "relu3.activation": "quantized_relu(4,2)",
        "fc1.units": 32,
        "fc2.units": 16,
        "fc3.units": 16,
        "fold": "now",
    }
    found = {}
    for knob in space().knobs:
        option = wanted[knob.name]
        text = str(parse(option)) if isinstance(option, str) and "(" in option else option
        found[knob.name] = knob.options.index(text)
    return found


def evaluation() -> TrainAndPrice:
    rng = np.random.default_rng(0)
    samples = rng.normal(size=(64, 16)).astype(np.float32), rng.integers(5, size=64)
    return TrainAndPrice(untrained(RECIPE), samples, samples, space(), costs=("bits", "energy_pj"))


def reference() -> dict[str, float]:
    assert RECIPE.references is not None
    return evaluation().priced(uniform_scheme(RECIPE.references.bf))


def test_the_goal_is_the_published_trade() -> None:
    assert RECIPE.pick.times_lower == RECIPE.search.goal.times_lower == TIMES
    assert RECIPE.pick.most_accuracy_lost == 0.021
    assert RECIPE.search.goal.kind == "forgiving_factor"
    assert set(TIMES) <= set(RECIPE.search.goal.costs) | set(RECIPE.search.goal.times_lower)


def test_the_published_network_is_a_point_of_the_space_and_as_cheap_as_published() -> None:
    scheme = space().scheme(published())
    assert dict(scheme.units) == dict(zip(("fc1", "fc2", "fc3"), QE.units, strict=True))
    for layer in ("fc1", "relu1", "relu2", "fc3", "relu3"):  # fc2 and output: ternary and (stochastic) binary
        for slot, text in QE.layers[layer].model_dump(exclude_none=True).items():
            mine = parse(str(scheme.slot(layer, slot)))
            assert (mine.name, mine.bits) == (parse(text).name, parse(text).bits)
    costs, bf = evaluation().price(scheme), reference()
    assert all(scheme.slot(layer, "bias") == scheme.slot("output", "bias") for layer in ("fc1", "fc2", "fc3"))
    assert parse(str(scheme.slot("output", "bias"))).format == parse("quantized_bits(8,3,1)").format
    assert costs["bits"] == 4 * 512 + 2 * 512 + 2 * 256 + 80 + 8 * 64 + 8 * 5
    for name, times in TIMES.items():
        assert bf[name] / costs[name] > times


def test_every_kernel_has_autoqkeras_own_quantizers_with_scales_that_are_found() -> None:
    tables = (RECIPE.search.autoqkeras or {})["quantization_config"]
    search = autoqkeras_of(RECIPE, jets_mlp(batch_norm=True, seed=0))
    assert search.searcher == "ax"
    kernels = {knob.options for knob in search.space.knobs if knob.slot == "weight"}
    (options,) = kernels
    assert {"binary(alpha='auto_po2')", "ternary(alpha='auto_po2')"} <= set(options)
    assert set(tables) == {"kernel", "bias", "activation"}


def test_nothing_is_tried_that_is_dearer_than_the_published_network() -> None:
    evaluate, bf = evaluation(), reference()
    assert evaluate.priced_early
    limits = tuple(Limit.times_lower(name, bf[name], times) for name, times in TIMES.items())
    goal = ForgivingFactor("energy_pj", reference=bf["energy_pj"], limits=limits)
    searcher = AxSearcher(space(), goal, seed=0)
    searcher.know(lambda point: evaluate.price(space().scheme(point)))
    proposals: list[Proposal] = searcher.ask(2)
    assert len(proposals) == 2
    for proposal in proposals:
        costs = evaluate.price(space().scheme(proposal.point))
        assert all(limit.met(costs) for limit in limits), proposal
