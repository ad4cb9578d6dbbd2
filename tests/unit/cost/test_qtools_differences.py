"""Each row of docs/qtools-differences.md."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from cost_networks import RELU, SIX, SIXTEEN, dense
from qtools_golden import Run, runs

from torchq.cost import PROCESSES, Energy, estimate
from torchq.cost.operators import accumulator, multiplier, operand
from torchq.formats import Binary, FixedPoint, Float, Overflow, PowerOfTwo, Rounding, Ternary
from torchq.workload import ParamSpec, TensorSpec, Workload

RUNS = {run.name: run for run in runs()}
SUM = FixedPoint(26, 12, True, Rounding.TRN, Overflow.WRAP)


def cnn() -> Run:
    return RUNS["CNN/0"]


def test_totals_are_not_cut() -> None:
    total = Energy().price([dense(SIX, SIXTEEN)]).total["energy_pj"]
    assert total != int(total)


def test_an_output_quantizer_in_the_layer_costs_what_one_behind_it_costs() -> None:
    inside = dense(SIX, SIXTEEN, SIX, made=RELU, accumulator=SUM)
    bare = dense(SIX, SIXTEEN, SIX, made=SUM, accumulator=SUM)
    behind = Workload("q", "quantize", (bare.output,), TensorSpec("q", (4,), RELU))
    one, two = Energy().price([inside]), Energy().price([bare, behind])
    assert one.total["energy_pj"] == pytest.approx(two.total["energy_pj"])
    assert two.layers[1]["energy_pj"] > 0


def test_a_relu_that_only_drops_the_sign_is_free() -> None:
    bare = dense(SIX, SIXTEEN, SIX, made=SUM, accumulator=SUM)
    dropped = FixedPoint(25, 11, False, Rounding.TRN, Overflow.WRAP)
    relu = Workload("r", "relu", (bare.output,), TensorSpec("r", (4,), dropped))
    row = Energy().price([bare, relu]).layers[1]
    assert row["energy_pj"] == 0 < row["energy_pj_outputs"]


def test_wires_are_free_where_qtools_reads_them() -> None:
    recorded = cnn().energies[0]
    flatten = next(work for work in cnn().workloads if work.layer == "flatten")
    assert recorded["layers"]["flatten"]["total"] > 0
    assert estimate([flatten]).total["energy_pj_all"] == 0


def test_the_input_quantizer_has_a_row_without_energy() -> None:
    rows = Energy(rd_wr_on_io=True).price(RUNS["Q6/1"].workloads).layers
    assert set(rows[0].values()) == {0.0}
    assert rows[1]["energy_pj_inputs"] > 5000


def test_a_softmax_is_added_on_request() -> None:
    works = RUNS["Q6/1"].workloads
    assert works[-1].kind == "softmax"
    logits = estimate(works[:-1])
    assert estimate(works[:-1], softmax=True).total["energy_pj"] == estimate(works).total["energy_pj"]
    assert estimate(works).total["energy_pj"] - logits.total["energy_pj"] == pytest.approx(11.41, abs=0.005)


def test_formats_per_element_are_priced_one_by_one() -> None:
    width = np.full((4, 16), 6)
    width[0] = 0
    pruned = estimate([dense(FixedPoint(width, 1), SIXTEEN)])
    full = estimate([dense(SIX, SIXTEEN)])
    share = pruned.total["energy_pj_op_cost"] / full.total["energy_pj_op_cost"]
    assert share == pytest.approx(3 / 4)
    assert pruned.total["bits"] == 3 / 4 * full.total["bits"]


def test_depthwise_kernels_are_counted_once() -> None:
    run = cnn()
    dw = next(work for work in run.workloads if work.layer == "dw1")
    assert dw.weight is not None
    assert dw.bias is not None
    assert (dw.weight.count, dw.weight.bits, dw.bias.count) == (72, 432, 1)  # the shapes that QTools recorded
    again, lost = (8 - 1) * dw.weight.bits, (8 - 1) * dw.bias.bits
    assert estimate(run.workloads).total["bits"] == run.bits - again - lost


def test_every_bias_of_a_depthwise_convolution_is_read() -> None:
    dw = next(work for work in cnn().workloads if work.layer == "dw1")
    whole = replace(dw, bias=ParamSpec("bias", (1000,), SIX))
    read = Energy().price([whole]).total["energy_pj_parameters"]
    word = PROCESSES.get("horowitz").sram(math.log2(8 * 16 * 1024 * 1024))
    assert read == pytest.approx((math.ceil(432 / 64) + math.ceil(6000 / 64)) * word)


def test_a_float_bias_makes_the_sum_a_float() -> None:
    m = multiplier(operand(FixedPoint(30, 1)), operand(FixedPoint(30, 1)))
    assert accumulator(m.product, 16, operand(Float(16))) == operand(Float(16))


# ---------------------------------------------------------------------- kept


def test_range_of_a_power_of_two_is_that_of_qtools() -> None:
    wide, narrow = PowerOfTwo(4, -8, 0), PowerOfTwo(4, -4, 0)
    sums = [
        accumulator(multiplier(operand(f), operand(FixedPoint(4, 1))).product, 1, None)
        for f in (wide, narrow)
    ]
    assert sums[0] == sums[1]
    exact = 4 + 8  # the shifts of the quantizer's real range
    assert exact - sums[0].bits == 4
    assert PROCESSES.get("horowitz").gate("add", 4) == pytest.approx(0.0125)


def test_ternary_and_binary_have_qtools_integer_bits() -> None:
    assert (operand(Ternary()).integer, operand(Binary()).integer) == (2, 1)


def test_alpha_does_not_change_a_price() -> None:
    for one, other in ((Ternary(), Ternary(0.25)), (Binary(), Binary(0.3))):
        assert Energy().price([dense(one, RELU, SIX)]) == Energy().price([dense(other, RELU, SIX)])


def test_a_signed_product_is_one_bit_narrower_than_its_operands() -> None:
    assert multiplier(operand(SIX), operand(SIXTEEN)).product.bits == 6 + 16 - 1


def test_fixed_activations_do_not_free_the_border() -> None:
    work = dense(SIX, SIXTEEN)
    price = Energy(activations_on_memory="fixed").price([work])
    assert price.total["energy_pj_inputs"] > 0 < price.total["energy_pj_outputs"]


def test_sram_has_a_minimum_that_the_default_keeps_away_from() -> None:
    word = PROCESSES.get("horowitz").sram
    assert word(14.6) < min(word(10), word(20))
    default = math.log2(Energy().min_sram_size)
    energies = [word(default + step) for step in range(20)]
    assert energies == sorted(energies)


def test_zeros_are_paid_for() -> None:
    work = dense(SIX, SIXTEEN)
    assert work.weight is not None
    sparse = replace(work, weight=replace(work.weight, zeros=60))
    assert Energy().price([sparse]) == Energy().price([work])


def test_the_papers_first_layer_is_one_bit_wider() -> None:
    bit = 1024 * PROCESSES.get("horowitz").gate("add", 1)
    assert [1732.22 + bit, 791.26 + bit] == pytest.approx([1735.42, 794.46])
