"""Rewrites of moves and of powers of two: the same values, from fewer nodes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hls_nodes import Grower

from hls_export.emulate import Emulator
from hls_export.hardware import Conv, Dense, HardwareGraph, Input, Reshape, ScaleShift, Select, Transpose
from hls_export.passes import annotate, drop_identities, fold_shifts, merge_moves
from hls_export.vectors import adversarial
from torchq.formats import FixedPoint


def moves(seed: int) -> HardwareGraph:
    """Many moves in a row; one of them may be read twice."""
    grow = Grower(np.random.default_rng(seed))
    x = grow.quantize(grow.add(Input, shape=(grow.upto(3), grow.upto(3), grow.upto(4))))
    made = [x]
    for _ in range(7):
        source = made[-1] if grow.random.random() < 0.9 else grow.any(*made)
        made.append(getattr(grow, grow.any("reshape", "transpose", "select"))(source))
    nodes = tuple(grow.nodes)
    return annotate(HardwareGraph(nodes, nodes[0].name, made[-1].name))


@pytest.mark.parametrize("seed", range(40))
def test_merged_moves_move_the_same(seed):
    graph = moves(seed)
    merged = merge_moves(graph)
    x = adversarial(graph, 40, seed)
    assert (Emulator(merged)(x) == Emulator(graph)(x)).all()
    assert merged.node(merged.output).tensor == graph.node(graph.output).tensor
    by_name = {node.name: node for node in merged.nodes}
    for node in merged.nodes:
        if isinstance(node, Reshape | Select) and len(merged.consumers(node.inputs[0])) == 1:
            first = by_name[node.inputs[0]]
            assert not isinstance(first, Reshape | Select)
        if isinstance(node, Transpose):
            assert not isinstance(by_name[node.inputs[0]], Transpose) or (
                len(merged.consumers(node.inputs[0])) > 1
            )


def test_two_transposes_that_cancel_leave_nothing():
    x = Input(name="x", shape=(2, 3))
    one = Transpose(name="one", inputs=("x",), shape=(3, 2), axes=(1, 0))
    two = Transpose(name="two", inputs=("one",), shape=(2, 3), axes=(1, 0))
    merged = drop_identities(merge_moves(HardwareGraph((x, one, two), "x", "two")))
    assert merged.names == ("x",)
    assert merged.output == "x"


def product(seed: int, factor: np.ndarray) -> HardwareGraph:
    grow = Grower(np.random.default_rng(seed))
    x = grow.quantize(grow.add(Input, shape=(2, 4)))
    made = grow.dense(x) if seed % 2 else grow.conv(x)
    assert made is not None
    grid = FixedPoint(12, 6)
    scaled = grow.add(ScaleShift, made, shape=made.shape, scale=factor, scale_format=grid)
    last = grow.quantize(scaled)
    nodes = tuple(grow.nodes)
    return annotate(HardwareGraph(nodes, nodes[0].name, last.name))


@pytest.mark.parametrize("seed", range(16))
@pytest.mark.parametrize("power", [-3, 0, 2])
def test_a_power_of_two_goes_into_the_weights(seed, power):
    graph = product(seed, np.array([2.0**power]))
    folded = fold_shifts(graph)
    assert not any(isinstance(node, ScaleShift) for node in folded.nodes)
    (before,) = (node for node in graph.nodes if isinstance(node, Dense | Conv))
    after = folded.node(before.name)
    assert after.weight_format.width == before.weight_format.width
    assert after.tensor == graph.node(folded.output).inputs[0]
    x = adversarial(graph, 60, seed)
    assert (Emulator(annotate(folded))(x) == Emulator(graph)(x)).all()


def test_other_factors_stay():
    graph = product(1, np.array([0.75]))
    assert fold_shifts(graph) is graph
    twice = [replace(node) for node in product(1, np.array([0.5])).nodes]
    reads = replace(twice[-1], name="again", inputs=(twice[-3].name,))
    both = HardwareGraph((*twice, reads), twice[0].name, reads.name)
    assert fold_shifts(both) is both
