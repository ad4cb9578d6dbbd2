"""``memory``: which tensors stand somewhere, and how many at one time."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from cost_networks import jets
from torch import Tensor, nn

from torchq.cost import CostReport, Storage, estimate, workloads_of
from torchq.formats import FixedPoint
from torchq.nn import LAYERS, QAdd, QConcat, QEmbedding, QInput, QLinear, QReLU
from torchq.workload import TableSpec, TensorSpec, Workload

EIGHT, FOUR = FixedPoint(8, 3), FixedPoint(4, 1, signed=False)
RELU = "quantized_relu(4,1)"
Q = {"weight_quantizer": "quantized_bits(5,1,alpha=1)", "bias_quantizer": "quantized_bits(5,1,alpha=1)"}


def memory(works: Sequence[Workload]) -> dict[str, float]:
    return dict(Storage().price(tuple(works)).total)


def peaks(report: CostReport) -> dict[str, float]:
    return {row.layer: row.costs["peak_bits"] for row in report.layers}


def test_the_jet_network_by_hand() -> None:
    model = jets("quantized_bits(6,0,alpha=1)", "quantized_relu(6,0)")
    report = estimate(model, (16,), targets="memory")
    logits = estimate(model, (16,)).layer("output").accumulator
    width = FixedPoint.parse(logits).width
    assert isinstance(width, int)
    layers = [16 * 16, 64 * 6, 32 * 6, 32 * 6, 5 * width]
    both = [a + b for a, b in itertools.pairwise(layers)]
    assert report.total["activation_bits"] == sum(layers)
    assert report.total["peak_bits"] == max(both)
    assert report.total["parameter_bits"] == estimate(model, (16,)).total["bits"]
    assert report.total["memory_bits"] == report.total["parameter_bits"] + max(both)
    found = peaks(report)
    assert [found[name] for name in ("relu1", "relu2", "relu3", "output")] == both
    assert found["fc1"] == layers[0]  # its exact sum goes straight into relu1


class Branches(nn.Module):
    """x -> a -> b -> c, and a is needed again at the end."""

    def __init__(self, *, early: bool) -> None:
        super().__init__()
        self.input = QInput("quantized_bits(8,2,alpha=1)")
        self.fc = nn.ModuleList([QLinear(10, 20, **Q), QLinear(20, 40, **Q), QLinear(40, 20, **Q)])
        self.relu = nn.ModuleList([QReLU(RELU) for _ in range(3)])
        self.add, self.early = QAdd(output_quantizer="quantized_bits(6,2,alpha=1)"), early
        self.last = QLinear(20, 20, output_quantizer="quantized_bits(6,2,alpha=1)", **Q)

    def forward(self, x: Tensor) -> Tensor:
        a = self.relu[0](self.fc[0](self.input(x)))
        if self.early:
            a = self.last(a)
        b = self.relu[1](self.fc[1](a))
        c = self.relu[2](self.fc[2](b))
        result: Tensor = self.add(c, c if self.early else a)
        return result


def test_a_branch_keeps_its_tensor_alive() -> None:
    chain, skip = (estimate(Branches(early=early), (10,), targets="memory") for early in (True, False))
    a, b, c, out = 20 * 4, 40 * 4, 20 * 4, 20 * 6
    assert peaks(skip)["relu.1"] == a + b
    assert peaks(skip)["relu.2"] == a + b + c
    assert peaks(skip)["add"] == a + c + out
    assert skip.total["peak_bits"] == a + b + c
    assert peaks(chain)["relu.2"] == b + c
    assert peaks(chain)["add"] == c + out
    assert chain.total["peak_bits"] == 20 * 6 + b


def test_what_reads_a_sum_keeps_what_the_sum_reads() -> None:
    """relu -> flatten -> concat of one tensor with itself; a wire stands nowhere."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.input, self.fc = QInput("quantized_bits(8,2,alpha=1)"), QLinear(6, 4, **Q)
            self.one, self.two = QReLU(RELU), QReLU("quantized_relu(3,1)")
            self.cat = QConcat(1)

        def forward(self, x: Tensor) -> Tensor:
            total = self.fc(self.input(x)).flatten(1)
            result: Tensor = self.cat(self.one(total), self.two(total))
            return result

    report = estimate(Net(), (6,), targets="memory")
    assert peaks(report) == {
        "input": 48,
        "fc": 48,
        "one": 48 + 16,
        "two": 48 + 16 + 12,  # relu two reads the sum, so the input must still be there
        "cat": 16 + 12 + 16 + 12,
    }


def test_the_raw_input_stands_outside_and_an_unquantized_one_does_not() -> None:
    raw, x = TensorSpec("raw", (4,), None), TensorSpec("input", (4,), EIGHT)
    source = Workload("input", "quantize", (raw,), x)
    reader = Workload("relu", "relu", (x,), TensorSpec("relu", (4,), FOUR))
    assert memory((source, reader))["activation_bits"] == 4 * 8 + 4 * 4
    assert memory((Workload("relu", "relu", (raw,), reader.output),))["activation_bits"] == 4 * 32 + 4 * 4


def test_tables_count_once_and_an_embedding_as_its_weight() -> None:
    x, y = TensorSpec("x", (9,), EIGHT), TensorSpec("tanh", (9,), EIGHT)
    tanh = Workload("tanh", "table", (x,), y, tables=(TableSpec("tanh", 256, 8, reads=9),))
    assert memory((tanh,)) == {
        "memory_bits": 2048 + 144,
        "parameter_bits": 0,
        "table_bits": 2048,
        "activation_bits": 144,
        "peak_bits": 144,
    }
    embedding = QEmbedding(8, 3, weight_quantizer="quantized_bits(4,0,alpha=1)")
    report = estimate(nn.Sequential(embedding), (5,), targets="memory")
    assert (report.total["parameter_bits"], report.total["table_bits"]) == (8 * 3 * 4, 0)


def test_tensors_inside_a_layer_count() -> None:
    torch.manual_seed(0)
    cls = LAYERS.get("QMultiheadAttention")
    example = cls.examples()[0]
    layer = cls.from_example(example)
    inner = layer if example.within is None else example.within(layer)
    works = workloads_of(nn.Sequential(QInput(example.input), inner), example.shape)
    outside = sum(work.output.bits for work in (works[0], works[-1]))
    assert memory(works)["activation_bits"] > outside
    assert memory(works)["peak_bits"] <= memory(works)["activation_bits"]
