"""What stands where: the graph, its order in memory, the C++ names; and the types of edges and constants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from hls_export.hardware import (
    Array,
    HardwareGraph,
    Identity,
    Node,
    Reshape,
    Transpose,
)
from hls_export.passes.channels_last import Axes, Placed
from hls_export.passes.plain_formats import common_format
from hls_export.passes.rewrite import tight
from hls_export.passes.wide_enough import needed_integer
from torchq.errors import BackendError
from torchq.formats import FixedPoint, Overflow, Rounding

ZERO = FixedPoint(1, 1, False, Rounding.TRN, Overflow.WRAP)
"""The type of constants that are all zero."""

Spec = tuple[dict[str, Any], dict[str, FixedPoint]]
"""hls4ml's dict of a layer, and the types of what is in it beside its result."""


@dataclass(frozen=True, eq=False)
class Layer:
    """One entry of the list.

    Args:
        node: the node that it computes.
        carries: the node whose tensor leaves it: its own, or a quantizer's that is fused into it.
        spec: hls4ml's dict.
        types: by hls4ml's word for them: ``result``, ``accum``, and each constant's.
    """

    node: Node
    carries: str
    spec: dict[str, Any]
    types: dict[str, FixedPoint]

    @property
    def name(self) -> str:
        """Its C++ name."""
        return str(self.spec["name"])


@dataclass(frozen=True, eq=False)
class View:
    """What the functions of this module look things up in.

    Args:
        placed: the graph, and its order in memory.
        names: node name -> C++ name.
        carries: node name -> the node whose tensor leaves its layer.
        io_type: of the project.
        at: node name -> C++ name of the layer that its tensor leaves; filled on the way.
    """

    placed: Placed
    names: Mapping[str, str]
    carries: Mapping[str, str]
    io_type: str
    at: dict[str, str] = field(default_factory=dict)

    @property
    def graph(self) -> HardwareGraph:
        """The graph."""
        return self.placed.graph

    def shape(self, name: str) -> tuple[int, ...]:
        """In memory."""
        return self.placed.shape(name)

    def axes(self, name: str) -> Axes:
        """In memory."""
        return self.placed.axes[name]

    def base(self, node: Node, kind: str) -> dict[str, Any]:
        """What all dicts have in common."""
        return {
            "class_name": kind,
            "name": self.names[node.name],
            "inputs": [self.at[name] for name in node.inputs],
        }


def format_of(node: Node) -> FixedPoint:
    """The format of an edge that has one; of all its elements, where theirs differ."""
    if node.format is None:
        raise BackendError(f"{node.name} has no format")
    if node.format.is_scalar:
        return node.format
    return replace(common_format(node.format), rounding=Rounding.TRN, overflow=Overflow.WRAP)


def raw_format(grid: FixedPoint) -> FixedPoint:
    """The type of an input whose elements are then rounded (``TRN`` or ``RND``) to formats of their own.

    Both ask for the bits down to one below their last one, and for nothing further down.

    Example:
        >>> str(raw_format(FixedPoint(np.array([4, 3]), 2, rounding="RND")))
        'ap_fixed<5,2,TRN,SAT>'
    """
    common = common_format(grid)
    integer = max(int(common.integer), needed_integer(grid))
    below = 1 if grid.rounding is Rounding.RND else 0
    overflow = Overflow.WRAP if grid.overflow is Overflow.WRAP else Overflow.SAT
    width = integer + int(common.fraction) + below
    return FixedPoint(max(width, 1), integer, common.signed, Rounding.TRN, overflow)


def constant(values: Array) -> FixedPoint:
    """The type of a constant."""
    return tight(values) if np.any(values) else ZERO


def moves_nothing(node: Node, view: View) -> bool:
    """Whether a node's result is the memory that its input is, read in another way."""
    if isinstance(node, Transpose):
        return True
    if not keeps_memory(node, view):
        return False
    last = view.io_type == "io_parallel" and _leads_out(node, view)  # hls4ml drops a reshape at the end
    return last or view.shape(node.inputs[0]) == view.shape(node.name)


def keeps_memory(node: Node, view: View) -> bool:
    """Whether the values stay where they are, in a shape of its own."""
    if isinstance(node, Identity):
        axes = moved_axes(node, view)
        shape = view.shape(node.inputs[0])
        long = [axis for axis in axes if shape[axis] > 1]
        return long == sorted(long)
    return isinstance(node, Reshape | Transpose)


def moved_axes(node: Node, view: View) -> tuple[int, ...]:
    """Where the axes in memory come from."""
    before = view.axes(node.inputs[0])
    return tuple(before.index(axis) for axis in view.axes(node.name))


def _leads_out(node: Node, view: View) -> bool:
    """Whether nothing but other shapes of the same memory stands between a node and the output."""
    if node.name == view.graph.output:
        return True
    readers = view.graph.consumers(node.name)
    return bool(readers) and all(keeps_memory(r, view) and _leads_out(r, view) for r in readers)
