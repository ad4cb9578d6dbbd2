"""Which layers touch the model's input and output."""

from __future__ import annotations

from torchq.cost.border import border
from torchq.formats import FixedPoint
from torchq.workload import TensorSpec, Workload

GRID = FixedPoint(8, 1)


def layer(name: str, kind: str, *sources: str, raw: bool = False) -> Workload:
    form = None if raw else GRID
    inputs = tuple(TensorSpec(source, (4,), form) for source in sources)
    return Workload(name, kind, inputs, TensorSpec(name, (4,), GRID))


def test_the_quantizer_of_the_input_is_a_source_and_its_reader_is_first() -> None:
    found = border(
        (layer("in", "quantize", "x", raw=True), layer("fc1", "linear", "in"), layer("r", "relu", "fc1"))
    )
    assert found == ({"in"}, {"fc1"}, {"r"})


def test_a_quantizer_of_quantized_input_is_a_layer() -> None:
    found = border((layer("q", "quantize", "x"), layer("fc1", "linear", "q")))
    assert found == (set(), {"q"}, {"fc1"})


def test_wires_are_looked_through_on_both_sides() -> None:
    works = (
        layer("x", "input"),
        layer("drop", "identity", "x", raw=True),
        layer("in", "quantize", "drop", raw=True),
        layer("flat", "identity", "in"),
        layer("fc1", "linear", "flat"),
        layer("end", "identity", "fc1"),
    )
    assert border(works) == ({"x", "drop", "in", "flat"}, {"fc1"}, {"fc1"})


def test_branches() -> None:
    works = (
        layer("in", "quantize", "x", raw=True),
        layer("a", "relu", "in"),
        layer("b", "linear", "a"),
        layer("sum", "relu", "b", "in"),
        layer("tap", "relu", "b"),
    )
    assert border(works) == ({"in"}, {"a", "sum"}, {"sum", "tap"})


def test_nothing() -> None:
    assert border(()) == (set(), set(), set())
