"""Each rewrite towards hls4ml keeps every value, and leaves nothing of what it takes out."""

from __future__ import annotations

import numpy as np
import pytest
from hls_backend_graphs import NETWORKS, random_graph

from hls_export import hardware as hw
from hls_export.backends.prepare import prepare
from hls_export.emulate import emulate
from hls_export.passes import annotate
from hls_export.passes.channels_last import channels_last, in_order, last_axis
from hls_export.passes.drop_idle_quantizers import drop_idle_quantizers
from hls_export.passes.drop_unread import drop_unread
from hls_export.passes.equal_shapes import equal_shapes
from hls_export.passes.fit_tables import fit_tables
from hls_export.passes.flat_last import flat_last
from hls_export.passes.keep_formats import keep_formats
from hls_export.passes.matmuls_in_parts import matmuls_in_parts
from hls_export.passes.maxima_as_pools import maxima_as_pools
from hls_export.passes.padded_windows import padded_windows
from hls_export.passes.pairs import pairs
from hls_export.passes.plain_formats import plain_formats
from hls_export.passes.selects_as_products import selects_as_products
from hls_export.passes.sums_as_products import sums_as_products
from hls_export.passes.tall_kernels import tall_kernels
from hls_export.passes.two_axes import two_axes
from hls_export.passes.whole_kernels import whole_kernels
from hls_export.passes.wide_enough import wide_enough
from hls_export.vectors import adversarial

PASSES = (
    drop_idle_quantizers,
    drop_unread,
    equal_shapes,
    fit_tables,
    flat_last,
    keep_formats,
    matmuls_in_parts,
    maxima_as_pools,
    padded_windows,
    pairs,
    plain_formats,
    selects_as_products,
    sums_as_products,
    tall_kernels,
    two_axes,
    whole_kernels,
    wide_enough,
)


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("rewrite", PASSES, ids=lambda rewrite: rewrite.__name__)
def test_a_rewrite_keeps_every_value(kind, rewrite):
    graph = NETWORKS[kind](7)
    x = adversarial(graph, 60, 8)
    assert (emulate(annotate(rewrite(graph)), x) == emulate(graph, x)).all()


@pytest.mark.parametrize("io_type", ["io_parallel", "io_stream"])
@pytest.mark.parametrize("kind", NETWORKS)
def test_all_of_them_keep_every_value(kind, io_type):
    graph = NETWORKS[kind](9)
    x = adversarial(graph, 60, 8)
    prepared = prepare(graph, io_type)
    assert (emulate(prepared, x) == emulate(graph, x)).all()
    assert (emulate(channels_last(prepared).graph, x) == emulate(graph, x)).all()
    kinds = {node.kind for node in prepared.nodes}
    assert not kinds & {"sum_pool", "reduce_sum", "reduce_max", "identity"}
    for node in prepared.nodes:
        if isinstance(node, hw.Add | hw.Sub | hw.Mul | hw.Concat):
            assert len(node.inputs) == 2
        if isinstance(node, hw.Add | hw.Sub | hw.Mul):
            assert {prepared.node(name).shape for name in node.inputs} == {node.shape}
        if isinstance(node, hw.Conv):
            assert set(node.dilations) == {1}
            assert node.groups in {1, node.n_in}


@pytest.mark.parametrize("io_type", ["io_parallel", "io_stream"])
@pytest.mark.parametrize("seed", range(60))
def test_random_networks_keep_every_value(seed, io_type):
    graph = random_graph(seed, parallel=io_type == "io_parallel")
    x = adversarial(graph, 40, seed)
    prepared = channels_last(prepare(graph, io_type)).graph
    assert (emulate(prepared, x) == emulate(graph, x)).all()


@pytest.mark.parametrize("kind", NETWORKS)
def test_formats_hold_every_value(kind):
    graph = prepare(NETWORKS[kind](3), "io_parallel")
    values = emulate(graph, adversarial(graph, 200, 1), trace=True)
    for node in graph.nodes:
        if node.format is not None:
            assert node.format.holds(values[node.name]).all(), node.name


@pytest.mark.parametrize("kind", NETWORKS)
def test_orders_in_memory_are_what_the_nodes_need(kind):
    placed = channels_last(prepare(NETWORKS[kind](3), "io_parallel"))
    for node in placed.graph.nodes:
        axes = placed.axes[node.name]
        assert sorted(axes) == list(range(len(node.shape)))
        sources = [placed.axes[name] for name in node.inputs]
        if isinstance(node, hw.Conv | hw.MaxPool):
            assert [axes, *sources] == [last_axis(len(node.shape))] * 2
        if isinstance(node, hw.Add | hw.Sub | hw.Mul | hw.Concat | hw.Quantize | hw.Table):
            assert set(sources) == {axes}
        if isinstance(node, hw.Reshape):
            assert axes == in_order(len(node.shape))
            assert sources == [in_order(len(sources[0]))]


def test_flattening_behind_a_convolution_moves_weights_instead_of_data():
    graph = prepare(NETWORKS["conv2d"](), "io_stream")
    placed = channels_last(graph)
    assert not any(isinstance(node, hw.Identity) for node in placed.graph.nodes)
    before = NETWORKS["conv2d"]().node("fc").weight
    assert not np.array_equal(graph.node("fc").weight, before)
    assert sorted(graph.node("fc").weight.ravel()) == sorted(before.ravel())
