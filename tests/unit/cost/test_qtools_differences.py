"""Each row of docs/qtools-differences.md."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch
from cost_networks import RELU, SIX, SIXTEEN, dense
from qtools_golden import Run, runs
from torch import nn

from torchq.cost import PROCESSES, Energy, estimate, with_batch_norms, workloads_of
from torchq.cost.operators import accumulator, multiplier, operand
from torchq.errors import CostError
from torchq.formats import Binary, FixedPoint, Float, Overflow, PowerOfTwo, Rounding, Ternary
from torchq.nn import (
    QGRU,
    QLSTM,
    QRNN,
    QActivation,
    QAdd,
    QAvgPool2d,
    QBatchNorm1d,
    QConcat,
    QConv1d,
    QConvTranspose1d,
    QEmbedding,
    QInput,
    QLayerNorm,
    QLinear,
    QLinearBatchNorm1d,
    QMul,
    QMultiheadAttention,
    QSigmoid,
    QSoftmax,
)
from torchq.nn.attention_slots import SelfAttention
from torchq.nn.merge import Itself
from torchq.nn.recurrent import FirstOf
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


# ---------------------------------------------------------------------- what QTools has no figure for

INPUT = "fixed(8,3)"
W, B, OUT = "quantized_bits(6,0,alpha=1)", "quantized_bits(6,1,alpha=1)", "quantized_bits(8,2,alpha=1)"
WORD = PROCESSES.get("horowitz").sram(math.log2(8 * 16 * 1024 * 1024))


def add(bits: float) -> float:
    return 0.003125 * bits


def mul(a: int, b: int) -> float:
    return 0.002994791667 * a * b + 0.001041666667 * math.sqrt(a * b)


def words(bits: int) -> float:
    return math.ceil(bits / 64) * WORD


def rows(layer: nn.Module, shape: tuple[int, ...], source: str = INPUT) -> dict[str, Mapping[str, float]]:
    model = nn.Sequential(QInput(source), layer).eval()
    works = workloads_of(model, shape)
    return {w.layer: row for w, row in zip(works, Energy().price(works).layers, strict=True)}


def row_of(layer: nn.Module, shape: tuple[int, ...], source: str = INPUT) -> Mapping[str, float]:
    return rows(layer, shape, source)["1"]


def test_a_folded_batch_norm_costs_what_the_folded_layer_costs() -> None:
    folded = QLinearBatchNorm1d(16, 4, weight_quantizer=W, bias_quantizer=B)
    plain = QLinear(16, 4, weight_quantizer=W, bias_quantizer=B)
    assert row_of(folded, (16,)) == row_of(plain, (16,))
    assert row_of(plain, (16,))["energy_pj_op_cost"] > 0 < row_of(plain, (16,))["energy_pj_parameters"]


def test_a_batch_norm_that_stands_alone_is_a_scale_and_shift() -> None:
    layer = QBatchNorm1d(
        3,
        inverse_quantizer="quantized_bits(8,2,alpha=1)",
        mean_quantizer="quantized_bits(6,2,alpha=1)",
        shift_quantizer=W,
    ).eval()
    bias = layer.quantizer("bias")
    assert bias is not None
    row = row_of(layer, (3,))
    assert row["energy_pj_parameters"] == pytest.approx(words(3 * 8) + words(3 * int(bias.format.width)))
    assert row["energy_pj_op_cost"] > 3 * mul(8, 8)


def test_an_average_pool_pays_its_sums_and_its_constant() -> None:
    shift, constant = QAvgPool2d(2), QAvgPool2d(3, average_quantizer="quantized_bits(8,0,alpha=1)")
    row = row_of(shift, (2, 6, 6))
    assert row["energy_pj_op_cost"] == pytest.approx(2 * 9 * 3 * add(8 + 2))
    assert row["energy_pj"] == pytest.approx(row["energy_pj_op_cost"] + words(72 * 8))
    row = row_of(constant, (2, 6, 6))
    assert row["energy_pj_op_cost"] == pytest.approx(2 * 4 * (8 * add(8 + 4) + mul(8, 12)))


def test_quantized_linear_costs_what_its_format_costs() -> None:
    prices = [
        row_of(QLinear(16, 4, False, weight_quantizer=text), (16,))
        for text in ("quantized_linear(6,0,alpha=1.0)", W)
    ]
    assert prices[0] == prices[1]


def test_an_activation_by_a_table_reads_a_row_for_each_value() -> None:
    row = row_of(QSigmoid("quantized_relu(8)", input_quantizer="fixed(10,4)"), (5,))
    assert row["energy_pj_parameters"] == pytest.approx(5 * WORD)
    assert row["energy_pj"] == pytest.approx(5 * WORD + words(5 * 8))


@pytest.mark.parametrize(
    ("text", "op_cost", "reads"),
    [
        ("quantized_sigmoid(6)", 5 * add(9), 0),  # ap_fixed<8,3> and a half
        ("quantized_sigmoid(6,sigmoid='smooth')", 5 * 2 * add(10), 0),
        ("quantized_sigmoid(6,use_real_sigmoid=True)", 0, 5),
        ("quantized_tanh(6)", 0, 0),
        ("quantized_tanh(6,sigmoid='smooth')", 5 * add(9), 0),
        ("quantized_tanh(6,use_real_tanh=True)", 0, 5),
        ("quantized_relu(6,1,use_sigmoid=True,sigmoid='real')", 0, 5),
        ("quantized_hswish(6,2,alpha=1)", 5 * (add(9) + mul(8, 8) + mul(16, 6)), 0),
    ],
)
def test_quantizers_that_are_functions_pay_for_them(text: str, op_cost: float, reads: int) -> None:
    row = row_of(QActivation(text), (5,))
    assert row["energy_pj_op_cost"] == pytest.approx(op_cost)
    assert row["energy_pj_parameters"] == pytest.approx(reads * WORD)
    assert row["energy_pj"] == pytest.approx(op_cost + reads * WORD + words(5 * 6))


@pytest.mark.parametrize("layer", [QConv1d, QConvTranspose1d])
def test_convolutions_along_one_axis_and_transposed_ones_pay_for_their_products(
    layer: type[QConv1d | QConvTranspose1d],
) -> None:
    conv = layer(2, 4, 3, weight_quantizer=W, bias_quantizer=B)
    made = 4 if layer is QConv1d else 8
    row = row_of(conv, (2, 6))
    products = made * 4 * 6  # transposed as well: two channels, and three points of the kernel
    total = 6 + 8 - 1 + 3 + 1  # the sum of six products, and the bias
    assert row["energy_pj_op_cost"] == pytest.approx(products * (mul(6, 8) + add(total)))
    assert row["energy_pj_parameters"] == pytest.approx(words(24 * 6) + words(4 * 6))


def test_a_maximum_costs_a_fifth_of_an_addition() -> None:
    row = row_of(nn.MaxPool2d(2), (2, 6, 6))
    assert row["energy_pj"] == row["energy_pj_op_cost"] == pytest.approx(2 * 9 * 3 * 0.2 * add(8))


def test_tensors_that_are_added_pay_the_addition_and_what_is_stored() -> None:
    exact, stored = (rows(Itself(QAdd(q), 3), (10,))["1.layer"] for q in (None, OUT))
    assert exact["energy_pj"] == exact["energy_pj_op_cost"] == pytest.approx(10 * 2 * add(10))
    assert stored["energy_pj"] == pytest.approx(10 * 2 * add(10) + words(10 * 8))


def test_tensors_that_are_multiplied_are_read_and_add_nothing() -> None:
    row = rows(Itself(QMul()), (10,))["1.layer"]
    assert row["energy_pj_op_cost"] == pytest.approx(10 * mul(8, 8))
    assert row["energy_pj"] == pytest.approx(10 * mul(8, 8) + 2 * words(80))


def test_tensors_that_are_joined_as_they_are_cost_nothing() -> None:
    assert rows(Itself(QConcat(1)), (10,))["1.layer"]["energy_pj"] == 0
    assert rows(Itself(QConcat(1, "fixed(4,2)")), (10,))["1.layer"]["energy_pj"] == words(80)


def test_an_embedding_reads_a_row_for_each_number() -> None:
    works = workloads_of(nn.Sequential(QEmbedding(1000, 16, weight_quantizer=W)), (5,))
    (row,) = Energy().price(works).layers
    assert row["energy_pj"] == pytest.approx(5 * words(16 * 6) + words(5 * 16 * 6))


def test_gates_of_an_lstm() -> None:
    layer = QLSTM(3, 4, batch_first=True, weight_quantizer=W, recurrent_quantizer=W, bias_quantizer=B)
    found = rows(FirstOf(layer), (5, 3))
    gates, cell = found["1.layer.ih_l0"], found["1.layer"]
    assert gates["energy_pj_op_cost"] == pytest.approx(5 * 16 * 3 * (mul(6, 8) + add(6 + 8 - 1 + 2 + 1)))
    values = 5 * 4
    sums = 4 * add(19)  # ap_fixed<16,6> and ap_fixed<16,4>: 12 bits below the point, 7 above
    products = mul(8, 10) + mul(8, 8) + mul(8, 8)
    joined = add(20)  # ap_fixed<18,4> and ap_fixed<16,1>: 15 bits below the point, 5 above
    assert cell["energy_pj_op_cost"] == pytest.approx(values * (sums + products + joined))
    assert cell["energy_pj_parameters"] == pytest.approx(5 * values * WORD)
    stored = words(values * 8)
    kept = cell["energy_pj_op_cost"] + cell["energy_pj_parameters"]
    assert cell["energy_pj"] == pytest.approx(kept + stored)


def test_gates_of_a_gru_and_of_a_simple_cell() -> None:
    for cls, looks in ((QGRU, 3), (QRNN, 1)):
        layer = cls(3, 4, batch_first=True, weight_quantizer=W, recurrent_quantizer=W, bias_quantizer=B)
        cell = rows(FirstOf(layer), (5, 3))["1.layer"]
        assert cell["energy_pj_parameters"] == pytest.approx(looks * 20 * WORD)
    simple = QRNN(3, 4, batch_first=True, weight_quantizer=W, recurrent_quantizer=W, bias_quantizer=B)
    cell = rows(FirstOf(simple), (5, 3))["1.layer"]
    assert cell["energy_pj_op_cost"] == pytest.approx(20 * add(19))


def test_attention_is_priced_product_by_product() -> None:
    layer = QMultiheadAttention(
        8,
        2,
        batch_first=True,
        weight_quantizer=W,
        bias_quantizer=B,
        out_weight_quantizer=W,
        out_bias_quantizer=B,
    )
    found = rows(SelfAttention(layer), (5, 8))
    projected, scores = found["1.layer.query"], found["1.layer.scores"]
    assert projected["energy_pj_op_cost"] == pytest.approx(5 * 8 * 8 * (mul(6, 8) + add(6 + 8 - 1 + 3 + 1)))
    assert scores["energy_pj_op_cost"] == pytest.approx(2 * 5 * 5 * 4 * (mul(8, 8) + add(8 + 8 - 1 + 2)))
    assert scores["energy_pj"] == pytest.approx(
        scores["energy_pj_op_cost"] + 2 * words(5 * 8 * 8) + words(2 * 5 * 5 * 10)
    )
    assert found["1.layer.softmax"]["energy_pj_op_cost"] > 0


def test_a_softmax_by_tables_is_priced_step_by_step() -> None:
    row = row_of(QSoftmax(output_quantizer="quantized_relu(8)"), (5,))
    largest, distances = 4 * 0.2 * add(10), 5 * add(11)
    total, products = 4 * add(10 + 3), 5 * mul(10, 12)
    assert row["energy_pj_op_cost"] == pytest.approx(largest + distances + total + products)
    assert row["energy_pj_parameters"] == pytest.approx((5 + 1) * WORD)
    sums = row["energy_pj_op_cost"] + row["energy_pj_parameters"]
    assert row["energy_pj"] == pytest.approx(sums + words(5 * 8))


def test_a_float_softmax_costs_what_it_stores() -> None:
    row = row_of(nn.Softmax(-1), (5,))
    assert row["energy_pj"] == pytest.approx(words(5 * 32)) == pytest.approx(11.41, abs=0.005)


def test_a_layer_norm_is_priced_step_by_step() -> None:
    layer = QLayerNorm(6, weight_quantizer=W, bias_quantizer=B, output_quantizer=OUT)
    row = row_of(layer, (6,))
    sum_, mean = 5 * add(12 + 3), mul(15, 16)
    difference, squares = 6 * add(13), 6 * mul(13, 13)
    total, variance = 5 * add(26 + 3), mul(29, 16)
    scaled, weighted = 6 * mul(13, 12), 6 * mul(25, 6)
    shifted = 6 * add(32)  # ap_fixed<31,11> and ap_fixed<6,2>
    steps = sum_ + mean + difference + squares + total + variance + scaled + weighted
    assert row["energy_pj_op_cost"] == pytest.approx(steps + shifted)
    assert row["energy_pj_parameters"] == pytest.approx(2 * words(36) + WORD)


def test_a_batch_norm_left_as_it_is_reads_its_four_numbers_a_channel() -> None:
    recorded = next(
        run
        for run in RUNS["QE/0"].energies
        if run["weights_on_memory"] == "sram" and run["min_sram_size"] > 0
    )
    works = tuple(work for work in RUNS["QE/0"].workloads if not work.layer.startswith("bn"))
    kept = with_batch_norms(works, {f"fc{n}": f"bn{n}" for n in (1, 2, 3)}, bits=6)  # 5 or 6 bits each there
    price = dict(zip((work.layer for work in kept), Energy().price(kept).layers, strict=True))
    for name in ("bn1", "bn2", "bn3"):
        assert price[name]["energy_pj"] == pytest.approx(recorded["layers"][name]["total"], abs=0.005)
    assert estimate(kept).total["bits"] == estimate(works).total["bits"] + 4 * 64 * 6
    with pytest.raises(CostError, match="fc9: no such layer to put a batch norm behind; did you mean"):
        with_batch_norms(works, {"fc9": "bn9"})


def test_the_rules_of_2020_are_one_bit_wider_where_signs_meet_or_no_bias_is_added() -> None:
    def wider(work: Workload) -> float:
        narrow, wide = (Energy(rules=r).price([work]).total["energy_pj"] for r in ("qtools", "qtools-2020"))
        return (wide - narrow) / (64 * add(1))

    assert wider(dense(SIX, SIXTEEN, SIX)) == pytest.approx(1)  # signed products
    assert wider(dense(SIX, SIXTEEN)) == pytest.approx(2)  # and sixteen terms without a bias
    assert wider(dense(SIX, RELU)) == pytest.approx(1)
    assert wider(dense(SIX, RELU, SIX)) == pytest.approx(0)


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


def test_scales_that_are_found_for_each_channel_do_not_change_a_price_either() -> None:
    torch.manual_seed(0)
    for name, width in (("ternary", 2), ("binary", 1)):
        found, given = (
            QLinear(16, 8, weight_quantizer=f"{name}(alpha={a})", bias_quantizer=B) for a in ("'auto_po2'", 1)
        )
        with torch.no_grad():
            found.weight.mul_(torch.exp2(torch.arange(8.0))[:, None])
        models = [nn.Sequential(QInput(W), layer).eval() for layer in (found, given)]
        for model in models:
            model(torch.ones(1, 16))
        one, other = (estimate(model, (16,)).total for model in models)
        for figure in ("energy_pj", "energy_pj_op_cost", "energy_pj_parameters", "bits", "bits_weight"):
            assert one[figure] == other[figure]
        assert one["bits"] == 8 * 16 * width + 8 * 6
        assert str(found.weight_quantizer.format).startswith(f"{name}<")


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
