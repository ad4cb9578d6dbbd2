"""Whole networks, estimated and synthesised: the page is that of today, and the table can be made again."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import fpga_networks
from benchmarks.fpga.whole import networks
from hls_export.rtl import installed

PAGE = Path(__file__).parents[3] / "docs" / "fpga-estimates.md"


def test_the_page_shows_the_table_of_today():
    text = PAGE.read_text(encoding="utf-8")
    assert fpga_networks.with_table(text) == text, (
        "python -m benchmarks.fpga_networks --write docs/fpga-estimates.md"
    )


def test_every_network_is_measured_without_a_mismatch_and_is_the_one_of_today():
    rows = {row["network"]: row for row in fpga_networks.rows()}
    assert list(rows) == [whole.name for whole in networks()]
    for whole in networks():
        row = rows[whole.name]
        assert row["digest"] == fpga_networks.digest(whole), "python -m benchmarks.fpga_networks --again"
        assert (row["mismatches"], row["dsp"]) == ("0", "0")
        assert int(row["vectors"]) == fpga_networks.VECTORS
        assert int(row["lut"]) > 1000


def test_without_measurements_the_table_says_so(tmp_path):
    lines = list(fpga_networks.lines(tmp_path / "none.csv"))
    assert all(line.endswith("not measured") for line in lines[2:])


@pytest.mark.slow
@pytest.mark.skipif(
    bool(installed.missing(installed.WRITE, installed.SIMULATE, installed.COUNT)),
    reason="a tool for Verilog is not installed",
)
def test_the_cheapest_one_measured_again_gives_the_same_row(tmp_path):
    whole, row = networks()[0], fpga_networks.rows()[0]
    again = {name: str(value) for name, value in fpga_networks.measure(whole, tmp_path).items()}
    if (again["yosys"], again["alkaid"]) != (row["yosys"], row["alkaid"]):
        pytest.skip("other versions of yosys or alkaid than those of the table")
    kept = ("digest", "lut", "carry", "ff", "dsp", "depth", "latency_cycles", "mismatches")
    assert {name: again[name] for name in kept} == {name: row[name] for name in kept}
