"""Intervals over whole graphs: batch axes, tuples, given states, what has no rule, what has no grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import pytest
import torch
from interval_networks import check_values_inside, inside, layer, samples, traced
from torch import Tensor, nn

from torchq.cost import data_types
from torchq.formats import FixedPoint, Format
from torchq.graph import evaluate
from torchq.graph.intervals import Interval
from torchq.nn import LAYERS, QActivation, QInput, QReLU
from torchq.nn.base import QLayer
from torchq.quantizers import parse
from torchq.workload import TensorSpec

RECURRENT = {
    "weight_quantizer": "fixed(5,1)",
    "recurrent_quantizer": "fixed(4,1)",
    "bias_quantizer": "fixed(5,1)",
}


class StepsFirst(nn.Module):
    """Recurrent layers that have the batch along their second axis."""

    def __init__(self, name: str) -> None:
        super().__init__()
        cls: Any = LAYERS.get(name)
        self.quantize = QInput("fixed(6,3)")
        self.first = cls(3, 2, 2, bidirectional=True, **RECURRENT)
        self.second = cls(4, 2, 2, bidirectional=True, output_quantizer="fixed(5,1)", **RECURRENT)

    def forward(self, x: Tensor) -> Tensor:
        x = self.quantize(x).transpose(0, 1)
        y, _ = self.first(x)
        result: Tensor = self.second(y)[0].transpose(0, 1)
        return result


@pytest.mark.parametrize("name", ["QLSTM", "QGRU", "QRNN"])
def test_steps_may_come_first(name: str) -> None:
    torch.manual_seed(2)
    model = StepsFirst(name).double()
    for parameter in model.parameters():
        nn.init.uniform_(parameter, -2, 2)
    graph, found = traced(model, (4, 3))
    assert all(found[node.name].value is not None for node in graph.nodes[1:])
    assert check_values_inside(graph, found, samples((4, 3))) >= len(graph.nodes) - 1
    first = found["first"].value
    assert isinstance(first, tuple)
    assert isinstance(first[0], Interval)
    assert first[0].shape == (4, 4)


class LastState(nn.Module):
    """A classifier of the state after the last step."""

    def __init__(self, name: str) -> None:
        super().__init__()
        cls: Any = LAYERS.get(name)
        self.quantize = QInput("fixed(6,3)")
        self.steps = cls(3, 2, 2, batch_first=True, **RECURRENT)
        self.fc = layer("QLinear", 2, 2, weight_quantizer="fixed(4,1)", bias=False)

    def forward(self, x: Tensor) -> Any:
        states = self.steps(self.quantize(x))[1]
        return self.fc((states[0] if isinstance(self.steps, nn.LSTM) else states)[-1])


@pytest.mark.parametrize("name", ["QLSTM", "QGRU", "QRNN"])
def test_the_last_state_is_followed(name: str) -> None:
    torch.manual_seed(2)
    model = LastState(name).double()
    graph, found = traced(model, (4, 3))
    value = found[graph.output].value
    assert isinstance(value, Interval)
    assert value.shape == (2,)
    assert check_values_inside(graph, found, samples((4, 3))) >= 4


class Halved(QLayer):
    """A layer that nothing is known of but its formats."""

    kind: ClassVar[str] = "halved"
    slots: ClassVar[tuple[str, ...]] = ()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x / 2, x / 4

    def output_format(self, source: Format | None) -> Format | None:
        assert isinstance(source, FixedPoint)
        return FixedPoint(source.width, source.integer - 1, source.signed)

    def item_format(self, path: tuple[int, ...], sources: Sequence[TensorSpec]) -> Format | None:
        half = self.output_format(sources[0].format)
        return half if path == (0,) else self.output_format(half)

    def item_quantized(self, path: tuple[int, ...]) -> bool:
        return True


class Items(nn.Module):
    """Both tensors of a layer, one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.quantize, self.halved = QInput("fixed(6,3)"), Halved()
        self.join = layer("QConcat", 1)

    def forward(self, x: Tensor) -> Any:
        halves = self.halved(self.quantize(x))
        return self.join(halves[0], halves[1])


def test_a_layer_without_a_rule_has_the_range_of_its_formats() -> None:
    graph, found = traced(Items().double(), (2,))
    values = evaluate(graph, samples((2,)))
    count = len(samples((2,)))
    for name in ("getitem", "getitem_1", "join"):
        assert inside(found[name].value, values[name], count, 0, name) == 1
    joined = found["join"].value
    assert isinstance(joined, Interval)
    assert [end.tolist() for end in joined.ends()] == [[-2, -2, -1, -1], [1.9375, 1.9375, 0.96875, 0.96875]]


def test_a_float_softmax_at_the_end_has_no_tight_type() -> None:
    fc = layer("QLinear", 3, 2, weight_quantizer="fixed(4,1)", bias_quantizer="fixed(4,1)")
    table = data_types(nn.Sequential(QInput("fixed(6,3)"), fc, nn.Softmax(-1)), (3,))
    row = table.row("2")
    assert (row.kind, row.output, row.tight_output) == ("softmax", None, None)
    assert table.row("1").tight_output is not None


def test_scales_that_follow_from_the_data_leave_the_tight_columns_empty() -> None:
    fc = layer("QLinear", 3, 2, bias=False, weight_quantizer="fixed(4,1)")
    model = nn.Sequential(QInput("quantized_bits(4,0,alpha='auto_po2')"), fc)
    row = data_types(model, (3,)).row("1")
    assert row.product is not None
    assert (row.tight_product, row.tight_accumulator, row.tight_output) == (None, None, None)


def test_behind_such_a_scale_a_quantizer_knows_its_range_again() -> None:
    model = nn.Sequential(QInput("quantized_bits(4,0,alpha='auto_po2')"), QReLU("quantized_relu(4,1)"))
    graph, found = traced(model, (3,))
    value = found[graph.output].value
    assert isinstance(value, Interval)
    assert value.format() == FixedPoint.parse("ap_ufixed<4,1>")


def test_a_relu_of_anything_that_wraps_may_be_below_zero() -> None:
    class Raw(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.relu = QReLU("fixed(4,2,overflow='WRAP')")

        def forward(self, x: Tensor) -> Any:
            return self.relu(x)

    graph, found = traced(Raw().double(), (2,))
    check_values_inside(graph, found, torch.tensor([[2.5, 1.0]], dtype=torch.float64))


def test_a_layer_that_is_called_twice_has_two_ranges() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.quantize = QInput("fixed(4,2)")
            self.fc = layer(
                "QLinear", 2, 2, weight_quantizer="fixed(4,2)", bias=False, output_quantizer="fixed(6,4)"
            )
            nn.init.constant_(self.fc.weight, 1.0)  # type: ignore[arg-type]

        def forward(self, x: Tensor) -> Any:
            return self.fc(self.fc(self.quantize(x)))

    table = data_types(Twice(), (2,))
    assert str(table.row("fc").tight_output) == "ap_fixed<5,3,TRN,WRAP>"
    assert str(table.row("fc_1").tight_output) == "ap_fixed<6,4,TRN,WRAP>"


def test_a_transposed_convolution_of_a_given_size_has_the_range_of_its_format() -> None:
    class Sized(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.quantize = QInput("fixed(4,2)")
            self.up = layer("QConvTranspose1d", 1, 1, 3, 2, weight_quantizer="fixed(4,2)", bias=False)

        def forward(self, x: Tensor) -> Any:
            return self.up(self.quantize(x), output_size=[6])

    graph, found = traced(Sized().double(), (1, 2))
    assert graph.node("up").shape == (1, 6)
    assert check_values_inside(graph, found, samples((1, 2))) == 2


def test_an_embedding_is_as_tight_as_its_columns() -> None:
    table = layer("QEmbedding", 3, 2, weight_quantizer="fixed(6,3)")
    table.weight.data = torch.tensor([[1.0, -2.0], [0.5, 0.0], [2.0, -1.0]])
    graph, found = traced(nn.Sequential(table), (2,))
    value = found[graph.output].value
    assert isinstance(value, Interval)
    assert [end.tolist() for end in value.ends()] == [[[0.5, -2.0]] * 2, [[2.0, 0.0]] * 2]


def test_a_large_convolution_is_done_in_floats_that_are_proven() -> None:
    torch.manual_seed(0)
    q = {"weight_quantizer": "fixed(6,1)", "bias_quantizer": "fixed(6,1)"}
    conv = nn.Sequential(
        QInput("fixed(8,1)"), layer("QConv2d", 3, 16, 3, padding=1, **q), QActivation("fixed(8,3)")
    )
    graph, found = traced(conv.double(), (3, 16, 16))
    value = found["1"].value
    assert isinstance(value, Interval)
    assert value.low.dtype == "int64"
    assert check_values_inside(graph, found, samples((3, 16, 16), 8)) == 3


def test_weights_that_are_not_finite_have_no_range() -> None:
    fc = layer("QLinear", 2, 1, bias=False, weight_quantizer="fixed(4,1)")
    fc.weight.data = torch.tensor([[float("nan"), 1.0]])
    assert parse("fixed(4,1)")(fc.weight.data).isnan().any()
    _, found = traced(nn.Sequential(QInput("fixed(4,2)"), fc), (2,))
    assert found["1"].value is None
