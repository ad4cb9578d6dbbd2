"""Where tensors stand and what that costs."""

from __future__ import annotations

import math

import pytest

from torchq.cost import PROCESSES
from torchq.cost.memory import MEMORIES, Memory
from torchq.errors import CostError

HOROWITZ = PROCESSES.get("horowitz")
MEGABIT = 2**20


def memory(weights: str = "sram", activations: str = "sram", size: int = 0, io: bool = False) -> Memory:
    return Memory(HOROWITZ, weights, activations, size, io)


def polynomial(x: float) -> float:
    return 9.02427321e-04 * x**3 - 2.68847858e-02 * x**2 + 2.08900804e-01 * x


def test_sram_is_paid_by_the_word_and_by_the_size_of_the_memory() -> None:
    assert memory().parameter(64) == pytest.approx(polynomial(6))
    assert memory().parameter(65) == pytest.approx(2 * polynomial(math.log2(65)))
    assert memory(size=MEGABIT).parameter(65) == pytest.approx(2 * polynomial(20))
    assert memory(size=64).parameter(MEGABIT) == pytest.approx(MEGABIT / 64 * polynomial(20))


def test_dram_is_paid_by_the_bit_and_with_io_its_copy_too() -> None:
    assert memory("dram").parameter(100) == 2031.25
    copied = memory("dram", io=True, size=MEGABIT).parameter(100)
    assert copied == pytest.approx(2031.25 + 2 * polynomial(20))


@pytest.mark.parametrize("io", [False, True])
def test_fixed_is_free(io: bool) -> None:
    assert memory("fixed", "fixed", io=io).parameter(10**6) == 0
    assert memory("fixed", "fixed", io=io).tensor(10**6, at_border=False) == 0


@pytest.mark.parametrize("activations", ["sram", "dram", "fixed"])
def test_the_border_stands_in_sram_or_dram_whatever_the_activations(activations: str) -> None:
    assert memory(activations=activations).tensor(64, at_border=True) == pytest.approx(polynomial(6))
    io = memory(activations=activations, io=True)
    assert io.tensor(64, at_border=True) == pytest.approx(1300 + polynomial(6))


@pytest.mark.parametrize("name", list(MEMORIES))
def test_nothing_costs_nothing(name: str) -> None:
    assert MEMORIES.get(name)(HOROWITZ, 0, 0, True) == 0


def test_gates_and_floats_of_45_nm() -> None:
    assert HOROWITZ.gate("add", 32) == pytest.approx(0.1)
    assert HOROWITZ.gate("mux", 32) == pytest.approx(0.1)
    assert HOROWITZ.gate("mul", 32) == pytest.approx(3.1, abs=1e-4)
    assert HOROWITZ.gate("mul", 8) == pytest.approx(0.2, abs=1e-4)
    assert [HOROWITZ.floating("mul", 16), HOROWITZ.floating("add", 32)] == [1.1, 0.9]


def test_a_float_without_a_figure_is_refused() -> None:
    with pytest.raises(CostError) as fault:
        HOROWITZ.floating("mul", 64)
    assert str(fault.value) == (
        "process horowitz has no energy for 64-bit floats (it has 16, 32); "
        "put quantizers on the layer, or add the figure to the process"
    )
