"""When and how much: TensorFlow's schedules, number by number."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchq.errors import TrainError
from torchq.prune import ConstantSparsity, PolynomialDecay


def test_polynomial_as_in_tfmot() -> None:
    """(initial - final) * (1 - (step - begin) / (end - begin)) ** 3 + final."""
    schedule = PolynomialDecay(0.5, 0.75, begin=2000, end=12000)
    assert schedule.at(2000) == 0.5
    assert schedule.at(4500) == pytest.approx(0.75 - 0.25 * 0.75**3)
    assert schedule.at(12000) == 0.75
    assert (schedule.power, schedule.frequency) == (3.0, 100)


@given(st.integers(0, 50), st.integers(1, 300), st.integers(1, 40), st.floats(0, 0.5), st.floats(0.5, 0.99))
def test_polynomial_grows_and_ends_at_final(
    begin: int, length: int, frequency: int, initial: float, final: float
) -> None:
    schedule = PolynomialDecay(initial, final, begin, begin + length, frequency=frequency)
    steps = [step for step in range(begin + length + 100) if schedule.due(step)]
    values = [schedule.at(step) for step in steps]
    assert steps[0] == begin
    assert steps[-1] == begin + length
    assert values == sorted(values)
    assert values[-1] == final


def test_constant_every_so_many_steps() -> None:
    schedule = ConstantSparsity(0.75, begin=20, frequency=10)
    assert [step for step in range(60) if schedule.due(step)] == [20, 30, 40, 50]
    assert [step for step in range(60) if ConstantSparsity(0.5, 3, 7, 3).due(step)] == [3, 6, 7]
    assert schedule.final == schedule.at(33) == 0.75


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ConstantSparsity(1.0), "ConstantSparsity: sparsity must be from 0 to below 1, got 1"),
        (lambda: ConstantSparsity(0.5, -1), "ConstantSparsity: begin must be at least 0, got -1"),
        (lambda: ConstantSparsity(0.5, 4, 3), "ConstantSparsity: end must not be before begin, got 3 and 4"),
        (
            lambda: ConstantSparsity(0.5, frequency=0),
            "ConstantSparsity: frequency must be at least 1, got 0",
        ),
        (
            lambda: PolynomialDecay(0.5, 0.25, 0, 9),
            "PolynomialDecay: initial must be at most final, got 0.5 and 0.25; "
            "pruned weights do not come back",
        ),
        (lambda: PolynomialDecay(0, 0.5, 9, 9), "PolynomialDecay: end must be after begin, got 9 and 9"),
        (
            lambda: PolynomialDecay(0, 0.5, 0, 9, power=0),
            "PolynomialDecay: power must be greater than 0, got 0",
        ),
        (
            lambda: PolynomialDecay(0, -0.5, 0, 9),
            "PolynomialDecay: final must be from 0 to below 1, got -0.5",
        ),
    ],
)
def test_numbers_out_of_range(make: Any, message: str) -> None:
    with pytest.raises(TrainError) as fault:
        make()
    assert str(fault.value) == message
