"""Tables whose addresses are the very bits of what they read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hls_export.hardware import HardwareGraph, Node, Quantize, Table
from hls_export.passes.plain_formats import common_format
from torchq.formats import FixedPoint, Overflow, Rounding


def fit_tables(graph: HardwareGraph) -> HardwareGraph:
    """Make the format of every table's addresses that of its input.

    Where the input has a smaller format, the table loses the places that are never read. Where it has a finer
    one, whose values stand on the grid of the addresses all the same, a quantizer to that grid is put in.

    Example:
        >>> from hls_export.hardware import Input
        >>> x = Input(name="x", shape=(1,))
        >>> q = Quantize(name="q", inputs=("x",), shape=(1,), format=FixedPoint(1, 2, signed=False))
        >>> t = Table(name="t", inputs=("q",), shape=(1,), address=FixedPoint(3, 3), values=np.arange(8.0))
        >>> fit_tables(HardwareGraph((x, q, t), "x", "t")).node("t").values.tolist()
        [0.0, 2.0]
    """
    nodes: list[Node] = []
    for node in graph.nodes:
        grid = graph.node(node.inputs[0]).format if isinstance(node, Table) else None
        if not isinstance(node, Table) or grid is None or same_bits(common_format(grid), node.address):
            nodes.append(node)
        elif _inside(grid, node.address):
            nodes.append(replace(node, address=_plain(grid), values=_picked(node, grid)))
        else:
            name = f"{node.name}.address"
            shape, address = graph.node(node.inputs[0]).shape, _plain(node.address)
            nodes.append(Quantize(name=name, inputs=node.inputs, shape=shape, format=address))
            nodes.append(replace(node, inputs=(name,)))
    return graph.with_nodes(nodes)


def same_bits(a: FixedPoint, b: FixedPoint) -> bool:
    """Whether the same bits are the same numbers in two formats of a tensor."""
    return (a.width, a.integer, a.signed) == (b.width, b.integer, b.signed)


def _plain(grid: FixedPoint) -> FixedPoint:
    return replace(grid, rounding=Rounding.TRN, overflow=Overflow.WRAP)


def _inside(grid: FixedPoint, address: FixedPoint) -> bool:
    """Whether every number of one format is one of the other."""
    if not grid.is_scalar or grid.width == 0:
        return False
    plain = _plain(grid)
    within = bool(address.lo <= plain.lo and plain.hi <= address.hi)
    return within and int(grid.fraction) <= int(address.fraction)


def _picked(node: Table, grid: FixedPoint) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """The values at the places of a smaller format's codes."""
    codes = np.arange(1 << int(grid.width))
    if grid.signed:
        codes = np.where(codes >= len(codes) // 2, codes - len(codes), codes)
    up = int(node.address.fraction) - int(grid.fraction)
    return np.asarray(node.values[(codes << up) & (len(node.values) - 1)])
