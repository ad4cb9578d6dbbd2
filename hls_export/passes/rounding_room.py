"""Types wide enough to be rounded: ``ap_fixed`` must see the bits that a quantizer rounds away."""

from __future__ import annotations

from dataclasses import replace

from hls_export.hardware import Dense, HardwareGraph, Node, Quantize, Relu, Reshape
from torchq.errors import BackendError
from torchq.formats import FixedPoint


def rounding_room(graph: HardwareGraph) -> HardwareGraph:
    """Widen the types of sums that are rounded far above their first bit.

    Where the last bit of a quantizer lies above the first bit of what it reads (every result is then zero, or
    one step), the simulation of ``ap_fixed`` asks for a bit that its source does not have, and stops. Integer
    bits on top of the source change no value.

    Raises:
        BackendError: the source is itself a quantizer, whose format is not ours to change.

    Example:
        >>> import numpy as np
        >>> from hls_export.hardware import Input
        >>> from hls_export.passes import annotate
        >>> x = Input(name="x", shape=(1,))
        >>> q = Quantize(name="q", inputs=("x",), shape=(1,), format=FixedPoint(2, 1))
        >>> w, grid = np.array([[0.5]]), FixedPoint(2, 1)
        >>> fc = Dense(name="fc", inputs=("q",), shape=(1,), weight=w, weight_format=grid)
        >>> r = Quantize(name="r", inputs=("fc",), shape=(1,), format=FixedPoint(4, 8))
        >>> graph = annotate(HardwareGraph((x, q, fc, r), "x", "r"))
        >>> str(graph.node("fc").format), str(rounding_room(graph).node("fc").format)
        ('ap_fixed<2,0,TRN,WRAP>', 'ap_fixed<8,6,TRN,WRAP>')
    """
    wider: dict[str, FixedPoint] = {}
    for node in graph.nodes:
        if not isinstance(node, Quantize) or node.format is None or not node.format.is_scalar:
            continue
        source = graph.node(node.inputs[0])
        while isinstance(source, Relu | Reshape | Dense):
            grid = wider.get(source.name, source.format)
            if grid is not None and _short(grid, node.format):
                wider[source.name] = _widened(grid, node.format)
            if isinstance(source, Dense):
                break
            source = graph.node(source.inputs[0])
        else:
            _refuse(node, source)
    return graph.with_nodes(
        replace(node, format=wider[node.name]) if node.name in wider else node for node in graph.nodes
    )


def _short(source: FixedPoint, grid: FixedPoint) -> bool:
    return int(source.width) < int(source.fraction) - int(grid.fraction) + 2


def _widened(source: FixedPoint, grid: FixedPoint) -> FixedPoint:
    more = int(source.fraction) - int(grid.fraction) + 2 - int(source.width)
    return replace(source, width=int(source.width) + more, integer=int(source.integer) + more)


def _refuse(node: Node, source: Node) -> None:
    grid = node.format
    if (
        source.format is None
        or grid is None
        or not source.format.is_scalar
        or not _short(source.format, grid)
    ):
        return
    raise BackendError(
        f"{node.name} rounds {source.name} to steps of {grid.lsb:g}, above everything that it holds",
        hint="give it more fraction bits",
    )
