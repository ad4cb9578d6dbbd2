"""A convolutional network, traced: its types, counts and energies are those that QTools recorded."""

from __future__ import annotations

import json
import math
from collections import OrderedDict
from typing import Any

import pytest
from qtools_golden import FOLDER, number_format
from torch import nn

from torchq.cost import Energy, estimate, workloads_of
from torchq.cost.energy import PARTS
from torchq.graph import trace
from torchq.nn import QActivation, QConv2d, QInput, QLinear, QReLU
from torchq.workload import Workload

FOUR, SIX = "quantized_bits(4,0,alpha=1)", "quantized_bits(6,0,alpha=1)"
RECORDED: dict[str, Any] = json.loads((FOLDER / "CNN.json").read_text("utf-8"))
RUN: dict[str, Any] = RECORDED["runs"][0]
BEHIND_BATCH_NORM = "act2"
"""Reads another type there: the recorded network has a batch norm before it."""


@pytest.fixture(scope="module")
def works() -> tuple[Workload, ...]:
    layers: list[tuple[str, nn.Module]] = [
        ("input", QInput("quantized_bits(8,0,1)")),
        ("conv0", QConv2d(1, 8, 3, weight_quantizer=FOUR, bias_quantizer=FOUR)),
        ("act0", QReLU("quantized_relu(4,2)")),
        ("dw1", QConv2d(8, 8, 3, groups=8, weight_quantizer=SIX, bias_quantizer=SIX)),
        ("act1", QActivation("quantized_bits(6,2,1)")),
        ("conv2", QConv2d(8, 16, 3, 2, weight_quantizer="ternary(alpha=1)", bias_quantizer=FOUR)),
        ("act2", QReLU("quantized_relu(3,1)")),
        ("flatten", nn.Flatten()),
        ("fc3", QLinear(144, 10, weight_quantizer=FOUR, bias_quantizer=FOUR)),
        ("softmax", nn.Softmax(-1)),
    ]
    return workloads_of(trace(nn.Sequential(OrderedDict(layers)), (1, 12, 12)))


def test_types_and_counts_are_those_of_qtools(works: tuple[Workload, ...]) -> None:
    types, compared = RUN["data_type_map"], 0
    for work in works:
        if not work.macs:
            continue
        row = types[work.layer]
        assert work.macs == row["operation_count"]
        for ours, theirs in ((work.product, row["multiplier"]), (work.accumulator, row["accumulator"])):
            expected = number_format(theirs)
            assert ours is not None
            assert (ours.width, ours.integer, ours.signed) == (
                expected.width,
                expected.integer,  # type: ignore[union-attr]
                expected.signed,
            )
            compared += 1
        assert list(work.output.shape) == [row["output_quantizer"]["shape"][i] for i in _channels_first(work)]
    assert compared == 8


def _channels_first(work: Workload) -> tuple[int, ...]:
    return (1,) if len(work.output.shape) == 1 else (3, 1, 2)


def test_energies_are_those_of_qtools_in_every_memory_setting(works: tuple[Workload, ...]) -> None:
    compared = 0
    for recorded in RUN["energy"]:
        settings = {
            name: recorded[name]
            for name in ("weights_on_memory", "activations_on_memory", "min_sram_size", "rd_wr_on_io")
        }
        price = Energy(**settings).price(works)
        for work, costs in zip(works, price.layers, strict=True):
            row = recorded["layers"].get(work.layer, {})
            for part in PARTS:
                if part not in row or (work.layer, part) == (BEHIND_BATCH_NORM, "inputs"):
                    continue
                if (work.layer, part) == ("dw1", "parameters"):
                    continue  # one bias for eight channels there: see docs/qtools-differences.md
                assert costs[f"energy_pj_{part}"] == pytest.approx(row[part], abs=0.006), (work.layer, part)
                compared += 1
    assert compared == len(RUN["energy"]) * (8 * len(PARTS) - 2)


def test_bits_are_those_of_print_qstats(works: tuple[Workload, ...]) -> None:
    recorded = {name: row["parameters"] for name, row in RECORDED["forgiving_bits"].items()}
    counted = estimate(works, targets=["bits"])
    ours = {row.layer: row.costs["bits"] for row in counted.layers if row.costs["bits"]}
    assert ours == {name: recorded[name] for name in ("conv0", "dw1", "conv2", "fc3")}
    assert math.isclose(counted.total["bits"], sum(ours.values()))
