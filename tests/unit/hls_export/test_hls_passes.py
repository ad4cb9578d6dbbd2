"""Every rewrite against the graph that it rewrites, in numbers."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hls_networks import ALL_MODES, random_format, random_graph

from hls_export.emulate import Emulator, emulate
from hls_export.hardware import Dense, HardwareGraph, Identity, Input, Quantize, Relu, Reshape
from hls_export.passes import (
    annotate,
    bounds,
    drop_identities,
    flatten,
    fuse_relu,
    merge_quantizers,
    quantize_first,
)
from hls_export.passes.merge_quantizers import merged_format
from hls_export.vectors import adversarial
from torchq.errors import ExportError
from torchq.formats import FixedPoint, Overflow, Rounding

SEEDS = range(40)


@pytest.mark.parametrize("seed", SEEDS)
def test_bounds_hold_every_value_of_every_edge(seed):
    graph = random_graph(seed, ALL_MODES)
    known = bounds(graph)
    for name, values in emulate(graph, adversarial(graph, 200, seed), trace=True).items():
        if name == graph.input:
            continue
        edge = known[name]
        low, high = (codes.astype(np.float64) * 2.0**-edge.fraction for codes in (edge.low, edge.high))
        assert (low <= values).all()
        assert (values <= high).all()
        assert edge.format().holds(values).all()


@pytest.mark.parametrize("seed", range(20))
def test_bounds_of_one_product_are_reached(seed):
    """The ends are taken by the inputs that the signs of the weights ask for, so they are not too wide."""
    random = np.random.default_rng(seed)
    graph = random_graph(seed, layers=1)
    dense = graph.node("fc1")
    grid = graph.node("in").format
    edge = bounds(graph)["fc1"]
    column = int(random.integers(dense.n_out))
    positive = dense.weight[:, column] > 0
    best, worst = np.where(positive, grid.hi, grid.lo), np.where(positive, grid.lo, grid.hi)
    sums = emulate(graph, np.stack([best, worst]), trace=True)["fc1"][:, column]
    assert sums.tolist() == [codes[column] * 2.0**-edge.fraction for codes in (edge.high, edge.low)]


def test_reach_bounds_partial_sums_that_cancel():
    weight = np.array([[1.0], [-1.0]])
    graph = _behind_input(_dense(weight))
    edge = bounds(graph)["fc"]
    assert (int(edge.high[0]), edge.reach) == (15, 16)


def test_wide_bounds_are_python_integers():
    weight = np.full((4, 1), 2.0**60)
    dense = Dense(name="fc", inputs=("q",), shape=(1,), weight=weight, weight_format=FixedPoint(2, 62))
    edge = bounds(_behind_input(dense, size=4))["fc"]
    assert str(edge.format()) == "ap_fixed<6,64,TRN,WRAP>"
    assert edge.low.tolist() == [-32]


def test_bounds_refuse_a_raw_input():
    graph = HardwareGraph((Input(name="x", shape=(2,)), Relu(name="r", inputs=("x",), shape=(2,))), "x", "r")
    with pytest.raises(ExportError) as fault:
        bounds(graph)
    assert str(fault.value) == "r reads the raw input; put a quantizer directly behind the input"


def test_identities_leave_and_the_output_stays_the_same_tensor():
    nodes = (
        Input(name="x", shape=(4,)),
        Identity(name="drop", inputs=("x",), shape=(4,)),
        Quantize(name="q", inputs=("drop",), shape=(4,), format=FixedPoint(4, 2)),
        Reshape(name="same", inputs=("q",), shape=(4,)),
        Identity(name="last", inputs=("same",), shape=(4,)),
    )
    graph = drop_identities(HardwareGraph(nodes, "x", "last"))
    assert graph.names == ("x", "q")
    assert graph.output == "q"


@pytest.mark.parametrize("seed", SEEDS)
def test_fusing_relu_changes_no_value(seed):
    graph = random_graph(seed, ALL_MODES)
    fused = fuse_relu(graph)
    x = adversarial(graph, 200, seed)
    before, after = emulate(graph, x, trace=True), Emulator(fused).trace(x)
    assert all((before[name] == after[name]).all() for name in after)


def test_fusing_relu_happens_and_stops_at_wrapping_and_at_the_output():
    relu = Relu(name="r", inputs=("q",), shape=(2,))
    for grid, left in (
        (FixedPoint(4, 2, signed=False), False),
        (FixedPoint(4, 2, signed=False, overflow="WRAP"), True),
        (FixedPoint(4, 2), True),
    ):
        graph = _behind_input(relu, Quantize(name="o", inputs=("r",), shape=(2,), format=grid))
        assert ("r" in fuse_relu(graph).names) is left
    assert "r" in fuse_relu(_behind_input(relu)).names


def test_merged_quantizers_do_what_the_two_did():
    """Every pair of many formats, on every code and tie of both grids."""
    random = np.random.default_rng(5)
    merged = 0
    for _ in range(3000):
        first, second = (random_format(random, ALL_MODES) for _ in range(2))
        first, second = (
            replace(
                f, width=int(random.integers(1 if not f.signed else 2, 6)), integer=int(random.integers(0, 4))
            )
            for f in (first, second)
        )
        grid = merged_format(first, second)
        if grid is None:
            continue
        merged += 1
        step = min(first.lsb, second.lsb) / 4
        x = np.arange(-70, 70) * step
        x = np.concatenate([x, x * 8])
        assert grid.quantize(x).tolist() == second.quantize(first.quantize(x)).tolist(), (first, second, grid)
    assert merged > 300


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (FixedPoint(4, 2), FixedPoint(8, 4), "ap_fixed<4,2,RND_CONV,SAT>"),
        (FixedPoint(8, 4), FixedPoint(4, 2), None),
        (FixedPoint(8, 6), FixedPoint(4, 2), "ap_fixed<4,2,RND_CONV,SAT>"),
        (FixedPoint(8, 4, rounding="TRN"), FixedPoint(4, 2, rounding="TRN"), "ap_fixed<4,2,TRN,SAT>"),
        (FixedPoint(4, 2, overflow="WRAP"), FixedPoint(3, 1), None),
    ],
)
def test_which_quantizers_merge(first, second, expected):
    grid = merged_format(first, second)
    assert expected == (None if grid is None else str(grid))


def test_merging_keeps_the_later_name_and_stops_where_two_read():
    a = Quantize(name="a", inputs=("q",), shape=(2,), format=FixedPoint(8, 4))
    graph = _behind_input(a)
    assert merge_quantizers(graph).names == ("x", "a")
    two = graph.with_nodes([*graph.nodes, Relu(name="r", inputs=("q",), shape=(2,))])
    assert merge_quantizers(two).names == two.names


def test_quantizers_go_in_front_of_reshapes():
    grid = FixedPoint(np.arange(2, 6), 2)
    nodes = (
        Input(name="x", shape=(2, 2)),
        Reshape(name="flat", inputs=("x",), shape=(4,)),
        Quantize(name="q", inputs=("flat",), shape=(4,), format=grid),
        Relu(name="r", inputs=("q",), shape=(4,)),
    )
    graph = annotate(quantize_first(HardwareGraph(nodes, "x", "r")))
    assert graph.names == ("x", "q", "flat", "r")
    x = np.random.default_rng(0).normal(size=(50, 2, 2)) * 3
    assert (emulate(graph, x) == np.maximum(grid.quantize(x.reshape(50, 4)), 0)).all()


def test_flattening_leaves_reshapes_out_and_keeps_the_order():
    nodes = (
        Input(name="x", shape=(2, 2)),
        Quantize(name="q", inputs=("x",), shape=(2, 2), format=FixedPoint(4, 2)),
        Reshape(name="flat", inputs=("q",), shape=(4,)),
        replace(_dense(np.arange(8.0).reshape(4, 2) / 4), inputs=("flat",)),
        Reshape(name="tall", inputs=("fc",), shape=(2, 1)),
    )
    graph = annotate(HardwareGraph(nodes, "x", "tall"))
    flat = flatten(graph)
    assert (flat.names, flat.output) == (("x", "q", "fc"), "fc")
    x = np.random.default_rng(0).normal(size=(50, 2, 2))
    assert (emulate(graph, x).reshape(50, 2) == emulate(flat, x.reshape(50, 4))).all()


def test_flattening_keeps_formats_by_element_where_they_are():
    nodes = (
        Input(name="x", shape=(2, 2)),
        Quantize(name="q", inputs=("x",), shape=(2, 2), format=FixedPoint(np.arange(2, 4), 2)),
        Reshape(name="flat", inputs=("q",), shape=(4,)),
    )
    graph = HardwareGraph(nodes, "x", "flat")
    assert flatten(graph) is graph


def test_every_pass_leaves_all_modes_alone():
    for rounding, overflow in itertools.product(Rounding, Overflow):
        graph = _behind_input(Relu(name="r", inputs=("q",), shape=(2,)))
        q = replace(graph.node("q"), format=FixedPoint(4, 2, True, rounding, overflow))
        graph = annotate(graph.with_nodes([q if node.name == "q" else node for node in graph.nodes]))
        for rewrite in (drop_identities, merge_quantizers, fuse_relu, quantize_first, flatten):
            assert rewrite(graph).digest() == graph.digest()


def _dense(weight: np.ndarray) -> Dense:
    shape = (weight.shape[1],)
    return Dense(name="fc", inputs=("q",), shape=shape, weight=weight, weight_format=FixedPoint(6, 3))


def _behind_input(*nodes, size: int = 2) -> HardwareGraph:
    x = Input(name="x", shape=(size,))
    q = Quantize(name="q", inputs=("x",), shape=(size,), format=FixedPoint(4, 2))
    return HardwareGraph((x, q, *nodes), "x", nodes[-1].name)
