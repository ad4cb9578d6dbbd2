"""``estimate`` and its report."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from cost_networks import RELU, SIX, dense, jets
from torch import nn

from torchq.cost import CostReport, estimate, make_targets, workloads_of
from torchq.errors import CostError, GraphError, UnknownNameError
from torchq.graph import trace

MODEL = ("quantized_bits(6,0,alpha=1)", "quantized_relu(6,0)")


def report() -> CostReport:
    return estimate(jets(*MODEL), (16,))


def test_models_graphs_and_workloads_cost_the_same() -> None:
    model = jets(*MODEL)
    graph = trace(model)
    assert estimate(model) == estimate(graph) == estimate(workloads_of(graph))


def test_one_target_by_name() -> None:
    found = estimate([dense(SIX, RELU)], targets="bits")
    assert list(found.units) == ["bits"]
    assert set(found.total) == {"bits", "bits_weight", "bits_bias", "bits_activation"}


def test_only_the_settings_of_the_targets_are_taken_and_all_are_told() -> None:
    found = estimate([dense(SIX, RELU)], weights_on_memory="fixed")
    assert found.settings["bits"] == {}
    assert found.settings["energy_pj"] == {
        "process": "horowitz",
        "weights_on_memory": "fixed",
        "activations_on_memory": "sram",
        "min_sram_size": 134217728,
        "rd_wr_on_io": False,
        "accumulator": None,
    }


def test_fixed_weights_save_the_parameters() -> None:
    sram, fixed = report(), estimate(jets(*MODEL), (16,), weights_on_memory="fixed")
    saved = sram.total["energy_pj"] - fixed.total["energy_pj"]
    assert saved == pytest.approx(sram.total["energy_pj_parameters"])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"targets": ["energy"]},
            UnknownNameError,
            "unknown cost target 'energy'; did you mean 'energy_pj'? Known: bits, energy_pj",
        ),
        ({"targets": []}, CostError, "no cost target was named; Known: bits, energy_pj"),
        (
            {"min_sram": 0},
            CostError,
            "unknown setting 'min_sram' for bits, energy_pj; did you mean 'min_sram_size'? "
            "Known: accumulator, activations_on_memory, min_sram_size, process, "
            "rd_wr_on_io, weights_on_memory",
        ),
        (
            {"targets": ["bits"], "process": "horowitz"},
            CostError,
            "unknown setting 'process' for bits; Known: none",
        ),
        ({"softmax": "yes"}, CostError, "softmax must be true or false, got 'yes'"),
    ],
)
def test_mistakes_are_answered(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as fault:
        estimate([dense(SIX, RELU)], **arguments)
    assert str(fault.value) == message


def test_a_thing_that_is_no_model_is_refused() -> None:
    with pytest.raises(CostError) as fault:
        estimate("model.onnx")
    assert str(fault.value) == (
        "a model, a graph or workloads can be priced, got str; pass the quantized model"
    )


def test_negative_sizes_are_refused() -> None:
    with pytest.raises(CostError) as fault:
        estimate([dense(SIX, RELU, outputs=-4)])
    assert str(fault.value) == "fc: sizes must be at least 0, fc has shape (-4,)"
    with pytest.raises(CostError) as fault:
        estimate([replace(dense(SIX, RELU), macs=-1)])
    assert str(fault.value) == "fc: macs and fan_in must be at least 0, got -1 and 16"


def test_an_unquantized_edge_is_an_error_of_the_graph() -> None:
    with pytest.raises(GraphError):
        estimate(nn.Sequential(nn.Linear(4, 3)), (4,))


def test_targets_are_made_once_for_many_estimates() -> None:
    (target,) = make_targets(["energy_pj"], {"rd_wr_on_io": True}).values()
    works = [dense(SIX, RELU)]
    assert target.price(works) == target.price(works)
    assert target.price(works).total["energy_pj"] == estimate(works, rd_wr_on_io=True).total["energy_pj"]


# ---------------------------------------------------------------------- the report


def test_rows_tell_formats_and_work() -> None:
    row = report().layer("fc1")
    assert (row.kind, row.macs, row.weight, row.bias, row.accumulator) == (
        "linear",
        1024,
        "ap_fixed<6,1,RND_CONV,SAT>",
        "ap_fixed<6,1,RND_CONV,SAT>",
        "ap_fixed<26,12,TRN,WRAP>",
    )
    assert row.zeros > 0
    with pytest.raises(KeyError):
        report().layer("fc9")


def test_text_is_aligned_and_ends_with_totals_and_settings() -> None:
    lines = report().text().splitlines()
    assert lines[0].split()[:5] == ["layer", "kind", "weight", "bias", "output"]
    assert lines[0].split()[5:] == [
        "bits",
        "bits_weight",
        "bits_bias",
        "activation",
        "energy_pj",
        "inputs",
        "outputs",
        "parameters",
        "op_cost",
    ]
    table = lines[: 2 + 8 + 1]
    assert {line.split()[0] for line in table[2:]} == {
        "quantize",
        *("fc1", "relu1", "fc2", "relu2", "fc3", "relu3", "output", "total"),
    }
    end = lines[0].index("energy_pj") + len("energy_pj")
    assert all(line[end - 1].isdigit() and line[end] == " " for line in table[2:])
    assert table[-1].split()[1:3] == ["26334", "25536"]
    assert "2618.57" in table[-1]
    assert lines[-2:] == [
        "bits in bit",
        "energy_pj in pJ: process=horowitz weights_on_memory=sram activations_on_memory=sram "
        "min_sram_size=134217728 rd_wr_on_io=False accumulator=None",
    ]


def test_to_dict_is_json() -> None:
    found = report()
    read = json.loads(json.dumps(found.to_dict()))
    assert read["total"] == found.total
    assert [row["layer"] for row in read["layers"]] == [row.layer for row in found.layers]
    assert read["layers"][1]["costs"] == found.layers[1].costs
    assert read["units"] == {"bits": "bit", "energy_pj": "pJ"}
    assert read["settings"]["energy_pj"]["process"] == "horowitz"


def test_html_escapes_and_has_a_row_for_each_layer() -> None:
    text = report().to_html()
    assert text.count("<tr>") == 1 + 8 + 1
    assert "ap_fixed&lt;6,1,RND_CONV,SAT&gt;" in text
    widths = {
        line.count("<td>") + line.count("<th>") for line in text.splitlines() if line.startswith("<tr>")
    }
    assert len(widths) == 1
