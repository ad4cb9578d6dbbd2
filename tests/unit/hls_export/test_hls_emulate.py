"""The emulator's three arithmetics against each other, and against exact fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hls_networks import ALL_MODES, random_graph

from hls_export.emulate import Emulator, emulate
from hls_export.hardware import Dense, HardwareGraph, Input, Quantize, Relu
from hls_export.passes import annotate
from hls_export.vectors import adversarial
from torchq.errors import BackendError, DataError
from torchq.formats import FixedPoint


@pytest.mark.parametrize("seed", range(60))
def test_three_arithmetics_are_one(seed):
    graph = random_graph(seed, ALL_MODES)
    x = adversarial(graph, 120, seed)
    fastest = Emulator(graph)
    assert fastest.arithmetic in ("float32", "float64")
    expected = Emulator(graph, "integer").trace(x)
    for emulator in (fastest, Emulator(graph, "float64")):
        got = emulator.trace(x)
        assert got.keys() == expected.keys()
        assert all((got[name] == expected[name]).all() for name in expected)
        assert (emulator(x) == expected[graph.output]).all()


def test_sums_in_exact_fractions():
    graph = random_graph(11, layers=3)
    for row, got in zip(adversarial(graph, 60, 1), emulate(graph, adversarial(graph, 60, 1)), strict=True):
        assert [Fraction(v) for v in got.tolist()] == _in_fractions(graph, row)


def test_more_than_53_bits_need_integers():
    """2**50 * 1 + 1/16 cannot be held by a float64, and the next quantizer sees the 1/16."""
    nodes = (
        Input(name="x", shape=(2,)),
        Quantize(name="q", inputs=("x",), shape=(2,), format=FixedPoint(8, 3)),
        Dense(
            name="fc",
            inputs=("q",),
            shape=(1,),
            weight=np.array([[2.0**50], [1.0]]),
            weight_format=FixedPoint(53, 52),
        ),
        Quantize(name="o", inputs=("fc",), shape=(1,), format=FixedPoint(10, 5, overflow="WRAP")),
    )
    graph = annotate(HardwareGraph(nodes, "x", "o"))
    emulator = Emulator(graph)
    assert emulator.arithmetic == "integer"
    assert emulator([[1.0, 1.0 / 32]]).tolist() == [[1.0 / 32]]
    assert Emulator(graph, "float64")([[1.0, 1.0 / 32]]).tolist() == [[0.0]]
    with pytest.raises(BackendError) as fault:
        emulate(graph.with_nodes(graph.nodes[:3], output="fc"), [[1.0, 1.0]])
    assert str(fault.value) == "fc has values of 59 bits, and float64 holds 53; put a quantizer behind it"


@pytest.mark.parametrize("size", [1, 4095, 4096, 4097, 9000])
def test_chunks_are_seamless(size):
    graph = random_graph(2)
    x = np.random.default_rng(0).normal(size=(size, *graph.input_shape)) * 4
    assert (emulate(graph, x) == emulate(graph, x, trace=True)[graph.output]).all()


def test_no_sample_gives_no_output():
    graph = random_graph(2)
    assert emulate(graph, np.zeros((0, *graph.input_shape))).shape == (0, *graph.output_shape)


def test_there_is_no_negative_zero():
    nodes = (
        Input(name="x", shape=(1,)),
        Quantize(name="q", inputs=("x",), shape=(1,), format=FixedPoint(4, 2)),
        Relu(name="r", inputs=("q",), shape=(1,)),
    )
    graph = annotate(HardwareGraph(nodes[:2], "x", "q"))
    assert not np.signbit(emulate(graph, [[-0.1]])).any()
    assert not np.signbit(emulate(graph, [[-0.1]], trace=True)["q"]).any()


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((3, 5)), "the samples have shape (3, 5), the model takes (n, 2)"),
        (np.zeros(2), "the samples have shape (2,), the model takes (n, 2)"),
        ([["a", "b"]], "the samples are <U1, the model takes real numbers"),
        ([[0.0, 0.0], [0.0, np.nan]], "the samples hold nan in sample 1; give finite numbers"),
        ([[np.inf, 0.0]], "the samples hold inf in sample 0; give finite numbers"),
    ],
)
def test_samples_that_are_none(x, message):
    nodes = (
        Input(name="x", shape=(2,)),
        Quantize(name="q", inputs=("x",), shape=(2,), format=FixedPoint(4, 2)),
    )
    with pytest.raises(DataError) as fault:
        emulate(HardwareGraph(nodes, "x", "q"), x)
    assert str(fault.value) == message


def _in_fractions(graph: HardwareGraph, row: np.ndarray) -> list[Fraction]:
    """Every sum with Python's fractions, no float in it; ``round`` of a fraction is half to even."""
    edges: dict[str, list[Fraction]] = {graph.input: [Fraction(v) for v in row.tolist()]}
    for node in graph.nodes[1:]:
        x = edges[node.inputs[0]]
        if isinstance(node, Relu):
            edges[node.name] = [max(v, Fraction(0)) for v in x]
        elif isinstance(node, Dense):
            bias = [0.0] * node.n_out if node.bias is None else node.bias.tolist()
            columns = node.weight.T.tolist()
            edges[node.name] = [
                sum((Fraction(w) * v for w, v in zip(column, x, strict=True)), Fraction(b))
                for column, b in zip(columns, bias, strict=True)
            ]
        else:
            lsb = Fraction(node.format.lsb)
            nearest = round if node.format.rounding == "RND_CONV" else (lambda v: v.__floor__())
            low, high = int(node.format.code_min), int(node.format.code_max)
            edges[node.name] = [min(max(nearest(v / lsb), low), high) * lsb for v in x]
    return edges[graph.output]
