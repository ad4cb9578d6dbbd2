"""Types wide enough to be rounded: ``ap_fixed`` must see the bits that a quantizer rounds away."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hls_export.hardware import HardwareGraph, Input, Node, Quantize
from hls_export.passes.plain_formats import common_format
from torchq.errors import BackendError
from torchq.formats import FixedPoint


def wide_enough(graph: HardwareGraph) -> HardwareGraph:
    """Give integer bits to the types that are rounded far above their first bit.

    Where the last bit of a quantizer lies above the first bit of what it reads (every result is then zero, or
    one step), the simulation of ``ap_fixed`` asks for a bit that its source does not have, and stops. Integer
    bits on top of the source change no value.

    Raises:
        BackendError: the source is itself a quantizer, whose format is not ours to change.

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
    for node in graph.nodes:
        if not isinstance(node, Quantize) or node.format is None:
            continue
        source = graph.node(node.inputs[0])
        grid = wider.get(source.name, source.format)
        if isinstance(source, Input) or grid is None:
            continue
        short = needed_integer(node.format) - int(common_format(grid).integer)
        if short <= 0:
            continue
        if isinstance(source, Quantize):
            _refuse(node, source, node.format)
        wider[source.name] = replace(grid, width=int(grid.width) + short, integer=int(grid.integer) + short)
    return graph.with_nodes(
        replace(node, format=wider[node.name]) if node.name in wider else node for node in graph.nodes
    )


def needed_integer(grid: FixedPoint) -> int:
    """The integer bits that a number must have to be rounded to a format.

    Example:
        >>> needed_integer(FixedPoint(4, 8)), needed_integer(FixedPoint(8, 4))
        (6, -2)
    """
    return 2 - int(np.min(grid.fraction))


def _refuse(node: Node, source: Node, grid: FixedPoint) -> None:
    raise BackendError(
        f"{node.name} rounds {source.name} to steps of {np.max(grid.lsb):g}, above everything that it holds",
        hint="give it more fraction bits",
    )
