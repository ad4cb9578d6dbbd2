"""Every layer of every recorded QTools run, part by part, in every memory setting."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from qtools_golden import FOLDER, Run, models, runs

from torchq.cost import Energy, estimate
from torchq.cost.energy import PARTS
from torchq.formats import Binary, ScaledSigns, Ternary
from torchq.workload import Workload

RUNS = runs()
SETTINGS = ("weights_on_memory", "activations_on_memory", "min_sram_size", "rd_wr_on_io")
COUNTED = [r for r in RUNS if not r.settings and not r.depthwise]  # test_qtools_differences says why
HALF_A_HUNDREDTH = 0.005 + 1e-9  # what is recorded was rounded to two decimals


def settings_of(run: Run, recorded: Mapping[str, Any]) -> dict[str, Any]:
    return {**run.settings, **{name: recorded[name] for name in SETTINGS}}


def priced(run: Run) -> Iterator[tuple[dict[str, Any], Workload, Mapping[str, float], Mapping[str, float]]]:
    """Settings, workload, our costs and QTools' row, for every layer that both price alike."""
    for recorded in run.energies:
        settings = settings_of(run, recorded)
        price = Energy(**settings).price(run.workloads)
        for work, costs in zip(run.workloads, price.layers, strict=True):
            if work.layer in recorded["layers"] and work.layer not in run.skipped:
                yield settings, work, costs, recorded["layers"][work.layer]


def test_all_models_are_there() -> None:
    assert {"BF14", "BF15_notebook", "CNN", "HET", "Q6", "QE"} <= set(models()), FOLDER
    assert sum(len(run.energies) for run in RUNS) >= 228


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_each_part_of_each_layer_equals_qtools(run: Run) -> None:
    compared = 0
    for settings, work, costs, row in priced(run):
        for part in PARTS:
            ours = costs[f"energy_pj_{part}"]
            assert ours == pytest.approx(row[part], abs=HALF_A_HUNDREDTH, rel=0), (work.layer, part, settings)
            compared += 1
    assert compared == 4 * len(run.energies) * (len(run.workloads) - 1 - len(run.skipped))


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_the_parts_that_count_are_qtools_include_table(run: Run) -> None:
    for settings, work, costs, row in priced(run):
        assert costs["energy_pj"] == pytest.approx(row["total"], abs=3 * HALF_A_HUNDREDTH), (
            work.layer,
            settings,
        )


@pytest.mark.parametrize("run", [run for run in RUNS if not run.skipped], ids=lambda run: run.name)
def test_network_totals_equal_qtools(run: Run) -> None:
    for recorded in run.energies:
        total = Energy(**settings_of(run, recorded)).price(run.workloads).total
        margin = 4 * HALF_A_HUNDREDTH * len(run.workloads)
        # QTools cuts both totals to whole pJ.
        assert recorded["energy_sum"] - margin <= total["energy_pj"] < recorded["energy_sum"] + 1 + margin
        assert recorded["total_cost"] <= total["energy_pj_all"] + 1e-6 < recorded["total_cost"] + 1 + 1e-6


def by_channel(work: Workload) -> Workload:
    """The same layer with a scale for each of its outputs, where its weights are signs."""
    weight = work.weight
    if weight is None or not isinstance(weight.format, Ternary | Binary):
        return work
    powers = (np.arange(weight.shape[-1]) % 5 - 3).reshape((1,) * (len(weight.shape) - 1) + (-1,))
    return replace(work, weight=replace(weight, format=ScaledSigns.of(weight.format, powers)))


@pytest.mark.parametrize("run", [run for run in RUNS if run.name[:3] == "HET"], ids=lambda run: run.name)
def test_signs_with_a_scale_for_each_output_cost_what_qtools_says_of_signs(run: Run) -> None:
    scaled = replace(run, workloads=tuple(map(by_channel, run.workloads)))
    assert sum(a is not b for a, b in zip(scaled.workloads, run.workloads, strict=True)) == 2
    test_each_part_of_each_layer_equals_qtools(scaled)
    assert estimate(scaled.workloads, targets=["bits"]).total["bits"] == run.bits


@pytest.mark.parametrize("run", COUNTED, ids=lambda run: run.name)
def test_bits_equal_print_qstats(run: Run) -> None:
    assert estimate(run.workloads, targets=["bits"]).total["bits"] == run.bits
