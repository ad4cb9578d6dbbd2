"""Quantizers to the format that their input has already are left out."""

from __future__ import annotations

from dataclasses import replace

from hls_export.hardware import HardwareGraph, Input, Node, Quantize
from torchq.formats import FixedPoint, Overflow, Rounding


def drop_idle_quantizers(graph: HardwareGraph) -> HardwareGraph:
    """Remove quantizers that read numbers of their own width, point and sign, and those that others repeat.

    Example:
        >>> x = Input(name="x", shape=(2,))
        >>> grid = FixedPoint(4, 2)
        >>> a = Quantize(name="a", inputs=("x",), shape=(2,), format=grid)
        >>> b = Quantize(name="b", inputs=("x",), shape=(2,), format=grid)
        >>> c = Quantize(name="c", inputs=("b",), shape=(2,), format=replace(grid, rounding=Rounding.TRN))
        >>> drop_idle_quantizers(HardwareGraph((x, a, b, c), "x", "c")).names
        ('x', 'a')
    """
    instead: dict[str, str] = {}
    formats: dict[str, FixedPoint] = {}
    first: dict[tuple[str, FixedPoint], str] = {}
    kept: list[Node] = []
    for node in graph.nodes:
        inputs = tuple(instead.get(name, name) for name in node.inputs)
        if isinstance(node, Quantize) and node.format is not None:
            source = formats.get(inputs[0])
            again = first.setdefault((inputs[0], node.format), node.name)
            if source is not None and _plain(source) == _plain(node.format) and _idle(node.format):
                instead[node.name] = inputs[0]
                continue
            if again != node.name:
                instead[node.name] = again
                continue
        if node.format is not None and not isinstance(node, Input):
            formats[node.name] = node.format
        kept.append(replace(node, inputs=inputs))
    return graph.with_nodes(kept, instead.get(graph.output, graph.output))


def _plain(grid: FixedPoint) -> FixedPoint:
    return replace(grid, rounding=Rounding.TRN, overflow=Overflow.WRAP)


def _idle(grid: FixedPoint) -> bool:
    """Whether a number of this format stays what it is."""
    return grid.overflow is not Overflow.SAT_SYM
