"""QTools' gates for every pair of number kinds, and its accumulators."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchq.cost.operators import Operand, Sort, accumulator, multiplier, operand
from torchq.formats import (
    Binary,
    FixedPoint,
    Float,
    Format,
    PowerOfTwo,
    Ternary,
    accumulated,
    product,
    summed,
)

FORMATS: dict[str, Format] = {
    "fixed": FixedPoint(6, 2),
    "po2": PowerOfTwo(4, -4, 3),
    "ternary": Ternary(),
    "binary": Binary(),
    "binary01": Binary(use_01=True),
    "float": Float(32),
}
KINDS = list(FORMATS)
# rows: weight, columns: input, in the order of FORMATS
GATES = {
    "fixed": "mul shifter mux mux and mul",
    "po2": "shifter add mux mux and mul",
    "ternary": "mux mux mux mux and mul",
    "binary": "mux mux mux xor and mul",
    "binary01": "and and and and and mul",
    "float": "mul mul mul mul mul mul",
}
PRODUCTS = {
    "fixed": "fixed fixed fixed fixed fixed float",
    "po2": "fixed po2 po2 po2 po2 float",
    "ternary": "fixed po2 ternary ternary ternary float",
    "binary": "fixed po2 ternary binary ternary float",
    "binary01": "fixed po2 ternary ternary binary01 float",
    "float": "float float float float float float",
}
SORTS = dict(zip(KINDS, Sort, strict=False)) | {
    "po2": Sort.POWER_OF_TWO,
    "binary": Sort.BINARY,
    "binary01": Sort.BINARY_01,
    "float": Sort.FLOAT,
}


@pytest.mark.parametrize("weight", KINDS)
@pytest.mark.parametrize("x", KINDS)
def test_the_table_of_multipliers(weight: str, x: str) -> None:
    column = KINDS.index(x)
    found = multiplier(operand(FORMATS[weight]), operand(FORMATS[x]))
    assert found.gate == GATES[weight].split()[column]
    assert found.product.sort is SORTS[PRODUCTS[weight].split()[column]]


@pytest.mark.parametrize(
    ("weight", "x", "factor", "bits"),
    [
        (FixedPoint(6, 1), FixedPoint(24, 7), 1.0, 12.0),
        (Ternary(), FixedPoint(6, 1), 0.6, 6),
        (FixedPoint(6, 1), Ternary(), 0.6, 6),
        (Binary(), FixedPoint(6, 1), 0.3, 6),
        (FixedPoint(5, 1), Binary(), 0.3, 5),
        (Binary(), Binary(), 0.3, 1),
        (Binary(use_01=True), FixedPoint(6, 1), 0.1, 6),
        (FixedPoint(6, 1), FixedPoint(1, 1, signed=False), 0.1, 6),
        (Binary(use_01=True), Ternary(), 0.1, 2),
        (PowerOfTwo(4, -8, 0), PowerOfTwo(4, -8, 2, signed=False), 1.0, 5),
        (PowerOfTwo(4, -8, 0), FixedPoint(4, 1), 1.0, 8 * math.log10(8)),
        (FixedPoint(4, 1), PowerOfTwo(4, -8, 0), 1.0, 8 * math.log10(8)),
        (Float(16), FixedPoint(30, 1), 1.0, 16),
        (None, Float(16), 1.0, 32),
    ],
)
def test_gate_factor_and_priced_bits(weight: Format | None, x: Format, factor: float, bits: float) -> None:
    found = multiplier(operand(weight), operand(x))
    assert found.factor == factor
    assert found.bits == pytest.approx(bits)


@pytest.mark.parametrize(
    ("weight", "x", "product"),
    [
        (FixedPoint(6, 1), FixedPoint(16, 7), FixedPoint(21, 7)),
        (FixedPoint(6, 1), FixedPoint(16, 6, signed=False), FixedPoint(22, 7)),
        (Ternary(), FixedPoint(4, 2, signed=False), FixedPoint(5, 3)),
        (Ternary(), FixedPoint(8, 1), FixedPoint(8, 1)),
        (PowerOfTwo(3, -2, 1), FixedPoint(5, 1), FixedPoint(8, 2)),
        (PowerOfTwo(3, -2, 1), FixedPoint(5, 1, signed=False), FixedPoint(9, 3)),
    ],
)
def test_type_of_a_product(weight: Format, x: Format, product: FixedPoint) -> None:
    assert multiplier(operand(weight), operand(x)).product == operand(product)
    assert multiplier(operand(x), operand(weight)).product == operand(product)


def test_a_format_without_a_quantizer_is_a_float() -> None:
    assert operand(None) == Operand(Sort.FLOAT, 32, -1, True)


def test_the_widest_of_formats_per_element_counts() -> None:
    assert operand(FixedPoint(np.array([2, 6, 0]), np.array([1, 3, 0]))) == operand(FixedPoint(6, 3))


@pytest.mark.parametrize(
    ("product", "terms", "bias", "bits", "integer"),
    [
        (FixedPoint(22, 7), 16, FixedPoint(6, 1), 27, 11),
        (FixedPoint(12, 1), 64, FixedPoint(6, 1), 19, 7),
        (FixedPoint(19, 7), 16, None, 23, 10),
        (FixedPoint(5, 3), 1, None, 5, 2),
        (FixedPoint(5, 3), 5, FixedPoint(8, 8), 11, 8),
    ],
)
def test_accumulator(
    product: FixedPoint, terms: int, bias: FixedPoint | None, bits: int, integer: int
) -> None:
    found = accumulator(operand(product), terms, None if bias is None else operand(bias))
    assert (found.bits, found.integer) == (bits, integer)


def test_accumulator_of_floats_is_a_float() -> None:
    single, half = operand(Float(32)), operand(Float(16))
    assert accumulator(half, 16, operand(FixedPoint(6, 1))) == half
    assert accumulator(operand(FixedPoint(6, 1)), 16, single) == single


fixed_points = st.builds(FixedPoint, st.integers(1, 24), st.integers(-4, 12), st.booleans())
formats = st.one_of(
    fixed_points,
    st.sampled_from([Ternary(), Binary(), Binary(use_01=True), Float(16), Float(32)]),
    st.integers(2, 6).flatmap(
        lambda w: st.builds(
            PowerOfTwo, st.just(w), st.just(-(2**w)), st.integers(-3, 2 ** (w - 1)), st.booleans()
        )
    ),
)


@given(formats, formats)
def test_gates_do_not_care_which_operand_is_the_weight(a: Format, b: Format) -> None:
    left, right = multiplier(operand(a), operand(b)), multiplier(operand(b), operand(a))
    assert (left.gate, left.product.sort) == (right.gate, right.product.sort)
    if left.gate != "mux":  # a multiplexer of a binary and a ternary: QTools lets the weight select
        assert (left.factor, left.bits, left.product) == (right.factor, right.bits, right.product)


@given(fixed_points, fixed_points, st.integers(1, 2000), fixed_points)
def test_fixed_accumulators_hold_what_exact_arithmetic_holds(
    a: FixedPoint, b: FixedPoint, terms: int, bias: FixedPoint
) -> None:
    if FixedPoint(1, 1, signed=False) in (a, b):
        return
    exact = summed(accumulated(product(a, b), terms), bias)
    assert accumulator(multiplier(operand(a), operand(b)).product, terms, operand(bias)) == operand(exact)
