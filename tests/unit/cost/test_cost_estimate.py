"""``estimate`` and its report."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest
from cost_networks import RELU, SIX, dense, jets
from torch import nn

from torchq.cost import TARGETS, CostReport, Price, estimate, figure_of, figures, make_targets, workloads_of
from torchq.errors import CostError, GraphError, TorchqError, UnknownNameError
from torchq.graph import trace
from torchq.nn import QLinear
from torchq.workload import Workload

KNOWN = ", ".join(sorted({*TARGETS, *figures()}))
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
        "rules": "qtools",
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
            f"unknown cost target or figure 'energy'; did you mean 'energy_pj'? Known: {KNOWN}",
        ),
        ({"targets": []}, CostError, f"no cost target was named; Known: {KNOWN}"),
        ({"targets": [3]}, CostError, "a cost target or figure is named by a text, got 3"),
        (
            {"min_sram": 0},
            CostError,
            "unknown setting 'min_sram' for bits, energy_pj; did you mean 'min_sram_size'? "
            "Known: accumulator, activations_on_memory, min_sram_size, process, "
            "rd_wr_on_io, rules, weights_on_memory",
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
    assert lines[-3:] == [
        "bits in bit",
        "energy_pj in pJ",
        "energy_pj: process=horowitz weights_on_memory=sram activations_on_memory=sram "
        "min_sram_size=134217728 rd_wr_on_io=False accumulator=None rules=qtools",
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


# ---------------------------------------------------------------------- targets with several figures


@dataclass(frozen=True)
class Area:
    """A target of two figures, one of them with a note."""

    per_mac: int = 2

    units: ClassVar[Mapping[str, str]] = {"gates": "gate", "pins": "pin"}

    def price(self, workloads: Sequence[Workload]) -> Price:
        layers = tuple({"gates": self.per_mac * work.macs} for work in workloads)
        total = {"gates": sum(layer["gates"] for layer in layers), "pins": 7}
        return Price(total, layers, {"gates": "source=estimate: within <20 %"})


@pytest.fixture
def area(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TARGETS._things, "area", Area)


@pytest.mark.usefixtures("area")
def test_a_target_is_found_by_its_name_and_by_each_of_its_figures() -> None:
    works = [dense(SIX, RELU)]
    by_name = estimate(works, targets="area", per_mac=3)
    assert by_name == estimate(works, targets=["pins"], per_mac=3)
    assert by_name == estimate(works, targets=["pins", "area", "gates"], per_mac=3)
    assert by_name.total == {"gates": 3 * works[0].macs, "pins": 7}
    assert by_name.units == {"gates": "gate", "pins": "pin"}
    assert by_name.settings == {"area": {"per_mac": 3}}


@pytest.mark.usefixtures("area")
def test_a_note_stands_wherever_the_figure_stands() -> None:
    found = estimate([dense(SIX, RELU)], targets=["bits", "gates"])
    assert found.notes == found.to_dict()["notes"] == {"gates": "source=estimate: within <20 %"}
    assert found.text().splitlines()[-4:] == [
        "bits in bit",
        "gates in gate (source=estimate: within <20 %)",
        "pins in pin",
        "area: per_mac=2",
    ]
    assert "<li>gates: source=estimate: within &lt;20 %</li>" in found.to_html()
    assert "<ul" not in report().to_html()


@pytest.mark.usefixtures("area")
def test_one_figure_is_asked_for_by_its_own_name() -> None:
    assert figure_of("gates") == "gates"
    with pytest.raises(CostError) as fault:
        figure_of("area")
    assert str(fault.value) == "area is a target with several figures; name one: gates, pins"
    with pytest.raises(UnknownNameError, match="figure 'gate'; did you mean 'gates'"):
        figure_of("gate")


# ---------------------------------------------------------------------- bad input, one sentence each


def sentence(call: Any) -> str:
    with pytest.raises(TorchqError) as fault:
        call()
    text = str(fault.value)
    assert "\n" not in text
    return text


def test_sizes_that_are_missing_or_of_another_type() -> None:
    work = dense(SIX, RELU)
    x = work.inputs[0]
    assert sentence(lambda: estimate([replace(work, inputs=(replace(x, shape=None),))])) == (  # type: ignore[arg-type]
        "fc: x needs a shape of whole numbers, got None; write a tuple such as (16,)"
    )
    assert sentence(lambda: estimate([replace(work, inputs=(replace(x, shape=(None,)),))])) == (  # type: ignore[arg-type]
        "fc: x needs a shape of whole numbers, got (None,); write a tuple such as (16,)"
    )
    assert sentence(lambda: estimate([replace(work, macs=1.5)])) == (  # type: ignore[arg-type]
        "fc: macs and fan_in must be whole numbers, got 1.5 and 16"
    )


def test_lists_of_something_else() -> None:
    hint = "pass the quantized model, or what workloads_of(model) returns"
    assert sentence(lambda: estimate([nn.ReLU()])) == (  # type: ignore[list-item]
        f"workloads can be priced, got a list with a ReLU; {hint}"
    )
    assert sentence(lambda: estimate([dense(SIX, RELU), "fc2"])) == (  # type: ignore[list-item]
        f"workloads can be priced, got a list with a str; {hint}"
    )
    assert sentence(lambda: estimate(3)) == (  # type: ignore[arg-type]
        "a model, a graph or workloads can be priced, got int; pass the quantized model"
    )


def test_an_unquantized_edge_names_its_place() -> None:
    q = "quantized_bits(6,0,alpha=1)"
    for targets in TARGETS:
        text = sentence(
            lambda targets=targets: estimate(
                nn.Sequential(QLinear(4, 3, weight_quantizer=q, bias_quantizer=q)), (4,), targets
            )
        )
        assert text == "0 reads a tensor that no quantizer made (input); put a quantizer after input"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"process": "horowits"}, "unknown process 'horowits'; did you mean 'horowitz'? Known: "),
        (
            {"weights_on_memory": "ram"},
            "weights_on_memory: unknown memory 'ram'; did you mean 'sram'? Known: ",
        ),
        ({"min_sram_size": -1}, "min_sram_size must be at least 0, got -1"),
        ({"min_sram_size": "big"}, "min_sram_size must be a whole number of bits, got 'big'"),
        ({"rd_wr_on_io": 1}, "rd_wr_on_io must be true or false, got 1"),
        ({"accumulator": "int32"}, "'int32' is no number format; write ap_fixed<W,I,RND_CONV,SAT>"),
    ],
)
def test_settings_out_of_range(settings: dict[str, Any], message: str) -> None:
    assert sentence(lambda: estimate([dense(SIX, RELU)], **settings)).startswith(message)


@pytest.mark.parametrize(
    ("name", "near"),
    [("ebop", "ebops"), ("peak_bit", "peak_bits"), ("sparcity", "sparsity"), ("memory_bit", "memory_bits")],
)
def test_misspelt_figures_are_answered_with_the_nearest(name: str, near: str) -> None:
    text = sentence(lambda: estimate([dense(SIX, RELU)], targets=[name]))
    assert text == f"unknown cost target or figure {name!r}; did you mean {near!r}? Known: {KNOWN}"
    assert sentence(lambda: figure_of(name)) == text


def test_what_is_better_when_it_grows_is_no_cost() -> None:
    assert sentence(lambda: figure_of("sparsity")) == (
        "sparsity is no cost, for more of it is better; name nonzero_weights"
    )
