"""Every kind of node: the three arithmetics of the emulator agree, and no value leaves its bounds."""

from __future__ import annotations

import numpy as np
import pytest
from hls_nodes import KINDS, random_nodes

from hls_export.emulate import Emulator
from hls_export.hardware import (
    Concat,
    Conv,
    Embedding,
    HardwareGraph,
    Input,
    LeakyRelu,
    MaxPool,
    Quantize,
    Select,
    Table,
)
from hls_export.passes import annotate, bounds
from hls_export.vectors import adversarial
from torchq.errors import ExportError
from torchq.formats import FixedPoint

FOUR = FixedPoint(4, 2)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(12))
def test_three_arithmetics_are_one(kind, seed):
    graph = random_nodes(1000 * KINDS.index(kind) + seed, first=kind)
    x = adversarial(graph, 60, seed)
    expected = Emulator(graph, "integer").trace(x)
    fastest = Emulator(graph)
    for emulator in (fastest, Emulator(graph, "float64")):
        if emulator.arithmetic == "float64" and max(b.bits for b in emulator.bounds.values()) > 53:
            continue
        got = emulator.trace(x)
        wrong = [name for name in expected if not (got[name] == expected[name]).all()]
        assert not wrong
        assert (emulator(x) == expected[graph.output]).all()
    for name, edge in bounds(graph).items():
        codes = expected[name] * 2.0**edge.fraction
        assert (codes >= edge.low.astype(float)).all(), name
        assert (codes <= edge.high.astype(float)).all(), name
        assert graph.node(name).format.holds(expected[name]).all(), name


def test_every_kind_was_there():
    seen = {node.kind for i, k in enumerate(KINDS) for node in random_nodes(1000 * i, first=k).nodes}
    assert {"conv", "matmul", "table", "select", "max_pool", "sum_pool", "leaky_relu"} <= seen


def behind(node, shape=(2, 3), grid=FOUR):
    """A graph of one node behind an input's quantizer."""
    first = Input(name="x", shape=shape)
    return HardwareGraph(
        (first, Quantize(name="q", inputs=("x",), shape=shape, format=grid), node), "x", node.name
    )


def test_a_convolution_by_hand():
    node = Conv(
        name="c",
        inputs=("q",),
        shape=(1, 2),
        weight=np.array([[[1.0, 2.0], [0.0, -1.0]]]),
        weight_format=FOUR.__class__(4, 3),
        bias=np.array([0.5]),
        bias_format=FOUR,
        strides=(2,),
        pads=((1, 0),),
        dilations=(1,),
    )
    x = np.array([[[1.0, 0.5, -1.0], [0.25, 1.5, 0.75]]])
    # places 0 and 1 of the padded sample, then 2 and 3
    expected = [2 * 1.0 - 0.25 + 0.5, 0.5 + 2 * -1.0 - 0.75 + 0.5]
    assert Emulator(annotate(behind(node)))(x).ravel().tolist() == expected


def test_a_max_pool_never_sees_its_padding():
    node = MaxPool(
        name="m",
        inputs=("q",),
        shape=(2, 3),
        kernel=(2,),
        strides=(2,),
        pads=((1, 2),),
        dilations=(1,),
    )
    x = np.array([[[-1.0, -0.5, -2.0], [-1.5, -0.25, -1.0]]])
    got = Emulator(behind(node))(x)
    assert got[0, :, :2].tolist() == [[-1.0, -0.5], [-1.5, -0.25]]


def test_addresses_of_a_table_are_in_the_order_of_bits():
    address = FixedPoint(2, 1)
    node = Table(name="t", inputs=("q",), shape=(4,), address=address, values=np.array([0.0, 1.0, 2.0, 3.0]))
    x = np.array([[0.0, 0.5, -1.0, -0.5]])
    assert Emulator(behind(node, (4,), address))(x).tolist() == [[0.0, 1.0, 2.0, 3.0]]


def test_a_table_refuses_what_is_no_address():
    node = Table(name="t", inputs=("q",), shape=(2,), address=FixedPoint(3, 2), values=np.zeros(8))
    with pytest.raises(ExportError) as fault:
        bounds(behind(node, (2,)))
    assert str(fault.value) == (
        "t reads values beside the addresses ap_fixed<3,2,RND_CONV,SAT> of its table; "
        "put a quantizer of that format in front of it"
    )
    with pytest.raises(ExportError, match="t has 3 values for addresses of"):
        Table(name="t", address=FixedPoint(2, 1), values=np.zeros(3))


def test_rows_of_an_embedding():
    whole = FixedPoint(3, 3, signed=False)
    weight = np.array([[0.5, -1.0], [0.25, 0.0], [1.5, 1.0], [0.0, -0.5], [1.0, 1.0]])
    node = Embedding(name="e", inputs=("q",), shape=(3, 2), weight=weight, weight_format=FOUR)
    graph = behind(node, (3,), whole)
    for arithmetic in ("float32", "float64", "integer"):
        got = Emulator(graph, arithmetic)(np.array([[0.0, 2.0, 4.0]]))
        assert got.tolist() == [weight[[0, 2, 4]].tolist()]


def test_a_slope_below_zero_has_its_largest_value_inside_the_range():
    node = LeakyRelu(name="l", inputs=("q",), shape=(2,), slope=np.array([-0.5]), slope_format=FOUR)
    edge = bounds(behind(node, (2,)))["l"]
    assert edge.low.tolist() == [0, 0]
    assert edge.high.tolist() == [max(8, 7 * 2)] * 2  # -2 * -0.5 and 1.75, both in steps of 1/8


def test_different_grids_meet_in_a_concat():
    x = Input(name="x", shape=(2,))
    a = Quantize(name="a", inputs=("x",), shape=(2,), format=FixedPoint(4, 2))
    b = Quantize(name="b", inputs=("x",), shape=(2,), format=FixedPoint(6, 1, rounding="TRN"))
    c = Concat(name="c", inputs=("a", "b"), shape=(4,), axis=0)
    graph = annotate(HardwareGraph((x, a, b, c), "x", "c"))
    assert Emulator(graph)([[0.3, 0.3]]).tolist() == [[0.25, 0.25, 0.28125, 0.28125]]


def test_indices_must_fit():
    with pytest.raises(ExportError, match=r"s has \(2,\) indices for a result of \(3,\)"):
        Select(name="s", shape=(3,), indices=np.zeros(2, dtype=int))


@pytest.mark.parametrize("change", ["strides", "pads", "groups"])
def test_the_digest_sees_how_windows_move(change):
    fields = {"strides": (1,), "pads": ((0, 0),), "dilations": (1,), "groups": 1}
    other = {"strides": (2,), "pads": ((1, 0),), "groups": 2}
    weight = {"weight": np.ones((2, 2, 1)), "weight_format": FOUR}
    one = behind(Conv(name="c", inputs=("q",), shape=(2, 3), **weight, **fields))
    two = behind(Conv(name="c", inputs=("q",), shape=(2, 3), **weight, **{**fields, change: other[change]}))
    assert one.digest() != two.digest()
