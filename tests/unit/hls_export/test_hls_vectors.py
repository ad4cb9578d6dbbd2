from __future__ import annotations

import numpy as np
import pytest
from hls_networks import random_graph

from hls_export.emulate import emulate
from hls_export.hardware import HardwareGraph, Input, Quantize
from hls_export.passes import bounds
from hls_export.vectors import adversarial
from torchq.errors import ExportError
from torchq.formats import FixedPoint


def _graph(grid: FixedPoint, shape=(3,)) -> HardwareGraph:
    q = Quantize(name="q", inputs=("x",), shape=shape, format=grid)
    return HardwareGraph((Input(name="x", shape=shape), q), "x", "q")


def test_the_same_seed_gives_the_same_vectors_and_another_others():
    graph = random_graph(7)
    assert adversarial(graph, 300, 1).tobytes() == adversarial(graph, 300, 1).tobytes()
    assert adversarial(graph, 300, 1).tobytes() != adversarial(graph, 300, 2).tobytes()


@pytest.mark.parametrize("n", [0, 1, 2, 5, 40, 3000])
def test_the_number_is_kept(n):
    graph = random_graph(9)
    x = adversarial(graph, n)
    assert x.shape == (n, *graph.input_shape)
    assert x.dtype == np.float64
    assert np.isfinite(x).all()


def test_what_is_in_them():
    grid = FixedPoint(6, 3)
    x = adversarial(_graph(grid), 1000)
    codes = x / grid.lsb
    assert (x == 0).all(axis=1).any()
    assert (x == grid.lo).all(axis=1).any()
    assert (x == grid.hi).all(axis=1).any()
    assert (np.abs(x) > 1e29).any()
    assert (codes % 1 == 0.5).sum() > 100
    near = np.abs(codes % 1 - 0.5)
    assert ((near > 0) & (near < 1e-10)).sum() > 100
    assert (((x != 0).sum(axis=1) == 1) & ((x == grid.lo) | (x == grid.hi)).any(axis=1)).sum() >= 6
    assert np.unique(grid.quantize(x)).size == 64


def test_the_first_sums_go_to_their_ends():
    graph = random_graph(21, layers=1)
    edge = bounds(graph)["fc1"]
    sums = emulate(graph, adversarial(graph, 2000), trace=True)["fc1"]
    assert sums.max(axis=0).tolist() == (edge.high.astype(float) * 2.0**-edge.fraction).tolist()
    assert sums.min(axis=0).tolist() == (edge.low.astype(float) * 2.0**-edge.fraction).tolist()


def test_formats_by_element_and_shapes():
    grid = FixedPoint(np.array([2, 5, 8]), np.array([1, 3, 4]), np.array([True, False, True]))
    x = adversarial(_graph(grid, (4, 3)), 500)
    assert x.shape == (500, 4, 3)
    assert (x[1] == grid.lo).all()


def test_a_graph_without_input_quantizer():
    graph = HardwareGraph((Input(name="x", shape=(3,)),), "x", "x")
    with pytest.raises(ExportError) as fault:
        adversarial(graph, 10)
    assert str(fault.value) == "no quantizer reads the input 'x'"


def test_an_image_does_not_need_all_its_vectors_at_once():
    """Its elements alone at their extremes would be 600,000 vectors of 150,000 values."""
    x = adversarial(_graph(FixedPoint(8, 4), (3, 224, 224)), 40)
    assert x.shape == (40, 3, 224, 224)
    assert sorted(np.count_nonzero(v) for v in x[3:20])[:10] == [1] * 10
