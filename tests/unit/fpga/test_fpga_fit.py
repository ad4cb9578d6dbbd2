"""The committed coefficients are those that the committed measurements give, and so are the errors."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("benchmarks.fpga", reason="the benchmarks are not part of an installed package")
pytest.importorskip("scipy")

from benchmarks import fpga_error, fpga_fit
from benchmarks.fpga.checks import checks
from benchmarks.fpga.compare import MEASUREMENTS, all_errors, estimated, measured
from torchq.cost.fpga.coefficients import coefficients


@pytest.fixture(scope="module")
def document():
    return fpga_fit.document()


def test_fitting_again_gives_the_committed_coefficients(document):
    committed = json.loads(MEASUREMENTS.with_name("coefficients.json").read_text())
    assert committed["designs"] == document["designs"]
    assert committed["tools"] == document["tools"]
    assert committed["fitted"].keys() == document["fitted"].keys()
    for strategy, found in document["fitted"].items():
        assert committed["fitted"][strategy] == pytest.approx(found, rel=1e-3, abs=1e-3), strategy


def test_the_committed_errors_are_those_of_the_held_out_designs(document):
    committed = coefficients().errors
    assert committed.keys() == document["errors"].keys()
    for strategy, known in document["errors"].items():
        for knowledge, figures in known.items():
            for figure, error in figures.items():
                assert committed[strategy][knowledge][figure] == pytest.approx(error, abs=2e-3)


def test_the_fit_does_not_see_what_is_held_out(document):
    rows = measured()
    spoiled = [replace(row, figures=row.figures.times(10)) if row.design.held_out else row for row in rows]
    assert fpga_fit.fit(spoiled) == document["fitted"]
    assert all_errors(spoiled, document["fitted"]) != document["errors"]


def test_held_out_errors_stay_within_what_is_promised():
    errors = coefficients().errors
    for strategy in ("distributed_arithmetic", "latency"):
        assert errors[strategy]["values"]["lut"]["median"] < 0.08
        assert errors[strategy]["formats"]["lut"]["median"] < 0.15
    assert errors["alkaid"]["values"]["lut"]["median"] < 0.08
    for known in errors.values():
        assert known["values"]["cycles"]["worst"] <= 1


def test_intervals_are_those_that_were_simulated():
    fitted = coefficients().fitted
    for row in measured():
        assert estimated(row, fitted, "values").interval == row.figures.interval


def test_the_table_of_errors_names_every_strategy_and_says_what_was_not_fitted():
    text = "\n".join(fpga_error.held_out_lines())
    assert all(strategy in text for strategy in coefficients().errors)
    assert "yosys 0.23" in text
    lines = fpga_error.check_lines()
    assert lines[0].startswith("external checks, not fitted")
    assert all(any(line.startswith(check.name) for line in lines) for check in checks())


def test_the_page_shows_the_tables_of_today():
    page = Path(__file__).parents[3] / "docs" / "fpga-estimates.md"
    text = page.read_text(encoding="utf-8")
    assert fpga_error.with_tables(text) == text, (
        "python -m benchmarks.fpga_error --write docs/fpga-estimates.md"
    )
