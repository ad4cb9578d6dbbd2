"""Every type that QTools recorded, and each row of the types' section of docs/qtools-differences.md."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from qtools_golden import FOLDER, models, number_format, runs
from torch import Tensor, nn

from torchq.cost import data_types
from torchq.cost.operators import accumulator, multiplier, operand
from torchq.cost.types import as_format
from torchq.formats import Binary, FixedPoint, Float, Format, PowerOfTwo, Ternary
from torchq.nn import QActivation, QAdd, QInput, QLinear
from torchq.workload import TensorSpec, Workload

RUNS = {run.name: run for run in runs()}
GATED = {"mul", "shifter", "mux", "xor", "and", "add"}


def recorded() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Name, arguments and types of every run."""
    for model in models():
        data = json.loads((FOLDER / f"{model}.json").read_text("utf-8"))
        for number, run in enumerate(data["runs"]):
            types = {k: v for k, v in run["data_type_map"].items() if k != "source_quantizers"}
            yield f"{model}/{number}", run["args"], types


ALL = list(recorded())
COMPUTED = [pytest.param(name, types, id=name) for name, args, types in ALL if not args["for_reference"]]
FORCED = [pytest.param(name, types, id=name) for name, args, types in ALL if args["for_reference"]]


def is_the_same(ours: Format | None, theirs: dict[str, Any]) -> bool:
    """Whether a recorded type is ours: bits, integer bits, sign; of a power of two its largest value."""
    sort = theirs["quantizer_type"]
    if isinstance(ours, FixedPoint):
        facts = (ours.width, ours.integer, bool(ours.signed))
        return sort.startswith("quantized_") and facts == (
            theirs["bits"],
            theirs["int_bits"],
            bool(theirs["is_signed"]),
        )
    if isinstance(ours, PowerOfTwo):
        top = theirs["max_value"]
        bits_and_sign = (ours.width, ours.signed)
        same_top = top == -1 or 2.0**ours.exponent_max == top
        return "po2" in sort and bits_and_sign == (theirs["bits"], bool(theirs["is_signed"])) and same_top
    names = {Ternary: "ternary", Binary: "binary", Float: "floating_point"}
    return ours is not None and sort == names[type(ours)] and ours.width == theirs["bits"]


@pytest.mark.parametrize(("name", "types"), COMPUTED)
def test_multipliers_sums_and_outputs_are_those_of_qtools(name: str, types: dict[str, Any]) -> None:
    table = data_types(RUNS[name].workloads)
    compared = 0
    for layer, entry in types.items():
        row = table.row(layer)
        assert is_the_same(row.output, entry["output_quantizer"]), layer
        assert is_the_same(row.inputs[0], entry["input_quantizer_list"][0]), layer
        if "multiplier" not in entry:
            continue
        assert row.gate == entry["multiplier"]["op_type"], layer
        assert is_the_same(row.product, entry["multiplier"]), (layer, row.product)
        for adder in ("accumulator", "fused_accumulator"):
            assert is_the_same(row.accumulator, entry[adder]), (layer, row.accumulator)
        assert is_the_same(row.weight, entry["weight_quantizer"]), layer
        assert "bias_quantizer" in entry or row.accumulator == row.sum
        compared += 1
    assert compared >= 4


def test_all_recorded_runs_are_compared() -> None:
    assert len(COMPUTED) >= 15
    assert len(FORCED) >= 1
    gates = {e["multiplier"]["op_type"] for _, _, types in ALL for e in types.values() if "multiplier" in e}
    assert {"mul", "mux", "add"} <= gates <= GATED


@pytest.mark.parametrize(("name", "types"), FORCED)
def test_reference_runs_force_one_type_on_everything(name: str, types: dict[str, Any]) -> None:
    rows = data_types(RUNS[name].workloads)
    layers = {layer: entry for layer, entry in types.items() if "multiplier" in entry}
    forced = {json.dumps({**e["accumulator"], "op_type": ""}) for e in layers.values()}
    assert len(forced) == 1
    for layer, entry in layers.items():
        row = rows.row(layer)
        assert not is_the_same(row.accumulator, entry["accumulator"]), layer
        assert row.accumulator == as_format(
            accumulator(
                multiplier(operand(row.weight), operand(row.inputs[0])).product,
                next(w for w in RUNS[name].workloads if w.layer == layer).fan_in,
                None if row.bias is None else operand(row.bias),
            )
        )


def batch_norms() -> list[dict[str, Any]]:
    return [
        entry
        for _, args, types in ALL
        if not args["for_reference"]
        for entry in types.values()
        if entry["layer_type"] == "QBatchNormalization"
    ]


def test_batch_norm_multiplies_and_adds_as_qtools_does() -> None:
    assert len(batch_norms()) >= 5
    for entry in batch_norms():
        quotient, x, beta = (
            operand(number_format(part))
            for part in (
                entry["internal_divide_quantizer"],
                entry["input_quantizer_list"][0],
                entry["beta_quantizer"],
            )
        )
        made = multiplier(quotient, x)
        assert made.gate == entry["internal_multiplier"]["op_type"]
        assert is_the_same(as_format(made.product), entry["internal_multiplier"])
        assert is_the_same(as_format(accumulator(made.product, 1, beta)), entry["internal_accumulator"])


def test_batch_norm_of_qtools_divides_two_powers_of_two() -> None:
    for entry in batch_norms():
        quotient = entry["internal_divide_quantizer"]
        both = entry["gamma_quantizer"]["bits"], entry["variance_quantizer"]["bits"]
        assert quotient["bits"] == max(both) + 1


class Branches(nn.Module):
    """A tensor, itself again and a narrow one are added."""

    def __init__(self) -> None:
        super().__init__()
        self.quantize = QInput("fixed(8,3)")
        self.narrow = QActivation("fixed(4,4)")
        self.add = QAdd()

    def forward(self, x: Tensor) -> Tensor:
        x = self.quantize(x)
        result: Tensor = self.add(x, x, self.narrow(x))
        return result


def test_a_sum_of_tensors_is_as_wide_as_it_needs_to_be() -> None:
    row = data_types(Branches(), (2,)).row("add")
    assert str(row.accumulator) == "ap_fixed<10,5,TRN,WRAP>"  # QTools: 9 bits of them, the last one is lost


def test_the_two_most_negative_codes_are_in_the_tight_type_alone() -> None:
    layer = QLinear(1, 1, bias=False, weight_quantizer="quantized_bits(4,0,alpha=1)")
    nn.init.constant_(layer.weight, -9.0)
    row = data_types(nn.Sequential(QInput("quantized_bits(4,0,alpha=1)"), layer)).row("1")
    assert str(row.product) == "ap_fixed<7,1,TRN,WRAP>"
    assert str(row.tight_accumulator) == "ap_fixed<5,2,TRN,WRAP>"  # -1 * -1 is 1


def test_a_type_says_what_its_operand_is() -> None:
    formats: list[Format] = [
        FixedPoint(6, 1),
        FixedPoint(6, 0, signed=False),
        Ternary(),
        Binary(),
        Binary(use_01=True),
        PowerOfTwo(4, -4, 3),
        PowerOfTwo(3, -4, 0, signed=False),
        Float(16),
    ]
    for format in formats:
        assert operand(as_format(operand(format))) == operand(format)


def test_a_workload_without_formats_is_float() -> None:
    x, y = TensorSpec("x", (2,), None), TensorSpec("y", (2,), None)
    row = data_types([Workload("y", "relu", (x,), y)]).row("y")
    assert row.to_dict()["inputs"] == ["float32"]
    assert row.to_dict()["output"] == "float32"
