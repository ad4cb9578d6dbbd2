"""Every registered layer has an energy, and it grows with what the layer does."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import pytest
from torch import nn

from torchq.cost import BF, Q6, Energy, in_formats, workloads_of
from torchq.cost.energy import COUNTED
from torchq.formats import FixedPoint
from torchq.nn import QEmbedding, QInput, QTanh
from torchq.nn.registry import LAYERS
from torchq.workload import Workload

LAYER_EXAMPLES = [(name, cls, example) for name, cls in LAYERS.items() for example in cls.examples()]
every_example = pytest.mark.parametrize(
    "number", range(len(LAYER_EXAMPLES)), ids=[f"{i}-{name}" for i, (name, _, _) in enumerate(LAYER_EXAMPLES)]
)


@cache
def works_of(number: int) -> tuple[Workload, ...]:
    _, cls, example = LAYER_EXAMPLES[number]
    layer: nn.Module = cls.from_example(example)
    layer = layer if example.within is None else example.within(layer)
    first = () if cls.reads_integers else (QInput(example.input),)
    return workloads_of(nn.Sequential(*first, layer).eval(), example.shape)


@every_example
def test_no_layer_is_free(number: int) -> None:
    _, cls, example = LAYER_EXAMPLES[number]
    works = works_of(number)
    own = works if cls.reads_integers else works[1:]
    rows = Energy().price(works).layers[-len(own) :]
    energy = sum(row["energy_pj"] for row in rows)
    joined_as_they_are = cls.kind == "concat" and "output" not in example.slots
    assert energy == 0 if joined_as_they_are else energy > 0
    for row in rows:
        assert all(math.isfinite(value) and value >= 0 for value in row.values())


@every_example
def test_what_it_computes_beside_is_stated_whole(number: int) -> None:
    for work in works_of(number):
        assert work.kind in COUNTED
        for operation in work.operations:
            assert operation.count > 0
            assert len(operation.operands) >= 2
            assert None not in (*operation.operands, operation.result)
        for table in work.tables:
            assert table.entries > 0 < table.width
            assert table.reads > 0


@every_example
def test_twice_the_work_costs_twice_the_operations(number: int) -> None:
    def twice(work: Workload) -> Workload:
        return replace(
            work,
            macs=2 * work.macs,
            operations=tuple(replace(op, count=2 * op.count) for op in work.operations),
        )

    works = works_of(number)
    once = Energy().price(works).total["energy_pj_op_cost"]
    assert Energy().price([twice(work) for work in works]).total["energy_pj_op_cost"] == pytest.approx(
        2 * once
    )


@every_example
def test_the_reference_of_more_bits_is_never_cheaper(number: int) -> None:
    works = works_of(number)
    narrow, wide = (Energy().price(in_formats(works, formats)).total["energy_pj"] for formats in (Q6, BF))
    assert narrow <= wide


def test_tables_in_logic_are_free_and_off_chip_ones_dear() -> None:
    model = nn.Sequential(QInput("quantized_bits(8,3)"), QTanh("quantized_bits(8,0,alpha=1)"))
    works = workloads_of(model, (5,))
    fixed, sram, dram = (
        Energy(weights_on_memory=memory).price(works).total["energy_pj_parameters"]
        for memory in ("fixed", "sram", "dram")
    )
    assert fixed == 0 < sram < dram == pytest.approx(5 * 8 * 20.3125)


def test_a_wider_table_is_a_larger_memory() -> None:
    def read(address: str) -> float:
        layer = QTanh("quantized_bits(16,0,alpha=1)", input_quantizer=address)
        works = workloads_of(nn.Sequential(QInput("quantized_bits(8,3)"), layer), (5,))
        return Energy(min_sram_size=1 << 15).price(works).total["energy_pj_parameters"]

    assert read("fixed(8,3)") == read("fixed(11,4)") < read("fixed(12,4)")


def test_an_embedding_reads_rows_not_its_whole_table() -> None:
    layer = QEmbedding(1000, 16, weight_quantizer="quantized_bits(8,1,alpha=1)")
    (work,) = workloads_of(nn.Sequential(layer), (5,))
    row = Energy().price((work,)).layers[0]
    word = Energy().price((work,)).layers[0]["energy_pj_outputs"] / math.ceil(5 * 16 * 8 / 64)
    assert row["energy_pj_parameters"] == pytest.approx(5 * 2 * word)
    assert work.tables[0].bits == work.parameter_bits


def test_a_workload_keeps_its_formats_in_the_reference() -> None:
    model = nn.Sequential(QInput("quantized_bits(8,3)"), nn.MaxPool1d(2))
    works = in_formats(model, BF, (2, 4))
    assert works[1].operations[0].result == FixedPoint(8, 4)
