"""What only moves values keeps the declared format of what it reads."""

from __future__ import annotations

from dataclasses import replace

from hls_export.hardware import MOVES, HardwareGraph, MaxPool, Node
from torchq.formats import FixedPoint, Overflow, Rounding


def keep_formats(graph: HardwareGraph) -> HardwareGraph:
    """Give every move, and every max pool, the format of its inputs where they have one and the same.

    It holds all values, and a table's addresses stay what they are: a proven range may be narrower.

    Example:
        >>> from hls_export.hardware import Input, Quantize, Relu, Reshape
        >>> from hls_export.passes import annotate
        >>> x = Input(name="x", shape=(2, 2))
        >>> q = Quantize(name="q", inputs=("x",), shape=(2, 2), format=FixedPoint(4, 2))
        >>> relu = Relu(name="r", inputs=("q",), shape=(2, 2))
        >>> wide = Quantize(name="w", inputs=("r",), shape=(2, 2), format=FixedPoint(8, 4))
        >>> flat = Reshape(name="f", inputs=("w",), shape=(4,))
        >>> graph = annotate(HardwareGraph((x, q, relu, wide, flat), "x", "f"))
        >>> str(graph.node("f").format), str(keep_formats(graph).node("f").format)
        ('ap_ufixed<5,1,TRN,WRAP>', 'ap_fixed<8,4,TRN,WRAP>')
    """
    kept: dict[str, FixedPoint] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        if isinstance(node, (*MOVES, MaxPool)):
            found = {kept.get(name) for name in node.inputs}
            grid = found.pop() if len(found) == 1 else None
            if grid is not None and grid.is_scalar:
                node = replace(node, format=replace(grid, rounding=Rounding.TRN, overflow=Overflow.WRAP))  # noqa: PLW2901
        if node.format is not None:
            kept[node.name] = replace(node.format, rounding=Rounding.TRN, overflow=Overflow.WRAP)
        nodes.append(node)
    return graph.with_nodes(nodes)
