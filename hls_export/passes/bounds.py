"""Interval arithmetic on the actual weights: which values each edge can take, and the type that holds them.

Everything is done in integers of any size, so that the answer is a proof and not an estimate. A sum is also
followed through its partial sums: :attr:`Bounds.reach` bounds every one of them in any order of summation,
which is what decides whether a float can do the sum exactly.
"""

from __future__ import annotations

from dataclasses import replace

from hls_export.hardware import HardwareGraph, Input, Quantize
from hls_export.passes.intervals import interval
from hls_export.passes.ranges import Bounds, quantized
from torchq.errors import ExportError


def bounds(graph: HardwareGraph) -> dict[str, Bounds]:
    """The bounds of every edge behind a quantizer, by node name; the raw input has none.

    Raises:
        ExportError: something other than a quantizer reads the raw input.
    """
    known: dict[str, Bounds] = {}
    for node in graph.nodes:
        if isinstance(node, Input):
            continue
        sources = [known.get(name) for name in node.inputs]
        if isinstance(node, Quantize):
            if node.format is None:
                raise ExportError(f"{node.name} is a quantizer without a format")
            known[node.name] = quantized(node.shape, node.format, sources[0])
            continue
        if any(source is None for source in sources):
            raise ExportError(
                f"{node.name} reads the raw input", hint="put a quantizer directly behind the input"
            )
        known[node.name] = interval(node, [source for source in sources if source is not None])
    return known


def annotate(graph: HardwareGraph) -> HardwareGraph:
    """The graph with the exact type of every sum, and of what follows it, as the edge's format.

    Example:
        >>> import numpy as np
        >>> from hls_export.hardware import Dense
        >>> from torchq.formats import FixedPoint
        >>> x = Input(name="x", shape=(2,))
        >>> q = Quantize(name="q", inputs=("x",), shape=(2,), format=FixedPoint(4, 2))
        >>> grid, w = FixedPoint(3, 2), np.array([[1.0], [-0.5]])
        >>> fc = Dense(name="fc", inputs=("q",), shape=(1,), weight=w, weight_format=grid)
        >>> str(annotate(HardwareGraph((x, q, fc), "x", "fc")).node("fc").format)
        'ap_fixed<6,3,TRN,WRAP>'
    """
    known = bounds(graph)
    return graph.with_nodes(
        node if isinstance(node, Input | Quantize) else replace(node, format=known[node.name].format())
        for node in graph.nodes
    )
