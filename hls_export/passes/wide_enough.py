"""Types wide enough to be rounded: ``ap_fixed`` must see the bits that a quantizer rounds away."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hls_export.hardware import HardwareGraph, Input, Node, Quantize
from hls_export.passes.plain_formats import common_format
from torchq.formats import FixedPoint, Overflow, Rounding


def wide_enough(graph: HardwareGraph) -> HardwareGraph:
    """Give integer bits to the types that are rounded far above their first bit.

    Where the last bit of a quantizer lies above the first bit of what it reads (every result is then zero, or
    one step), the simulation of ``ap_fixed`` asks for a bit that its source does not have, and stops. Integer
    bits on top of the source change no value. Where the source is itself a quantizer, whose format is not
    ours to change, a wider copy stands between the two.

    Example:
        >>> from hls_export.hardware import Dense
        >>> from hls_export.passes import annotate
        >>> x = Input(name="x", shape=(1,))
        >>> q = Quantize(name="q", inputs=("x",), shape=(1,), format=FixedPoint(2, 1))
        >>> w, grid = np.array([[0.5]]), FixedPoint(2, 1)
        >>> fc = Dense(name="fc", inputs=("q",), shape=(1,), weight=w, weight_format=grid)
        >>> r = Quantize(name="r", inputs=("fc",), shape=(1,), format=FixedPoint(4, 8))
        >>> graph = annotate(HardwareGraph((x, q, fc, r), "x", "r"))
        >>> str(graph.node("fc").format), str(wide_enough(graph).node("fc").format)
        ('ap_fixed<2,0,TRN,WRAP>', 'ap_fixed<8,6,TRN,WRAP>')
    """
    wider: dict[str, FixedPoint] = {}
    between: dict[str, Quantize] = {}
    for node in graph.nodes:
        if not isinstance(node, Quantize) or node.format is None:
            continue
        source = graph.node(node.inputs[0])
        grid = wider.get(source.name, source.format)
        if isinstance(source, Input) or grid is None:
            continue
        common = common_format(grid)
        short = needed_integer(node.format) - int(common.integer)
        if short <= 0:
            continue
        wide = replace(common, width=int(common.width) + short, integer=int(common.integer) + short)
        if isinstance(source, Quantize):
            between[node.name] = replace(
                node,
                name=f"{node.name}.wide",
                tensor=f"{node.name}.wide",
                format=replace(wide, rounding=Rounding.TRN, overflow=Overflow.WRAP),
            )
        else:
            wider[source.name] = wide
    nodes: list[Node] = []
    for node in graph.nodes:
        made = replace(node, format=wider[node.name]) if node.name in wider else node
        if node.name in between:
            nodes.append(between[node.name])
            made = replace(made, inputs=(between[node.name].name,))
        nodes.append(made)
    return graph.with_nodes(nodes)


def needed_integer(grid: FixedPoint) -> int:
    """The integer bits that a number must have to be rounded to a format.

    Example:
        >>> needed_integer(FixedPoint(4, 8)), needed_integer(FixedPoint(8, 4))
        (6, -2)
    """
    return 2 - int(np.min(grid.fraction))
