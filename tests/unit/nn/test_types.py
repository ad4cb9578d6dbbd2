"""Products and sums of every pair of formats: QTools' widths, and nothing ever falls out of them."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchq.formats import Binary, FixedPoint, Float, Format, PowerOfTwo, Ternary
from torchq.nn.types import fixed, holding, multiplied, summed_products, with_bias

FORMATS: list[Format] = [
    FixedPoint(4, 1),
    FixedPoint(4, 1, overflow="SAT_SYM"),  # type: ignore[arg-type]
    FixedPoint(3, 5),
    FixedPoint(4, -2, signed=False),
    FixedPoint(1, 1, signed=False),
    Ternary(),
    Ternary(0.25),
    Binary(),
    Binary(2.0, use_01=True),
    PowerOfTwo(4, -4, 3),
    PowerOfTwo(3, -2, 0, signed=False),
]

every_pair = pytest.mark.parametrize("a", FORMATS, ids=str)


def values(f: Format) -> npt.NDArray[np.float64]:
    if isinstance(f, Ternary):
        return np.array([-f.scale, 0.0, f.scale])
    if isinstance(f, Binary):
        return np.array([0.0 if f.use_01 else -f.scale, f.scale])
    if isinstance(f, PowerOfTwo):
        powers = np.exp2(np.arange(f.exponent_min, f.exponent_max + 1.0))
        return np.concatenate([-powers, powers]) if f.signed else powers
    assert isinstance(f, FixedPoint)
    return np.arange(f.code_min, f.code_max + 1) * f.lsb


@every_pair
def test_every_product_fits_but_that_of_the_two_lowest(a: Format) -> None:
    for b in FORMATS:
        f = multiplied(a, b)
        assert f is not None
        products = np.multiply.outer(values(a), values(b))
        lowest = (values(a).min() < 0) and (values(b).min() < 0)
        inside = f.holds(products)
        assert inside[products != values(a).min() * values(b).min()].all() if lowest else inside.all()
        assert f == multiplied(b, a)


@every_pair
def test_every_sum_fits_into_the_edge(a: Format) -> None:
    for b in FORMATS:
        products = np.multiply.outer(values(a), values(b))
        for terms in (1, 2, 3, 4, 7, 8, 9):
            f = holding(summed_products(multiplied(a, b), terms), a, b, terms)
            assert f is not None
            assert f.holds(terms * products.min())
            assert f.holds(terms * products.max())
            assert np.all(f.holds(products))


@every_pair
def test_every_sum_with_bias_fits(a: Format) -> None:
    for b in FORMATS:
        for terms, bias in itertools.product((1, 4, 5), FORMATS):
            f = with_bias(summed_products(multiplied(a, b), terms), bias)
            assert f is not None
            products = np.multiply.outer(values(a), values(b))
            for end, other in ((products.min(), values(bias).min()), (products.max(), values(bias).max())):
                assert f.holds(terms * end + other)


@given(st.integers(2, 12), st.integers(2, 12), st.integers(1, 300))
def test_the_edge_is_at_most_one_bit_wider_than_qtools(a: int, b: int, terms: int) -> None:
    x, w = FixedPoint(a, 1), FixedPoint(b, 1)
    total = summed_products(multiplied(w, x), terms)
    edge = holding(total, w, x, terms)
    assert total is not None
    assert edge is not None
    assert edge.width - total.width == (terms & (terms - 1) == 0)


def test_what_stands_on_no_grid_has_no_type() -> None:
    for odd in (Float(32), Ternary(0.3), None):
        assert fixed(odd) is None
        assert multiplied(odd, FixedPoint(6, 1)) is None
        assert multiplied(FixedPoint(6, 1), odd) is None
        assert with_bias(FixedPoint(12, 4), odd) is None
    assert summed_products(None, 4) is None
    assert with_bias(None, FixedPoint(6, 1)) is None
    assert holding(None, None, None, 4) is None


def test_formats_per_element_count_with_their_widest() -> None:
    mixed = FixedPoint(np.array([2, 6]), np.array([1, 1]))
    assert fixed(mixed) == FixedPoint(6, 1)
    assert multiplied(mixed, FixedPoint(4, 2)) == multiplied(FixedPoint(6, 1), FixedPoint(4, 2))


# ---------------------------------------------------------------------- recorded from QTools

GOLDEN = Path(__file__).parents[2] / "golden" / "qtools"


def recorded() -> list[tuple[str, dict[str, Any]]]:
    found = []
    for file in ("Q6", "BF14"):
        for run, data in enumerate(json.loads((GOLDEN / f"{file}.json").read_text())["runs"]):
            if data["args"]["for_reference"]:
                continue  # types are forced there
            for layer, types in data["data_type_map"].items():
                if isinstance(types, dict) and types.get("layer_type") == "QDense":
                    found.append((f"{file}-{run}-{layer}", types))
    return found


def from_qtools(entry: dict[str, Any]) -> FixedPoint | None:
    if entry["quantizer_type"] == "floating_point":
        return None
    signed = bool(entry["is_signed"])
    return FixedPoint(entry["bits"], entry["int_bits"], signed)


@pytest.mark.parametrize(("name", "types"), recorded(), ids=lambda v: v if isinstance(v, str) else "")
def test_widths_are_those_of_qtools(name: str, types: dict[str, Any]) -> None:
    source = from_qtools(types["input_quantizer_list"][0])
    weight, bias = from_qtools(types["weight_quantizer"]), from_qtools(types["bias_quantizer"])
    if source is None or weight is None or bias is None:
        assert types["multiplier"]["quantizer_type"] == "floating_point"
        return
    term = multiplied(weight, source)
    total = with_bias(summed_products(term, types["weight_quantizer"]["shape"][0]), bias)
    assert term is not None
    assert total is not None
    for ours, theirs in ((term, types["multiplier"]), (total, types["accumulator"])):
        assert (ours.width, ours.integer) == (theirs["bits"], theirs["int_bits"])


def test_something_is_recorded() -> None:
    assert len(recorded()) >= 8
