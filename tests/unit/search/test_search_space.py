"""Knobs and spaces: what points stand for, and which point is nearest."""

from __future__ import annotations

import itertools
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from torchq.scheme import Scheme
from torchq.search import Knob, Space

BITS = [f"quantized_bits({bits},0,alpha=1.0)" for bits in (2, 4, 6)]


def units(*sizes: int) -> Space:
    return Space(tuple(Knob.units(f"fc{i}", range(1, size + 1)) for i, size in enumerate(sizes)))


def test_quantizer_options_are_canonical_and_run_from_cheap_to_dear() -> None:
    knob = Knob.quantizer("fc1", "weight", ["quantized_bits(4, 0, alpha=1)", "ternary()", BITS[0]])
    assert knob.name == "fc1.weight"
    assert knob.options[0].startswith("ternary"), "equal widths keep the order they came in"
    assert knob.options[1:] == (BITS[0], BITS[1])


def test_a_point_becomes_a_scheme_on_top_of_the_base() -> None:
    base = Scheme({"*": {"weight": BITS[2], "bias": BITS[2]}}, input=BITS[2])
    knobs = (
        Knob.input(BITS),
        Knob.quantizer("fc1", "weight", BITS),
        Knob.quantizer("relu1", "output", ["quantized_relu(4,0)", "quantized_relu(3,0)"]),
        Knob.units("fc1", [64, 16]),
    )
    space = Space(knobs, base)
    assert space.cardinality == 3 * 3 * 2 * 2
    scheme = space.scheme({"input": 0, "fc1.weight": 1, "relu1.output": 0, "fc1.units": 1})
    assert scheme.input == BITS[0]
    assert scheme.slot("fc1", "weight") == BITS[1]
    assert scheme.slot("fc2", "weight") == BITS[2]
    assert scheme.slot("fc1", "bias") == BITS[2]
    assert scheme.slot("relu1", "output") == "quantized_relu(3,0)"
    assert dict(scheme.units) == {"fc1": 64}


def test_every_point_is_another_scheme() -> None:
    space = Space((Knob.quantizer("fc1", "weight", BITS), Knob.units("fc1", [16, 32]), Knob.input(BITS[:2])))
    points = itertools.product(*(range(len(knob.options)) for knob in space.knobs))
    names = [knob.name for knob in space.knobs]
    schemes = {space.scheme(dict(zip(names, point, strict=True))) for point in points}
    assert len(schemes) == space.cardinality == 12


def test_shares_walk_from_cheap_to_dear() -> None:
    space = units(3, 5)
    assert [tuple(space.at(share).values()) for share in (0.0, 0.5, 1.0)] == [(0, 0), (1, 2), (2, 4)]


def test_plain_data_tell_spaces_apart() -> None:
    assert units(3, 5).to_dict() == units(3, 5).to_dict()
    assert units(3, 5).to_dict() != units(3, 4).to_dict()
    assert units(2).to_dict() != Space(units(2).knobs, Scheme(input=BITS[0])).to_dict()


@st.composite
def crowded(draw: st.DrawFn) -> tuple[Space, dict[str, float], set[tuple[int, ...]]]:
    space = units(*draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)))
    position = {knob.name: draw(st.floats(-1, len(knob.options))) for knob in space.knobs}
    everything = list(itertools.product(*(range(len(knob.options)) for knob in space.knobs)))
    return space, position, set(draw(st.lists(st.sampled_from(everything))))


@settings(max_examples=200, deadline=None)
@given(crowded())
def test_nearest_free_point_as_by_trying_all(case: tuple[Space, dict[str, float], set[Any]]) -> None:
    space, position, taken = case
    place = [position[knob.name] for knob in space.knobs]
    reach = [max(len(knob.options) - 1, 1) for knob in space.knobs]

    def distance(key: tuple[int, ...]) -> float:
        return sum(((index - at) / r) ** 2 for index, at, r in zip(key, place, reach, strict=True))

    free = [
        key
        for key in itertools.product(*(range(len(knob.options)) for knob in space.knobs))
        if key not in taken
    ]
    found = space.nearest(position, taken)
    if not free:
        assert found is None
    else:
        assert found is not None
        assert space.key(found) in free
        assert abs(distance(space.key(found)) - min(map(distance, free))) < 1e-12


def test_nearest_in_a_space_too_large_to_try_all() -> None:
    space = units(*[8] * 12)
    position = {knob.name: 3.4 for knob in space.knobs}
    taken: set[tuple[int, ...]] = set()
    for _ in range(300):
        point = space.nearest(position, taken)
        assert point is not None
        taken.add(space.key(point))
    assert len(taken) == 300
    assert all(set(key) <= {3, 4, 2} for key in taken)
