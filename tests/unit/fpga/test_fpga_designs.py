"""The measured designs: our Verilog computes what numpy does, and the table belongs to the code."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("benchmarks.fpga", reason="the benchmarks are not part of an installed package")

from benchmarks.fpga import folded, latency, requantize, table
from benchmarks.fpga.compare import MEASUREMENTS, measured
from benchmarks.fpga.designs import STRATEGIES, Design, designs, digits
from benchmarks.fpga.simulate import simulate
from benchmarks.fpga.verilog import signed_digits
from benchmarks.fpga_measure import expected

needs_icarus = pytest.mark.skipif(shutil.which("iverilog") is None, reason="iverilog is not installed")

SMALL = Design("latency", 7000, 6, 5, 5, 4, True, bias=True, stage=2)
LATENCY = [
    SMALL,
    replace(SMALL, index=7001, input_signed=False, bias=False, sparsity=0.6),
    replace(SMALL, index=7002, input_bits=12, weight_bits=8, stage=1),  # wide: multipliers
    replace(SMALL, index=7003, n_in=1, n_out=1, weight_bits=2),
    replace(SMALL, index=7004, n_in=17, stage=4, sparsity=0.9),  # outputs that are always their bias
]
FOLDED = [
    replace(
        SMALL,
        strategy="resource",
        index=7000 + i,
        n_in=n_in,
        n_out=n_out,
        reuse=reuse,
        input_signed=bool(i % 2),
    )
    for i, (n_in, n_out, reuse) in enumerate(
        [(6, 4, 2), (6, 4, 6), (6, 4, 12), (8, 3, 8), (4, 4, 16), (5, 4, 4)]
    )
]


@needs_icarus
@pytest.mark.parametrize("design", [*LATENCY, *FOLDED], ids=lambda d: f"{d.strategy}{d.index}R{d.reuse}")
def test_layers_compute_what_numpy_does(design, tmp_path):
    module = (latency if design.strategy == "latency" else folded).emit(design)
    (tmp_path / "design.v").write_text(module.text)
    samples = design.samples(40)
    found = simulate(
        [tmp_path / "design.v"],
        module.name,
        samples,
        expected(design, samples),
        [(design.input_signed, design.input_bits, 0)] * design.n_in,
        [(signed, width, 0) for signed, width in module.outputs],
        tmp_path,
        interval=design.reuse,
    )
    assert found.mismatches == 0
    assert found.latency >= 1


@needs_icarus
@pytest.mark.parametrize("drop", [0, 1, 2, 5])
@pytest.mark.parametrize("signed", [False, True])
def test_activations_round_half_to_even_and_saturate(drop, signed, tmp_path):
    design = Design("requantize", 7000 + drop, 4, 4, 3, 9, signed, drop=drop)
    module = requantize.emit(design)
    (tmp_path / "design.v").write_text(module.text)
    samples = np.arange(-256, 256).reshape(-1, 4)
    made = expected(design, samples)
    assert made.min() >= (-4 if signed else 0)
    assert made.max() == (3 if signed else 7)
    found = simulate(
        [tmp_path / "design.v"],
        module.name,
        samples,
        made,
        [(True, 9, 0)] * 4,
        [(s, width, 0) for s, width in module.outputs],
        tmp_path,
    )
    assert (found.vectors, found.mismatches) == (128, 0)


@needs_icarus
def test_an_activation_that_is_wider_than_what_comes_keeps_the_sign(tmp_path):
    design = Design("requantize", 7100, 4, 4, 9, 9, True, drop=5)
    module = requantize.emit(design)
    (tmp_path / "design.v").write_text(module.text)
    samples = np.arange(-256, 256).reshape(-1, 4)
    outputs = [(s, width, 0) for s, width in module.outputs]
    found = simulate(
        [tmp_path / "design.v"],
        module.name,
        samples,
        expected(design, samples),
        [(True, 9, 0)] * 4,
        outputs,
        tmp_path,
    )
    assert found.mismatches == 0


@needs_icarus
def test_a_wrong_design_is_seen(tmp_path):
    module = latency.emit(SMALL)
    (tmp_path / "design.v").write_text(module.text)
    samples = SMALL.samples(10)
    wrong = expected(SMALL, samples)
    wrong[3, 1] += 1
    found = simulate(
        [tmp_path / "design.v"],
        module.name,
        samples,
        wrong,
        [(True, 4, 0)] * 6,
        [(signed, width, 0) for signed, width in module.outputs],
        tmp_path,
    )
    assert found.mismatches == 1


def test_signed_digits_add_up_and_are_as_few_as_counted():
    for value in range(-300, 300):
        parts = signed_digits(value)
        assert sum((-1 if negative else 1) * 2**shift for shift, negative in parts) == value
        assert len(parts) == digits(np.array([value]))[0]


def test_designs_are_drawn_the_same_way_every_time():
    designs.cache_clear()
    again = designs()
    designs.cache_clear()
    assert again == designs()
    assert len({design.name for design in again}) == len(again)
    assert {design.strategy for design in again} == set(STRATEGIES)


def test_every_row_of_the_table_was_exact_and_a_third_is_held_out():
    lines = table.read(MEASUREMENTS)
    assert tuple(lines[0]) == table.COLUMNS
    assert all(int(line["mismatches"]) == 0 and int(line["vectors"]) >= 20 for line in lines)
    rows = measured()  # draws all weights again and compares their digests
    assert len(rows) == len(lines) == len({line["design"] for line in lines})
    for strategy in STRATEGIES:
        mine = [row for row in rows if row.design.strategy == strategy]
        held_out = sum(row.design.held_out for row in mine)
        assert len(mine) / 4 < held_out < len(mine) / 2
