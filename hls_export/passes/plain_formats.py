"""Formats by element as hls4ml has them: one for all where they are the same, no bits for zero alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hls_export.hardware import HardwareGraph, Quantize
from torchq.formats import FixedPoint, Overflow


def plain_formats(graph: HardwareGraph) -> HardwareGraph:
    """Give quantizers whose elements have one and the same format that format, and zeros no bits.

    One signed bit that saturates symmetrically holds zero alone, and ``ap_fixed`` of one bit makes -1 of a
    negative number all the same. An element of zero bits is written as the constant zero.

    Example:
        >>> from hls_export.hardware import Input
        >>> x = Input(name="x", shape=(2,))
        >>> q = Quantize(name="q", inputs=("x",), shape=(2,), format=FixedPoint(np.array([4, 4]), 2))
        >>> str(plain_formats(HardwareGraph((x, q), "x", "q")).node("q").format)
        'ap_fixed<4,2,RND_CONV,SAT>'
        >>> narrow = FixedPoint(np.array([1, 4]), 2, overflow="SAT_SYM")
        >>> q = Quantize(name="q", inputs=("x",), shape=(2,), format=narrow)
        >>> plain_formats(HardwareGraph((x, q), "x", "q")).node("q").format.width.tolist()
        [0, 4]
    """
    return graph.with_nodes(
        replace(node, format=_without_zeros(_plain(node.format)))
        if isinstance(node, Quantize) and node.format is not None
        else node
        for node in graph.nodes
    )


def _plain(grid: FixedPoint) -> FixedPoint:
    fields = [np.unique(np.asarray(field)) for field in (grid.width, grid.integer, grid.signed)]
    if grid.is_scalar or any(field.size != 1 for field in fields):
        return grid
    width, integer, signed = (field[0].item() for field in fields)
    return replace(grid, width=width, integer=integer, signed=signed)


def _without_zeros(grid: FixedPoint) -> FixedPoint:
    if grid.is_scalar or grid.overflow is not Overflow.SAT_SYM:
        return grid
    zero = (np.asarray(grid.width) == 1) & np.asarray(grid.signed, dtype=bool)
    return replace(grid, width=np.where(zero, 0, grid.width)) if zero.any() else grid


def common_format(grid: FixedPoint) -> FixedPoint:
    """The smallest format of a tensor that holds what each element's format holds.

    Example:
        >>> str(common_format(FixedPoint(np.array([4, 3]), np.array([1, 2]), np.array([True, False]))))
        'ap_fixed<6,3,RND_CONV,SAT>'
    """
    if grid.is_scalar:
        return grid
    signed = bool(np.any(grid.signed))
    integer = int(np.max(np.asarray(grid.integer) + (signed & ~np.asarray(grid.signed, dtype=bool))))
    width = max(integer + int(np.max(grid.fraction)), 1)
    return replace(grid, width=width, integer=integer, signed=signed)
