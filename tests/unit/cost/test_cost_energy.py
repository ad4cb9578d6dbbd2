"""Energy: parts, what counts, formats per element, settings and their errors."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from cost_networks import RELU, SIX, SIXTEEN, dense
from hypothesis import given
from hypothesis import strategies as st

from torchq.cost import Energy, estimate
from torchq.cost.energy import COUNTED
from torchq.errors import CostError, FormatError, UnknownNameError
from torchq.formats import Binary, FixedPoint, Float, Ternary
from torchq.workload import TensorSpec, Workload


def op_cost(work: Workload, **settings: Any) -> float:
    return Energy(**settings).price([work]).total["energy_pj_op_cost"]


def test_a_dense_layer_by_hand() -> None:
    one = 0.002994791667 * 36 + 0.001041666667 * 6 + 0.003125 * (6 + 6 + 4)
    assert op_cost(dense(SIX, RELU)) == pytest.approx(64 * one)


def test_floats_are_priced_as_floats() -> None:
    assert op_cost(dense(None, None)) == pytest.approx(64 * (3.7 + 0.9))
    assert op_cost(dense(Float(16), Float(16))) == pytest.approx(64 * (1.1 + 0.4))


def test_a_given_accumulator_prices_the_additions() -> None:
    change = op_cost(dense(SIX, RELU), accumulator="ap_fixed<48,20>") - op_cost(dense(SIX, RELU))
    assert change == pytest.approx(64 * 0.003125 * (48 - 16))


def test_the_total_is_the_sum_of_what_counts_and_all_the_sum_of_all() -> None:
    relu = Workload("r", "relu", (TensorSpec("fc", (4,), FixedPoint(26, 12)),), TensorSpec("r", (4,), RELU))
    price = Energy().price([dense(SIX, SIXTEEN, SIX), relu])
    fc, act = price.layers
    assert fc["energy_pj"] == fc["energy_pj_inputs"] + fc["energy_pj_parameters"] + fc["energy_pj_op_cost"]
    assert act["energy_pj"] == act["energy_pj_outputs"] > 0
    assert price.total["energy_pj"] == fc["energy_pj"] + act["energy_pj"]
    everything = sum(
        row[f"energy_pj_{p}"] for row in price.layers for p in ("inputs", "outputs", "parameters")
    )
    assert price.total["energy_pj_all"] == pytest.approx(everything + fc["energy_pj_op_cost"])


# ---------------------------------------------------------------------- formats per channel and element

widths = st.integers(1, 12)


@given(widths, widths, st.integers(-3, 5))
def test_the_same_format_for_every_element_costs_what_one_format_costs(w: int, x: int, integer: int) -> None:
    uniform = dense(FixedPoint(w, integer), FixedPoint(x, 2))
    each = dense(FixedPoint(np.full((4, 16), w), integer), FixedPoint(np.full(16, x), 2))
    assert op_cost(each) == pytest.approx(op_cost(uniform))
    assert estimate([each]).total["bits"] == estimate([uniform]).total["bits"]


def test_elements_are_priced_by_their_own_widths() -> None:
    width = np.full((4, 16), 6)
    width[:, 8:] = 2
    mixed = op_cost(dense(FixedPoint(width, 1), SIXTEEN), accumulator="ap_fixed<24,8>")
    wide = op_cost(dense(FixedPoint(6, 1), SIXTEEN), accumulator="ap_fixed<24,8>")
    narrow = op_cost(dense(FixedPoint(2, 1), SIXTEEN), accumulator="ap_fixed<24,8>")
    assert mixed == pytest.approx((wide + narrow) / 2)


def test_inputs_with_their_own_widths_meet_their_columns() -> None:
    width = np.full((4, 16), 6)
    width[:, 0] = 0
    x = np.full(16, 4)
    x[0] = 12
    pruned = op_cost(dense(FixedPoint(width, 1), FixedPoint(x, 1)), accumulator="ap_fixed<24,8>")
    without = op_cost(dense(FixedPoint(6, 1), FixedPoint(4, 1)), accumulator="ap_fixed<24,8>")
    assert pruned == pytest.approx(without * 15 / 16)


def test_pruned_elements_cost_nothing() -> None:
    width = np.zeros((4, 16), dtype=int)
    assert op_cost(dense(FixedPoint(width, 1), SIXTEEN)) == 0
    assert op_cost(dense(FixedPoint(0, 0), SIXTEEN)) == 0
    assert estimate([dense(FixedPoint(width, 1), SIXTEEN)]).total["bits"] == 0
    width[0, 0] = 6
    one = op_cost(dense(FixedPoint(width, 1), SIXTEEN))
    assert one == pytest.approx(op_cost(dense(SIX, SIXTEEN)) / 64)


def test_a_convolution_reuses_each_weight() -> None:
    each = np.full((4, 16), 6)
    conv = replace(dense(FixedPoint(each, 1), SIXTEEN), kind="conv2d", macs=640)
    uniform = replace(dense(SIX, SIXTEEN), kind="conv2d", macs=640)
    assert (
        op_cost(conv) == pytest.approx(op_cost(uniform)) == pytest.approx(10 * op_cost(dense(SIX, SIXTEEN)))
    )


# ---------------------------------------------------------------------- what a search relies on


@given(st.integers(2, 15), st.integers(2, 15), st.integers(1, 200))
def test_a_wider_weight_never_costs_less(w: int, x: int, inputs: int) -> None:
    def total(width: int) -> float:
        work = dense(FixedPoint(width, 1), FixedPoint(x, 1), SIX, inputs=inputs)
        return Energy().price([work]).total["energy_pj"]

    assert total(w) <= total(w + 1)


def test_ternary_costs_less_than_two_bits_and_binary_less_than_ternary() -> None:
    costs = [op_cost(dense(w, RELU)) for w in (FixedPoint(8, 1), Ternary(), Binary())]
    assert costs == sorted(costs, reverse=True)


# ---------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        (
            {"process": "horowits"},
            UnknownNameError,
            "unknown process 'horowits'; did you mean 'horowitz'? Known: horowitz",
        ),
        (
            {"weights_on_memory": "ram"},
            UnknownNameError,
            "weights_on_memory: unknown memory 'ram'; did you mean 'sram'? Known: dram, fixed, sram",
        ),
        (
            {"activations_on_memory": "flash"},
            UnknownNameError,
            "activations_on_memory: unknown memory 'flash'; Known: dram, fixed, sram",
        ),
        ({"min_sram_size": -1}, CostError, "min_sram_size must be at least 0, got -1"),
        ({"min_sram_size": 1e6}, CostError, "min_sram_size must be a whole number of bits, got 1000000.0"),
        ({"min_sram_size": True}, CostError, "min_sram_size must be a whole number of bits, got True"),
        ({"rd_wr_on_io": "no"}, CostError, "rd_wr_on_io must be true or false, got 'no'"),
        ({"process": 45}, CostError, "process must be a name, got 45"),
        (
            {"accumulator": "32"},
            FormatError,
            "'32' is no number format; write ap_fixed<W,I,RND_CONV,SAT>",
        ),
    ],
)
def test_settings_are_checked(settings: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as fault:
        estimate([dense(SIX, RELU)], **settings)
    assert str(fault.value) == message


def test_a_layer_without_a_rule_is_refused() -> None:
    with pytest.raises(CostError) as fault:
        estimate([replace(dense(SIX, RELU), kind="octave")])
    known = ", ".join(sorted(COUNTED))
    assert str(fault.value) == f"fc: energy_pj has no rule for layers of kind 'octave'; Known: {known}"
    assert {"conv2d", "linear", "relu", "softmax"} < set(COUNTED)
