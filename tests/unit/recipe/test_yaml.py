"""The strict YAML reader: values, lines, and the four traps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchq.errors import RecipeError
from torchq.recipe.yaml import dump_yaml, read_yaml, scalar


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("3E5", 3e5),
        (".5", 0.5),
        ("-4", -4),
        ("on", "on"),
        ("yes", "yes"),
        ("true", True),
        ("True", True),
        ("null", None),
        ("~", None),
        ("1_000", "1_000"),
        ("0x1F", "0x1F"),
        ("1:30", "1:30"),
        ("2026-11-22", "2026-11-22"),
        ("quantized_bits(4,0,alpha=1)", "quantized_bits(4,0,alpha=1)"),
    ],
)
def test_plain_scalars(text: str, value: object) -> None:
    found = scalar(text)
    assert found == value
    assert type(found) is type(value)


def test_quoted_numbers_stay_text() -> None:
    assert read_yaml("a: '1'\nb: \"true\"", "r.yaml").value == {"a": "1", "b": "true"}


def test_lines_of_keys_and_items() -> None:
    located = read_yaml("a:\n  b: 1\n  c:\n    - x\n    - y\n", "r.yaml")
    assert located.where(("a", "b")) == "r.yaml:2"
    assert located.where(("a", "c", 1)) == "r.yaml:5"
    assert located.where(("a", "missing")) == "r.yaml:1"


def test_all_repeated_keys_and_split_texts_are_shown_at_once() -> None:
    text = "a: 1\na: 2\nb: {weight: ap_fixed<6,1>}\nc: [quantized_bits(4,0), 3]\n"
    with pytest.raises(RecipeError) as caught:
        read_yaml(text, "r.yaml")
    assert str(caught.value).splitlines() == [
        "r.yaml:2: a: this key stands on line 1 already",
        "r.yaml:3: '1>' looks like a part of a text that YAML split at a comma; "
        'put the whole text in quotes, as in ["quantized_bits(4,0)"]',
        "r.yaml:4: 'quantized_bits(4' looks like a part of a text that YAML split at a comma; "
        'put the whole text in quotes, as in ["quantized_bits(4,0)"]',
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "a: !!python/object:os.system 1",
            "r.yaml:1: the tag tag:yaml.org,2002:python/object:os.system is not",
        ),
        ("a: !mine 1", "r.yaml:1: the tag !mine is not allowed; write plain values"),
        ("a: &x {b: 1}\nc:\n  <<: *x", "r.yaml:3: merge keys (<<) are not allowed; write the entries out"),
        ("a: [1\nb: 2", "r.yaml:2: this is no YAML"),
        ("? [a]\n: 1", "r.yaml:1: a key must be a text"),
        ("a: \x00", "r.yaml"),
    ],
)
def test_refused(text: str, sentence: str) -> None:
    with pytest.raises(RecipeError) as caught:
        read_yaml(text, "r.yaml")
    assert str(caught.value).startswith(sentence)


def test_a_document_that_unfolds_without_end_is_refused() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9)
    )
    with pytest.raises(RecipeError, match="holds more than 100000 values"):
        read_yaml(bomb, "r.yaml")


_leaf = (
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text("abc:#-{}[]<>(),'\" \n.", max_size=8)
)
_keys = st.text("abcdef", min_size=1, max_size=4)


@given(
    st.dictionaries(
        _keys, st.recursive(_leaf, lambda x: st.lists(x, max_size=3) | st.dictionaries(_keys, x, max_size=3))
    )
)
def test_dump_and_read_round_trip(value: dict[str, object]) -> None:
    assert read_yaml(dump_yaml(value), "r.yaml").value == value
