"""fpga: figures grow with bits, shrink with zeros, add up over layers, and say how wrong they are."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from torchq.cost import TARGETS, estimate, workloads_of
from torchq.cost.fpga import Fpga
from torchq.cost.fpga.activation import requantize
from torchq.cost.fpga.coefficients import coefficients
from torchq.cost.fpga.digits import digits, odd_parts
from torchq.cost.fpga.folded import fold
from torchq.cost.fpga.matrix import matrix_of_codes, matrix_of_formats
from torchq.errors import CostError, UnknownNameError
from torchq.formats import FixedPoint, Overflow, Rounding
from torchq.nn import QConv1d, QInput, QLinear, QReLU
from torchq.workload import ParamSpec, TensorSpec, Workload

FIGURES = ("lut", "ff", "dsp", "bram", "latency_cycles", "latency_ns", "initiation_interval")
STRATEGIES = (
    {"strategy": "distributed_arithmetic"},
    {"strategy": "latency"},
    {"strategy": "resource", "reuse_factor": 8},
)


def layer(
    weight_bits: int = 6, input_bits: int = 6, zeros: int = 0, shape: tuple[int, int] = (32, 16)
) -> Workload:
    """One linear layer of which only formats are known."""
    x = TensorSpec("x", (shape[1],), FixedPoint(input_bits, 1))
    y = TensorSpec("fc", (shape[0],), FixedPoint(weight_bits + input_bits + 5, 8))
    weight = ParamSpec("weight", shape, FixedPoint(weight_bits, 1), zeros)
    macs = shape[0] * shape[1]
    return Workload("fc", "linear", (x,), y, macs=macs, fan_in=shape[1], weight=weight)


def jet(weight_bits: int = 6) -> nn.Sequential:
    torch.manual_seed(1)
    q, relu = f"quantized_bits({weight_bits},0,alpha=1)", f"quantized_relu({weight_bits})"
    return nn.Sequential(
        QInput("quantized_bits(8,3,alpha=1)"),
        QLinear(16, 32, weight_quantizer=q, bias_quantizer=q),
        QReLU(relu),
        QLinear(32, 5, weight_quantizer=q, bias_quantizer=q),
    )


def total(works: Sequence[Workload], **settings: object) -> dict[str, float]:
    return dict(estimate(works, targets=["fpga"], **settings).total)


@pytest.mark.parametrize("settings", STRATEGIES)
@pytest.mark.parametrize("figure", ["lut", "ff", "latency_cycles"])
def test_more_bits_take_more(settings, figure):
    by_weight = [total([layer(weight_bits=b)], dsp_from_bits=99, **settings)[figure] for b in range(2, 17)]
    by_input = [total([layer(input_bits=b)], dsp_from_bits=99, **settings)[figure] for b in range(2, 17)]
    assert by_weight == sorted(by_weight)
    assert by_input == sorted(by_input)
    if figure == "lut":
        assert by_weight[0] < by_weight[-1]
        assert by_input[0] < by_input[-1]


@pytest.mark.parametrize("settings", STRATEGIES)
@pytest.mark.parametrize("figure", ["lut", "ff", "latency_cycles"])
def test_more_zeros_take_less(settings, figure):
    found = [total([layer(zeros=z)], **settings)[figure] for z in range(0, 513, 32)]
    assert found == sorted(found, reverse=True)
    if figure == "lut":
        assert found[-1] < found[0] / 2


@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(2, 10),
    st.integers(1, 16),
    st.booleans(),
    st.floats(0, 1),
)
def test_known_and_expected_matrices_agree_on_average(n_in, n_out, bits, input_bits, signed, zeros):
    rng = np.random.default_rng([n_in, n_out, bits])
    codes = rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (n_in, n_out))
    codes = np.where(rng.random(codes.shape) < zeros, 0, codes)
    known = matrix_of_codes(codes, bits, input_bits, signed)
    guessed = matrix_of_formats(n_in, n_out, bits, input_bits, signed, zeros=int((codes == 0).sum()))
    assert known.nonzero == guessed.nonzero == np.count_nonzero(codes)
    assert known.adders >= 0 <= guessed.adders
    if known.nonzero >= 400:
        assert guessed.digits == pytest.approx(known.digits, rel=0.1)
        assert guessed.columns == pytest.approx(known.columns, rel=0.1)
        assert guessed.output_bits == pytest.approx(known.output_bits, rel=0.25)
        assert guessed.shared_adders == pytest.approx(known.shared_adders, rel=0.25, abs=20)


@given(st.lists(st.integers(-(2**40), 2**40), min_size=1, max_size=30))
def test_digits_are_those_of_the_canonical_form(values):
    def count(value: int) -> int:
        found, left = 0, abs(value)
        while left:
            if left & 1:
                found += 1
                left -= 2 - (left & 3)
            left >>= 1
        return found

    assert digits(np.array(values)).tolist() == [count(v) for v in values]
    assert all(odd % 2 == 1 or odd == 0 for odd in odd_parts(np.array(values)).tolist())


def test_matrix_of_known_weights_by_hand():
    found = matrix_of_codes(np.array([[3, 5, -3], [0, 0, 8]]), 4, 6, False, np.array([1, 0, 0]))
    assert (found.nonzero, found.digits, found.columns, found.biases) == (4, 7, 3, 1)
    assert found.adders == 7 - 3 + 1
    assert found.tree_adders == 4 - 3 + 1
    assert found.shared_adders == 2  # three times and five times the first input
    assert (found.terms, found.deepest, found.longest) == (2, 2, 3)
    # 3x+1 up to 190: 8 bits; 5x up to 320: 9; 8y-3x: 11 and the sign, counted by what all terms reach
    assert found.output_bits == 8 + 9 + 11


def test_layers_add_up_and_latency_follows_the_path():
    report = estimate(jet(), (16,), targets=["fpga"])
    for figure in ("lut", "ff", "dsp", "bram"):
        assert report.total[figure] == sum(row.costs[figure] for row in report.layers)
    assert report.total["latency_cycles"] == sum(row.costs["latency_cycles"] for row in report.layers)
    assert report.total["latency_ns"] == 5 * report.total["latency_cycles"]
    assert report.total["initiation_interval"] == 1


def test_of_two_branches_the_longer_counts():
    x = TensorSpec("x", (16,), FixedPoint(6, 1))
    short, long = (layer(shape=shape) for shape in ((8, 16), (8, 16)))
    works = []
    for name, work in (("a", short), ("b", long)):
        made = TensorSpec(name, (8,), FixedPoint(16, 8))
        works.append(Workload(name, "linear", (x,), made, 128, 16, weight=work.weight))
    joined = TensorSpec("cat", (16,), FixedPoint(16, 8))
    works.append(Workload("cat", "concat", tuple(w.output for w in works), joined))
    alone = total(works[:1])
    both = total(works)
    assert both["latency_cycles"] == alone["latency_cycles"]
    assert both["lut"] == 2 * alone["lut"]
    # the input register is there once
    assert both["ff"] == 2 * alone["ff"] - 16 * 6


@pytest.mark.parametrize("settings", STRATEGIES)
def test_every_figure_says_where_it_comes_from(settings):
    report = estimate(jet(), (16,), targets=["fpga"], **settings)
    assert set(report.notes) == set(FIGURES) == set(TARGETS.get("fpga").units)
    assert all(note.startswith("source=estimate: ") for note in report.notes.values())
    error = coefficients().errors[settings["strategy"]]["values"]["lut"]
    words = f"{error['designs']} held-out designs: median error {100 * error['median']:.0f} %"
    assert words in report.notes["lut"]
    assert "weights known" in report.notes["lut"]
    assert "source=estimate" in report.text()
    assert "source=estimate" in report.to_html()
    assert "from formats and zeros alone" in estimate([layer()], targets=["fpga"]).notes["lut"]


def test_what_is_not_measured_is_named():
    model = nn.Sequential(
        QInput("quantized_bits(6,1,alpha=1)"),
        QConv1d(
            2,
            4,
            3,
            weight_quantizer="quantized_bits(4,0,alpha=1)",
            bias_quantizer="quantized_bits(4,0,alpha=1)",
        ),
    )
    note = estimate(model, (2, 10), targets=["fpga"]).notes["lut"]
    assert "by formula, not measured: 1 (conv1d at 8 positions)" in note
    floating = Workload(
        "softmax", "softmax", (TensorSpec("y", (4,), None),), TensorSpec("softmax", (4,), None)
    )
    assert "it is float: softmax" in estimate([floating], targets=["fpga"]).notes["lut"]


def test_positions_beside_each_other_one_after_the_other_and_both():
    model = nn.Sequential(
        QInput("quantized_bits(6,1,alpha=1)"),
        QConv1d(2, 4, 3, bias=False, weight_quantizer="quantized_bits(4,0,alpha=1)"),
    )
    works = workloads_of(model, (2, 10))
    input_bits = 2 * 10 * 6
    all_at_once, stream = total(works), total(works, io_type="io_stream")
    half = total(works, parallelization=4)
    assert all_at_once["initiation_interval"] == 1
    assert stream["initiation_interval"] == 8
    assert half["initiation_interval"] == 2
    assert all_at_once["lut"] == pytest.approx(8 * stream["lut"], abs=8)
    assert half["lut"] == pytest.approx(4 * stream["lut"], abs=8)
    assert all_at_once["ff"] - input_bits == pytest.approx(8 * (stream["ff"] - input_bits), abs=8)
    assert stream["latency_cycles"] == all_at_once["latency_cycles"] + 7


def test_wide_products_become_dsps_where_the_strategy_multiplies():
    narrow, wide = layer(6, 6), layer(6, 16)
    assert total([narrow], strategy="latency")["dsp"] == 0
    assert total([wide], strategy="latency")["dsp"] > 0
    assert total([wide], strategy="latency", dsp_from_bits=17)["dsp"] == 0
    assert total([wide])["dsp"] == 0
    folded = total([wide], strategy="resource", reuse_factor=8)
    assert folded["dsp"] == 32 * 16 / 8
    assert folded["initiation_interval"] == 8
    assert folded["latency_cycles"] > 8


def test_deep_words_stand_in_block_memory():
    assert total([layer(shape=(64, 64))], strategy="resource", reuse_factor=64)["bram"] == 0
    deep = total([layer(shape=(64, 64))], strategy="resource", reuse_factor=512)
    assert deep["bram"] == np.ceil(8 * 6 / 36)
    assert deep["initiation_interval"] == 512


@given(st.integers(1, 64), st.integers(1, 64), st.integers(1, 5000))
def test_a_fold_has_multipliers_for_every_product(n_in, n_out, reuse):
    found = fold(n_in, n_out, reuse)
    assert found.multipliers * found.steps >= n_in * n_out
    assert found.steps == min(reuse, n_in * n_out)
    assert found.lanes * found.outputs == found.multipliers


def test_an_activation_that_changes_nothing_takes_nothing():
    same = requantize(FixedPoint(6, 1), FixedPoint(8, 2))
    assert not same.rounds
    assert not same.saturates
    cut = requantize(FixedPoint(8, 2), FixedPoint(6, 2, rounding=Rounding.TRN, overflow=Overflow.WRAP))
    assert (cut.rounds, cut.saturates, cut.dropped) == (False, False, 2)
    assert requantize(FixedPoint(8, 2), FixedPoint(6, 2, signed=False)).saturates


def test_all_zero_weights_take_nothing():
    values = np.zeros((8, 4))
    work = layer(shape=(8, 4))
    weight = ParamSpec("weight", (8, 4), FixedPoint(6, 1), 32, values)
    dead = Workload("fc", "linear", work.inputs, work.output, 32, 4, weight=weight)
    found = total([dead])
    assert (found["lut"], found["latency_cycles"], found["ff"]) == (0, 0, 4 * 6)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"strategy": "latncy"}, "unknown strategy 'latncy'; .*latency"),
        ({"io_type": "stream"}, "unknown io_type 'stream'"),
        (
            {"reuse_factor": 0, "strategy": "resource"},
            "reuse_factor must be a whole number of at least 1, got 0",
        ),
        ({"reuse_factor": 4}, "uses each multiplier once, got reuse_factor 4; set strategy to resource"),
        ({"clock_ns": 0}, "clock_ns must be a number greater than 0, got 0"),
        ({"dsp_from_bits": True}, "dsp_from_bits must be a whole number"),
        ({"parallelization": -1}, "parallelization must be a whole number of at least 0, got -1"),
        (
            {"adders": "alkaid", "strategy": "latency"},
            "alkaid counts the adders of distributed_arithmetic only",
        ),
    ],
)
def test_settings_that_cannot_be(settings, words):
    with pytest.raises(CostError, match=words):
        Fpga(**settings)


def test_a_figure_is_found_by_its_name():
    assert "lut" in estimate([layer()], targets=["lut"]).total
    with pytest.raises(UnknownNameError, match="lutt"):
        estimate([layer()], targets=["lutt"])


def test_alkaid_that_is_missing_says_what_to_install(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "alkaid.trace", None)
    with pytest.raises(CostError, match=r"alkaid is not installed, .*; pip install alkaid"):
        estimate(jet(), (16,), targets=["fpga"], adders="alkaid")


def test_alkaid_needs_values():
    with pytest.raises(CostError, match="fc: alkaid needs the weights' values"):
        estimate([layer()], targets=["fpga"], adders="alkaid")


def test_alkaid_agrees_with_the_fitted_estimate():
    pytest.importorskip("alkaid")
    counted = estimate(jet(), (16,), targets=["fpga"], adders="alkaid")
    fitted = estimate(jet(), (16,), targets=["fpga"])
    assert counted.total["lut"] == pytest.approx(fitted.total["lut"], rel=0.25)
    assert counted.total["ff"] == fitted.total["ff"]
    assert counted.layer("1").costs["lut"] != fitted.layer("1").costs["lut"]


def test_the_report_is_json():
    report = estimate(jet(), (16,), targets=["fpga"])
    assert json.loads(json.dumps(report.to_dict())) == report.to_dict()
