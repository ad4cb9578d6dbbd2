"""A scheme is a value: canonical, comparable, with the most specific pattern winning."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchq.errors import SchemeError
from torchq.formats import FixedPoint
from torchq.quantizers import make, parse
from torchq.scheme import SLOTS, Scheme

SIX, FOUR, TWO = (str(parse(f"quantized_bits({n},0,alpha=1)")) for n in (6, 4, 2))


def test_the_name_wins_over_globs_and_the_longer_glob_over_the_shorter() -> None:
    scheme = Scheme({"*": {"weight": SIX, "bias": SIX}, "fc*": {"weight": FOUR}, "fc1": {"weight": TWO}})
    assert scheme.slot("fc1", "weight") == TWO
    assert scheme.slot("fc2", "weight") == FOUR
    assert scheme.slot("output", "weight") == SIX
    assert scheme.pattern("fc2", "weight") == "fc*"


def test_each_slot_finds_its_own_pattern() -> None:
    scheme = Scheme({"*": {"bias": SIX}, "fc1": {"weight": TWO}})
    assert scheme.slot("fc1", "bias") == SIX
    assert scheme.slot("fc1", "output") is None
    assert Scheme().slot("fc1", "weight") is None


def test_order_does_not_matter() -> None:
    one = Scheme({"*": {"weight": SIX}, "fc1": {"weight": TWO}})
    other = Scheme({"fc1": {"weight": TWO}, "*": {"weight": SIX}})
    assert one == other
    assert hash(one) == hash(other)
    assert json.dumps(one.to_dict()) == json.dumps(other.to_dict())


def test_equally_specific_globs_must_agree() -> None:
    scheme = Scheme({"fc*": {"weight": SIX}, "*1a": {"weight": FOUR}, "f*1*": {"bias": SIX}})
    with pytest.raises(SchemeError) as caught:
        Scheme({"fc*": {"weight": SIX}, "*c1": {"weight": FOUR}}).slot("fc1", "weight")
    assert str(caught.value) == (
        "fc1.weight: '*c1' and 'fc*' are equally specific and disagree; give 'fc1' its own entry"
    )
    assert scheme.slot("fc1", "weight") == SIX
    assert Scheme({"fc*": {"weight": SIX}, "*c1": {"weight": SIX}}).slot("fc1", "weight") == SIX


def test_texts_are_canonical_whatever_they_were_written_as() -> None:
    texts = ["quantized_bits(6, 0, alpha=1)", "quantized_bits(bits=6,integer=0,alpha=1.0)", parse(SIX)]
    assert len({Scheme({"fc1": {"weight": text}}) for text in texts}) == 1  # type: ignore[dict-item]
    from_format = Scheme({"fc1": {"weight": FixedPoint(6, 1)}})  # type: ignore[dict-item]
    assert from_format.slot("fc1", "weight") == str(make(FixedPoint(6, 1)))
    assert Scheme(input="quantized_bits(16,6, alpha=1)").input == "quantized_bits(16,6,alpha=1.0)"


def test_changed_copies_leave_the_original() -> None:
    scheme = Scheme.uniform(weight=SIX, bias=FOUR, output="quantized_relu(6)", input=SIX)
    changed = scheme.with_slot("fc1", "weight", TWO).with_units("fc1", 8).with_input(FOUR)
    assert scheme.to_dict() == {
        "layers": {"*": {"weight": SIX, "bias": FOUR, "output": "quantized_relu(6,0)"}},
        "input": SIX,
        "units": {},
    }
    assert changed.slot("fc1", "weight") == TWO
    assert changed.slot("fc1", "bias") == FOUR
    assert (changed.units["fc1"], changed.input) == (8, FOUR)
    assert changed.with_slot("fc1", "bias", TWO).slot("fc1", "weight") == TWO
    assert changed.with_input(None).input is None


def test_it_cannot_be_changed() -> None:
    scheme = Scheme({"fc1": {"weight": SIX}}, units={"fc1": 3})
    with pytest.raises(TypeError):
        scheme.layers["fc2"] = {}  # type: ignore[index]
    with pytest.raises(TypeError):
        scheme.layers["fc1"]["weight"] = FOUR  # type: ignore[index]
    with pytest.raises(TypeError):
        scheme.units["fc1"] = 4  # type: ignore[index]
    assert copy.deepcopy(scheme) is scheme
    assert copy.copy(scheme) == scheme


def test_it_shows_itself() -> None:
    assert repr(Scheme(units={"fc1": 3})) == "Scheme({}, input=None, units={'fc1': 3})"


def test_unused_patterns() -> None:
    scheme = Scheme({"fc*": {"weight": SIX}, "conv*": {"weight": SIX}, "bn": {}}, units={"fc9": 3, "fc1": 2})
    assert scheme.unused(["fc1", "relu1"]) == ("conv*", "bn", "fc9")
    assert Scheme({"*": {}}).unused(["a"]) == ()


names = st.sampled_from(["*", "fc1", "fc2", "block.fc*", "relu?"])
texts = st.sampled_from([SIX, FOUR, TWO, "quantized_relu(6,0)"])
schemes = st.builds(
    Scheme,
    st.dictionaries(names, st.dictionaries(st.sampled_from(SLOTS), texts)),
    st.none() | texts,
    st.dictionaries(names, st.integers(1, 100)),
)


@given(schemes)
def test_it_survives_json(scheme: Scheme) -> None:
    again = Scheme.from_dict(json.loads(json.dumps(scheme.to_dict())))
    assert again == scheme
    assert again.to_dict() == scheme.to_dict()
    assert hash(again) == hash(scheme)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (
            {"layers": {"fc1": {"wieght": SIX}}},
            f"fc1: unknown slot 'wieght'; did you mean 'weight'? Known: {', '.join(SLOTS)}",
        ),
        (
            {"layers": {"fc1": SIX}},
            f"fc1: got {SIX!r}, a mapping from slot to quantizer is needed; "
            "write {'weight': 'quantized_bits(6,0)'}",
        ),
        (
            {"layers": {"fc1": {"weight": 6}}},
            "fc1.weight: got 6, a quantizer is needed; write it as text: 'quantized_bits(6,0)'",
        ),
        ({"units": {"fc1": 0}}, "units of fc1 must be a whole number of at least 1, got 0"),
        ({"units": {"fc1": True}}, "units of fc1 must be a whole number of at least 1, got True"),
        ({"units": {"fc1": 2.5}}, "units of fc1 must be a whole number of at least 1, got 2.5"),
        ({"layer": {}}, "a scheme has no part 'layer'; did you mean 'layers'? Known: layers, input, units"),
        ({"layers": []}, "layers must be a mapping, got []"),
        ([], "a scheme must be a mapping, got []"),
    ],
)
def test_slips_are_named(data: Any, sentence: str) -> None:
    with pytest.raises(SchemeError) as caught:
        Scheme.from_dict(data)
    assert str(caught.value) == sentence


def test_a_wrong_quantizer_names_layer_and_slot() -> None:
    with pytest.raises(SchemeError, match=r"^fc1\.bias: .*'quantized_bit'.*did you mean 'quantized_bits'\?"):
        Scheme({"fc1": {"bias": "quantized_bit(6,0)"}})
    with pytest.raises(SchemeError, match=r"^input: .*"):
        Scheme(input="quantized_bits(0)")


FOUR, FIVE, TEN = (f"quantized_bits({bits},0,alpha=1.0)" for bits in (4, 5, 10))


def test_entries_merge_from_general_to_specific() -> None:
    scheme = Scheme(
        {
            "*": {"weight": FOUR, "bias": FOUR, "output": FOUR},
            "class:Linear": {"weight": FIVE, "bias": FIVE},
            "re:^fc[0-9]$": {"weight": SIX},
            "fc2": {"output": TEN},
        }
    )
    classes = ("QLinear", "Linear")

    def slots(name: str, classes: tuple[str, ...]) -> list[str | None]:
        return [scheme.slot(name, slot, classes) for slot in ("weight", "bias", "output")]

    assert slots("fc1", classes) == [SIX, FIVE, FOUR]
    assert slots("fc2", classes) == [SIX, FIVE, TEN]
    assert slots("head", classes) == [FIVE, FIVE, FOUR]
    assert slots("conv", ("QConv2d", "Conv2d")) == [FOUR, FOUR, FOUR]
    assert [scheme.pattern("fc2", slot, classes) for slot in ("weight", "bias", "output", "state")] == [
        "re:^fc[0-9]$",
        "class:Linear",
        "fc2",
        None,
    ]


def test_the_nearest_class_wins() -> None:
    scheme = Scheme({"class:Linear": {"weight": FOUR}, "class:QLinear": {"weight": FIVE}})
    assert scheme.slot("fc", "weight", ("QLinearBatchNorm1d", "QLinear", "Linear")) == FIVE
    assert scheme.slot("fc", "weight", ("Linear",)) == FOUR
    assert scheme.slot("fc", "weight") is None


@pytest.mark.parametrize(
    ("special", "general"),
    [
        ("re:^fc[0-9]$", "f*"),
        ("fc[0-9]", "re:^f"),
        ("re:block1", "re:block"),
        ("re:^a\\d+bc{2}$", "re:ab"),
        ("fc*", "re:.*"),
    ],
)
def test_globs_and_expressions_by_their_literal_characters(special: str, general: str) -> None:
    scheme = Scheme({special: {"weight": FOUR}, general: {"weight": FIVE}})
    name = {"re:block1": "block12", "re:^a\\d+bc{2}$": "a1bcc"}.get(special, "fc1")
    assert scheme.slot(name, "weight") == FOUR


def test_a_faulty_expression() -> None:
    with pytest.raises(SchemeError) as caught:
        Scheme({"re:fc[": {"weight": SIX}})
    assert str(caught.value) == "'re:fc[' is no regular expression: unterminated character set at position 2"


def test_unused_expressions_and_classes() -> None:
    scheme = Scheme({"re:^fc": {"weight": SIX}, "re:^bn": {"weight": SIX}, "class:A": {}, "class:B": {}})
    assert scheme.unused(["fc1"], ["A"]) == ("re:^bn", "class:B")


def test_as_text() -> None:
    scheme = Scheme({"re:^fc": {"weight": SIX}, "class:Conv2d": {"output": FOUR}}, TEN, {"fc1": 3})
    assert Scheme.from_text(scheme.to_text()) == scheme
    with pytest.raises(SchemeError) as caught:
        Scheme.from_text("{")
    assert str(caught.value).startswith("a scheme must be JSON: Expecting property name")
