from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hls_networks import random_graph

from hls_export.hardware import Dense, HardwareGraph, Input, Quantize
from torchq.errors import ExportError
from torchq.formats import FixedPoint

X = Input(name="x", shape=(2,))
Q = Quantize(name="q", inputs=("x",), shape=(2,), format=FixedPoint(4, 2))


@pytest.mark.parametrize(
    ("nodes", "ends", "message"),
    [
        ((X, X), ("x", "x"), "two nodes are called 'x'; give each its own name"),
        ((Q, X), ("x", "q"), "q reads 'x', which no node in front of it makes"),
        ((X, Q), ("x", "z"), "the graph has no node 'z'"),
    ],
)
def test_a_graph_that_cannot_be(nodes, ends, message):
    with pytest.raises(ExportError) as fault:
        HardwareGraph(nodes, *ends)
    assert str(fault.value) == message


def test_an_unknown_node_is_answered_with_those_there_are():
    with pytest.raises(ExportError) as fault:
        HardwareGraph((X, Q), "x", "q").node("fc")
    assert str(fault.value) == "the graph has no node 'fc'; it has x, q"


def test_weights_must_stand_on_their_grid():
    with pytest.raises(ExportError) as fault:
        Dense(name="fc", weight=np.array([[0.3]]), weight_format=FixedPoint(4, 1))
    message = "fc.weight has values beside the grid of ap_fixed<4,1,RND_CONV,SAT>"
    assert str(fault.value) == f"{message}; quantize it before the graph is built"
    with pytest.raises(ExportError, match=r"fc.bias has values beside the grid of None"):
        Dense(name="fc", weight=np.zeros((1, 1)), weight_format=FixedPoint(4, 1), bias=np.zeros(1))


def test_weights_cannot_be_changed():
    dense = Dense(name="fc", weight=np.zeros((1, 1)), weight_format=FixedPoint(4, 1))
    with pytest.raises(ValueError, match="read-only"):
        dense.weight[0, 0] = 1.0


def test_the_digest_sees_everything_that_decides_a_result():
    graph = random_graph(3, layers=2)
    assert graph.digest() == random_graph(3, layers=2).digest()
    dense = graph.node("fc1")
    assert isinstance(dense, Dense)
    weight = np.array(dense.weight)
    weight[0, 0] = 0.0 if weight[0, 0] else dense.weight_format.lsb
    other_weight = replace(dense, weight=weight)
    quantizer = graph.node("in")
    other_format = replace(quantizer, format=replace(quantizer.format, integer=quantizer.format.integer + 1))
    for changed in (other_weight, other_format):
        nodes = [changed if node.name == changed.name else node for node in graph.nodes]
        assert graph.with_nodes(nodes).digest() != graph.digest()
    assert replace(graph, metadata={"a": "b"}).digest() == graph.digest()
