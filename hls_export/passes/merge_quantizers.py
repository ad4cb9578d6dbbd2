"""Two quantizers in a row become one where that is exact."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hls_export.hardware import HardwareGraph, Node, Quantize
from torchq.formats import FixedPoint, Overflow, Rounding


def merge_quantizers(graph: HardwareGraph) -> HardwareGraph:
    """Merge a quantizer with the one in front of it, if nothing else reads between them and it is exact.

    The merged node keeps the name of the second one. What cannot be merged stays as it is: two roundings are
    in general not one.

    Example:
        >>> from hls_export.hardware import Input
        >>> x = Input(name="x", shape=(2,))
        >>> a = Quantize(name="a", inputs=("x",), shape=(2,), format=FixedPoint(4, 2))
        >>> b = Quantize(name="b", inputs=("a",), shape=(2,), format=FixedPoint(8, 4))
        >>> merged = merge_quantizers(HardwareGraph((x, a, b), "x", "b"))
        >>> merged.names, str(merged.node("b").format)
        (('x', 'b'), 'ap_fixed<4,2,RND_CONV,SAT>')
    """
    while True:
        pair = _pair(graph)
        if pair is None:
            return graph
        first, second, grid = pair
        graph = graph.with_nodes(
            replace(node, inputs=first.inputs, format=grid) if node is second else node
            for node in graph.nodes
            if node is not first
        )


def merged_format(first: FixedPoint, second: FixedPoint) -> FixedPoint | None:
    """One format that does what ``second`` after ``first`` does, or None if there is none.

    Three cases are exact: everything that leaves the first one stands in the second one already; both have
    the same last bit and the second range lies inside the first; or both cut bits off (``TRN``) and likewise.
    """
    if not (first.is_scalar and second.is_scalar):
        return first if first == second else None
    inside = second.lo <= first.lo and first.hi <= second.hi
    if first.width == 0 or (inside and int(first.fraction) <= int(second.fraction)):
        return first
    narrower = first.lo <= second.lo and second.hi <= first.hi
    saturating = Overflow.WRAP not in (first.overflow, second.overflow)
    if not (narrower and saturating):
        return None
    if first.fraction == second.fraction:
        return replace(second, rounding=first.rounding)
    cutting = first.rounding is second.rounding is Rounding.TRN
    return second if cutting and int(first.fraction) >= int(second.fraction) else None


def _pair(graph: HardwareGraph) -> tuple[Node, Node, FixedPoint] | None:
    for second in graph.nodes:
        if not isinstance(second, Quantize):
            continue
        first = graph.node(second.inputs[0])
        if not isinstance(first, Quantize) or len(graph.consumers(first.name)) != 1:
            continue
        if first.name == graph.output or first.format is None or second.format is None:
            continue
        grid = merged_format(first.format, second.format)
        if grid is not None and np.shape(grid.width) in ((), grid.shape):
            return first, second, grid
    return None
