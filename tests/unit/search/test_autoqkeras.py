"""AutoQKeras configurations mean what they mean there; rows of docs/autoq.md that can be shown are."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from torchq.convert import quantize
from torchq.cost import UniformFormats, estimate, in_formats
from torchq.errors import SearchError
from torchq.formats import Float
from torchq.models import jets_mlp
from torchq.scheme import Scheme
from torchq.search import from_autoqkeras
from torchq.search.autoqkeras_tables import KNOWN_KEYS

NET = jets_mlp(units=(64, 32))
LIMIT = {"Dense": [8, 8, 4], "Activation": [4]}
SMALL = {
    "kernel": {"ternary": 2, "quantized_bits(4,0,1,alpha=1)": 4, "quantized_bits(8,0,1,alpha=1)": 8},
    "bias": {"quantized_bits(4,0,1)": 4, "quantized_bits(8,3,1)": 8},
    "activation": {"binary": 1, "quantized_relu(3,1)": 3, "quantized_relu(4,2)": 4},
}


def read(**config: Any) -> dict[str, tuple[tuple[str, ...], tuple[Any, ...]]]:
    search = from_autoqkeras({"quantization_config": SMALL, "limit": LIMIT, **config}, NET)
    return {knob.name: (knob.layers, knob.options) for knob in search.space.knobs}


def test_a_class_gives_each_of_its_layers_choices_of_its_own() -> None:
    found = read(limit={"Dense": [4, 4], "Activation": [3]})
    assert list(found) == [
        "fc1.weight", "relu1.activation", "fc2.weight", "relu2.activation", "output.weight",
    ]  # fmt: skip
    assert found["fc1.weight"] == (
        ("fc1",),
        ("ternary(alpha='auto_po2')", "quantized_bits(4,0,symmetric=True,alpha=1.0)"),
    )


def test_an_expression_gives_all_its_layers_one_choice() -> None:
    found = read(limit={"^fc.*": [4, 8], "Dense": [8, 8], "re.*": [4]})
    assert found["re:^(fc1|fc2)$.weight"][0] == ("fc1", "fc2")
    assert found["output.weight"][0] == ("output",)
    assert found["re:^(relu1|relu2)$.activation"][0] == ("relu1", "relu2")


def test_an_entry_may_list_the_options() -> None:
    found = read(limit={"Dense": [["ternary", "quantized_bits(8,0,1,alpha=1)"], 8], "Activation": [4]})
    assert [text.partition("(")[0] for text in found["fc1.weight"][1]] == ["ternary", "quantized_bits"]


def test_short_lists_are_padded_with_the_default_and_that_with_8() -> None:
    assert len(read(limit={"Dense": [8], "default": 4, "Activation": [4]})) == 5, "one bias is left: fixed"
    assert "fc1.bias" in read(limit={"Dense": [8], "Activation": [4]})


def test_bits_are_those_of_the_table_and_not_of_the_quantizer() -> None:
    found = read(
        quantization_config={**SMALL, "kernel": {"ternary": 9, "quantized_bits(4,0)": 4, "binary": 1}}
    )
    assert [text.partition("(")[0] for text in found["fc1.weight"][1]] == ["binary", "quantized_bits"]


def test_the_activation_of_a_layer_is_searched_and_applied() -> None:
    found = read(limit={"Dense": [4, 8, 3]})
    assert found["relu1.activation"][1] == ("binary()", "quantized_relu(3,1)")
    search = from_autoqkeras({"quantization_config": SMALL, "limit": LIMIT}, NET)
    point = {knob.name: 0 for knob in search.space.knobs}
    assert search.space.scheme(point).slot("relu1", "output") == "binary()"
    assert search.space.settings(point).activations["relu1"] == "none", "the quantizer alone, as QActivation"
    dear = {**point, "relu1.activation": 2}
    assert search.space.settings(dear).activations["relu1"] == "relu"


@pytest.mark.parametrize("exceptions", [None, "", "^output$"])
def test_tune_filters_without_exceptions_does_not_fail(exceptions: str | None) -> None:
    found = read(tune_filters="layer", tune_filters_exceptions=exceptions)
    assert found["fc1.units"][1] == (32, 48, 64, 96, 128)
    block = read(tune_filters="block", tune_filters_exceptions=exceptions)
    assert block["all.units"] == (("fc1", "fc2"), ((32, 16), (48, 24), (64, 32), (96, 48), (128, 64)))


def test_layer_indexes_count_the_input_as_layer_0() -> None:
    base = Scheme({"output": {"weight": "quantized_bits(6,0)", "bias": "quantized_bits(6,0)"}})
    config = {"quantization_config": SMALL, "limit": LIMIT, "layer_indexes": [0, 1, 2, 3, 4]}
    found = from_autoqkeras(config, NET, base=base)
    assert {layer for knob in found.space.knobs for layer in knob.layers} == {"fc1", "relu1", "fc2", "relu2"}
    with pytest.raises(SearchError, match="limit has no entry for output"):
        from_autoqkeras(config, NET)


def test_batch_norms_are_folded_whether_the_limit_names_them_or_not() -> None:
    net = jets_mlp(units=(8,), batch_norm=True)
    named = from_autoqkeras({"limit": {**LIMIT, "BatchNormalization": []}}, net)
    assert named.space == from_autoqkeras({"limit": LIMIT}, net).space
    point = {knob.name: 0 for knob in named.space.knobs}
    assert (
        type(quantize(net, named.space.scheme(point)).get_submodule("fc1")).__name__ == "QLinearBatchNorm1d"
    )


def test_batch_norms_are_folded_as_told() -> None:
    net = jets_mlp(units=(8,), batch_norm=True)
    plain = from_autoqkeras({"limit": LIMIT}, net).space
    now = from_autoqkeras({"limit": LIMIT}, net, fold=["now"]).space
    assert now.cardinality == plain.cardinality
    point = {knob.name: 0 for knob in now.knobs}
    assert (now.settings(point).fold, now.scheme(point)) == ("now", plain.scheme(plain.at(0.0)))
    both = from_autoqkeras({"limit": LIMIT}, net, fold=["now", "train"]).space
    assert both.cardinality == 2 * plain.cardinality


def test_the_learning_rate_becomes_a_knob() -> None:
    assert read(learning_rate_optimizer=True)["learning_rate"][1] == pytest.approx(
        (5e-3, 6.5e-3, 8e-3, 9.5e-3, 1.1e-2)
    )


@pytest.mark.parametrize(
    ("config", "searcher"),
    [
        ({}, "ax"),
        ({"mode": "random"}, "random"),
        ({"mode": "hyperband"}, "hyperband"),
        ({"blocks": ["^fc1$"]}, "blocks"),
    ],
)
def test_modes_are_searchers(config: dict[str, Any], searcher: str) -> None:
    assert from_autoqkeras({"limit": LIMIT, **config}, NET).searcher == searcher


def test_arguments_without_effect_are_said() -> None:
    found = from_autoqkeras({"limit": LIMIT, "transfer_weights": True, "max_trials": 7}, NET)
    assert found.notes == ("autoqkeras: transfer_weights has no effect here",)
    assert found.trials == 7


def test_the_goal_bits_has_autoqkerass_reference_and_score() -> None:
    goal = from_autoqkeras({"limit": LIMIT}, NET).goal(NET, (16,))
    parameters = 16 * 64 + 64 + 64 * 32 + 32 + 32 * 5 + 5
    activations = 16 + 64 + 32 + 5
    assert goal.cost == "autoqkeras_bits"
    assert goal.reference == 8 * (parameters + activations)
    halved = {"accuracy": 0.75, "autoqkeras_bits": goal.reference / 2}
    assert goal.score(halved) == pytest.approx(0.75 * 1.08)
    assert (goal.delta_p, goal.delta_n, goal.rate, goal.stress) == (8, 8, 2, 1)


def test_the_goal_bits_of_a_trial() -> None:
    q, relu = "quantized_bits(4,0,alpha=1)", "quantized_relu(3,1)"
    network = quantize(NET, Scheme.uniform(q, q, relu, "quantized_bits(16,6,alpha=1)"))
    search = from_autoqkeras({"limit": LIMIT}, NET)
    total = estimate(network, (16,), ("autoqkeras_bits",), **search.cost_settings).total
    parameters = 16 * 64 + 64 + 64 * 32 + 32 + 32 * 5 + 5
    assert total["autoqkeras_bits_parameters"] == 4 * parameters
    assert total["autoqkeras_bits_activations"] == 8 * 16 + 3 * (64 + 32) + 8 * 5
    only = {"limit": LIMIT, "goal": {"type": "bits", "params": {"config": {"default": ["parameters"]}}}}
    parameters_only = from_autoqkeras(only, NET)
    assert parameters_only.goal(NET, (16,)).reference == 8 * parameters


def test_the_goal_energy_compares_with_floats_in_their_memories() -> None:
    params = {
        "delta_p": 5, "rate": 4, "stress": 0.5, "parameters_on_memory": ["dram", "sram"],
        "activations_on_memory": "sram", "min_sram_size": [8, 16], "rd_wr_on_io": [True, False],
        "reference_internal": "fp16",
    }  # fmt: skip
    search = from_autoqkeras({"limit": LIMIT, "goal": {"type": "energy", "params": params}}, NET)
    assert dict(search.cost_settings) == {
        "process": "horowitz", "weights_on_memory": "sram", "activations_on_memory": "sram",
        "min_sram_size": 16, "rd_wr_on_io": False,
    }  # fmt: skip
    goal = search.goal(NET, (16,))
    q = "quantized_bits(4,0,alpha=1)"
    network = quantize(NET, Scheme.uniform(q, q, "quantized_relu(3,1)", q))
    half = Float(16)
    works = in_formats(network, UniformFormats(half, half, half, half), (16,))
    settings = {
        "weights_on_memory": "dram",
        "activations_on_memory": "sram",
        "min_sram_size": 8,
        "rd_wr_on_io": True,
    }
    assert goal.reference == pytest.approx(
        estimate(works, targets=("energy_pj",), **settings).total["energy_pj"]
    )
    stressed = 0.5 * float(str(goal.reference))
    assert goal.delta(stressed / 4) == pytest.approx(0.05), "stress acts on energy too"
    assert goal.delta(stressed * 2) == pytest.approx(-0.08 * math.log(2) / math.log(4))


def test_the_default_tables_are_whole() -> None:
    found = {
        knob.name: knob.options
        for knob in from_autoqkeras({"limit": {"Dense": [16, 16, 16]}}, NET).space.knobs
    }
    assert [len(found[name]) for name in ("fc1.weight", "fc1.bias", "relu1.activation")] == [8, 3, 9]


def test_filters_of_convolutions_and_recurrent_layers() -> None:
    images = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2))
    config = {"limit": {"Conv2D": [4], "Dense": [4], "Activation": [4]}, "tune_filters": "layer"}
    found = {knob.name: knob.options for knob in from_autoqkeras(config, images).space.knobs}
    assert found["0.units"] == (2, 3, 4, 6, 8)
    sequence = nn.Sequential(nn.LSTM(3, 4, batch_first=True))
    recurrent = from_autoqkeras({"limit": {"LSTM": [4, 8, 2, 8]}}, sequence).space.knobs
    assert {knob.slot: len(knob.options) for knob in recurrent} == {"weight": 7, "bias": 3, "recurrent": 5}


PAGE = (Path(__file__).parents[3] / "docs" / "autoq.md").read_text(encoding="utf-8")


def test_the_page_explains_every_argument() -> None:
    assert [key for key in KNOWN_KEYS if f"`{key}`" not in PAGE] == []
    assert len(re.findall(r"^\| ", PAGE, re.MULTILINE)) > 20
