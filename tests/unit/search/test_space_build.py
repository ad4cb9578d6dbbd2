"""Spaces in words: groups that share a choice, limits, multiples of neurons, and what is refused."""

from __future__ import annotations

import pytest
from torch import nn

from torchq.errors import SearchError
from torchq.models import jets_mlp
from torchq.scheme import Scheme
from torchq.search import Knob, Space
from torchq.search.space_build import Filters, build_space

BITS = [f"quantized_bits({bits},0,alpha=1.0)" for bits in (2, 4, 6)]
NET = jets_mlp()


def names(space: Space) -> dict[str, tuple[str, ...]]:
    return {knob.name: knob.layers for knob in space.knobs}


def test_a_group_is_one_knob_and_a_name_goes_before_patterns() -> None:
    space = build_space(
        NET,
        {"re:^fc[0-9]$": {"weight": BITS, "bias": BITS[:1]}, "fc2": {"weight": BITS[:2]}},
        input=[BITS[2]],
    )
    assert names(space) == {"re:^fc[0-9]$.weight": ("fc1", "fc3"), "fc2.weight": ("fc2",)}
    scheme = space.scheme({"re:^fc[0-9]$.weight": 2, "fc2.weight": 0})
    assert [scheme.slot(f"fc{i}", "weight") for i in (1, 2, 3)] == [BITS[2], BITS[0], BITS[2]]
    assert [scheme.slot(f"fc{i}", "bias") for i in (1, 2, 3)] == [BITS[0]] * 3
    assert scheme.input == BITS[2]


def test_classes_by_their_float_and_their_quantized_name() -> None:
    for key in ("class:Linear", "class:QLinear"):
        assert names(build_space(NET, {key: {"weight": BITS}})) == {
            f"{key}.weight": ("fc1", "fc2", "fc3", "output")
        }


def test_limits_cut_and_lists_choose() -> None:
    space = build_space(
        NET,
        {
            "fc1": {"weight": BITS},
            "fc2": {"weight": BITS},
            "relu1": {"output": [f"quantized_relu({b},2)" for b in (2, 4)]},
        },
        limits={"fc*": {"weight": 4}, "fc2": {"weight": [BITS[1], BITS[2]]}},
    )
    assert [knob.options for knob in space.knobs if knob.slot == "weight"] == [(BITS[0], BITS[1])]
    assert space.base.slot("fc2", "weight") == BITS[1], "one option is left, so it is fixed"


@pytest.mark.parametrize(
    ("tune", "knobs"),
    [
        ("layer", {"fc1.units": (32, 48, 64, 96, 128), "fc3.units": (16, 24, 32, 48, 64)}),
        ("block", {"all.units": ((32, 16), (48, 24), (64, 32), (96, 48), (128, 64))}),
        ("none", {}),
    ],
)
def test_multiples_of_neurons(tune: str, knobs: dict[str, tuple[object, ...]]) -> None:
    space = build_space(NET, {"fc1": {"weight": BITS}}, filters=Filters(tune, "fc2"))
    assert {knob.name: knob.options for knob in space.knobs if knob.slot == "units"} == knobs


def test_a_block_of_neurons_is_one_choice() -> None:
    space = build_space(NET, {"fc1": {"weight": BITS}}, filters=Filters("block", multipliers=(0.5, 2)))
    scheme = space.scheme({"fc1.weight": 0, "all.units": 1})
    assert dict(scheme.units) == {"fc1": 128, "fc2": 64, "fc3": 64}


def test_equal_counts_are_one_option() -> None:
    tiny = nn.Sequential(nn.Linear(4, 1), nn.ReLU(), nn.Linear(1, 2))
    space = build_space(tiny, {"0": {"weight": BITS}}, filters=Filters("layer"))
    assert [knob.options for knob in space.knobs if knob.slot == "units"] == [(1, 2)]


def test_training_and_folding_stand_last_and_the_input_first() -> None:
    space = build_space(
        NET,
        {"fc3": {"pruning": [0.0, 0.5]}, "fc1": {"weight": BITS}},
        input=BITS,
        learning_rate=[1e-2, 1e-3],
        fold=["train", "now"],
    )
    assert [knob.name for knob in space.knobs] == [
        "input",
        "fc1.weight",
        "fc3.pruning",
        "fold",
        "learning_rate",
    ]
    assert space.knobs[2].options == (0.5, 0.0)
    settings = space.settings({knob.name: 0 for knob in space.knobs})
    assert settings.to_dict() == {"learning_rate": 1e-3, "pruning": {"fc3": 0.5}, "fold": "now"}


def test_one_way_of_folding_is_kept() -> None:
    space = build_space(NET, {"fc1": {"weight": BITS}}, fold=["apart"])
    assert space.cardinality == 3
    assert space.settings({"fc1.weight": 1, "fold": 0}).fold == "apart"


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda: build_space(NET, {"fc1": {"weight": BITS}}, limits={"fc*": {"weight": 1}}),
            "fc1.weight: the limit fc*.weight (at most 1 bits) leaves no option; there were: "
            f"{BITS[0]} (2 bits), {BITS[1]} (4 bits), {BITS[2]} (6 bits); "
            "raise the limit, or give the slot a cheaper quantizer",
        ),
        (
            lambda: build_space(NET, {"fc1": {"weight": BITS}}, limits={"fc1": {"weight": ["ternary()"]}}),
            "fc1.weight: the limit fc1.weight (one of ternary()) leaves no option; there were: "
            f"{BITS[0]} (2 bits), {BITS[1]} (4 bits), {BITS[2]} (6 bits); "
            "raise the limit, or give the slot a cheaper quantizer",
        ),
        (
            lambda: build_space(NET, {"fc1": {"weight": BITS[:1]}}),
            "the search space is empty: every slot has one option; give at least one slot two options",
        ),
        (
            lambda: build_space(NET, {"fc1": {"weight": BITS[:1]}}, fold=["now"]),
            "the search space is empty: every slot has one option; give at least one slot two options",
        ),
        (
            lambda: build_space(NET, {"fc7": {"weight": BITS}}),
            "fc7: the model has no layer of this name; did you mean 'fc3'? "
            "Layers: fc1, relu1, fc2, relu2, fc3, relu3, output",
        ),
        (
            lambda: build_space(NET, {"fc1": {"fold": ["now"]}}),
            "fc1: fold belongs to no layer; give fold beside the layers",
        ),
        (
            lambda: Filters("layers"),
            "tune_filters: unknown way 'layers'; did you mean 'layer'? Known: none, layer, block",
        ),
        (
            lambda: Filters("layer", "("),
            "tune_filters: exceptions '(' is no regular expression "
            "(missing ), unterminated subpattern at position 0)",
        ),
        (lambda: Filters(multipliers=(0,)), "tune_filters: multipliers must be numbers above 0, got [0]"),
        (
            lambda: Knob.pruning("*", [1.0]),
            "knob *.pruning: got 1.0, a number from 0 up to below 1 is needed",
        ),
        (lambda: Knob.learning_rate([0.0]), "knob learning_rate: got 0.0, a number above 0 is needed"),
        (lambda: Knob.fold(["later"]), "knob fold: got 'later', one of now, train, apart is needed"),
        (
            lambda: Space((
                Knob.quantizer("relu1", "output", ["quantized_relu(4,2)"]),
                Knob("a", "relu1", "activation", ("ternary()", "relu")),
            )),
            "the knobs relu1.output and a turn the same thing; remove one",
        ),
        (
            lambda: Space((
                Knob.quantizer("fc1", "weight", BITS, also=("fc2",)), Knob.quantizer("fc2", "weight", BITS),
            )),
            "the knobs fc1.weight and fc2.weight turn the same thing; remove one",
        ),
    ],
)  # fmt: skip
def test_slips_are_named(make: object, sentence: str) -> None:
    with pytest.raises(SearchError) as caught:
        make()  # type: ignore[operator]
    assert str(caught.value) == sentence


def test_one_choice_for_several_layers_is_plain_data() -> None:
    knob = Knob("all.units", "fc1", "units", ((32, 16), (64, 32)), ("fc2",))
    assert knob.to_dict() == {
        "name": "all.units",
        "layer": "fc1",
        "slot": "units",
        "options": [[32, 16], [64, 32]],
        "also": ["fc2"],
    }
    assert Space((knob,), Scheme()).scheme({"all.units": 1}).units == {"fc1": 64, "fc2": 32}
