"""A graph in the nodes that hls4ml has: one rewrite after the other, each exact."""

from __future__ import annotations

from hls_export.hardware import HardwareGraph, Select
from hls_export.passes import annotate, drop_identities, flatten, merge_quantizers, quantize_first
from hls_export.passes.drop_idle_quantizers import drop_idle_quantizers
from hls_export.passes.drop_unread import drop_unread
from hls_export.passes.equal_shapes import equal_shapes
from hls_export.passes.fit_tables import fit_tables
from hls_export.passes.flat_last import flat_last
from hls_export.passes.gathered_windows import gathered_windows
from hls_export.passes.keep_formats import keep_formats
from hls_export.passes.matmuls_in_parts import matmuls_in_parts
from hls_export.passes.maxima_as_pools import maxima_as_pools
from hls_export.passes.padded_windows import padded_windows, zeros_around
from hls_export.passes.pairs import pairs
from hls_export.passes.plain_formats import plain_formats
from hls_export.passes.selects_as_products import selects_as_products
from hls_export.passes.sums_as_products import sums_as_products
from hls_export.passes.tall_kernels import tall_kernels
from hls_export.passes.two_axes import two_axes
from hls_export.passes.whole_kernels import whole_kernels
from hls_export.passes.wide_enough import wide_enough


def prepare(graph: HardwareGraph, io_type: str, *, depthwise: bool = True) -> HardwareGraph:
    """The graph in the nodes that hls4ml has, with a type on every edge that is wide enough."""
    graph = merge_quantizers(flatten(quantize_first(drop_identities(drop_unread(plain_formats(graph))))))
    if io_type == "io_stream":
        graph = matmuls_in_parts(graph)
    graph = maxima_as_pools(sums_as_products(equal_shapes(pairs(graph))))
    graph = whole_kernels(graph, depthwise=depthwise)
    if io_type == "io_stream":
        graph = tall_kernels(graph)
    graph = padded_windows(annotate(graph), convolutions=io_type == "io_stream")
    graph = gathered_windows(graph, padded=io_type == "io_stream")
    graph = selects_as_products(graph, keep=lambda node: pads_alone(node, graph))
    graph = drop_identities(flat_last(two_axes(graph)))
    return wide_enough(fit_tables(drop_idle_quantizers(keep_formats(annotate(graph)))))


def pads_alone(node: Select, graph: HardwareGraph) -> bool:
    """Whether a selection puts zeros around the sample, and does nothing else."""
    return zeros_around(node, graph.node(node.inputs[0]).shape) is not None
