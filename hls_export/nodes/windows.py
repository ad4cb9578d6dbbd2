"""Nodes that look at a window, or along an axis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hls_export.nodes.base import Node


@dataclass(frozen=True, eq=False, kw_only=True)
class Window(Node):
    """What the pools have in common; not a node itself. ``[channels, *sizes]`` to ``[channels, *sizes']``.

    Args:
        kernel: the window's size, one number an axis.
        strides: likewise.
        pads: places before and after the sample, one pair an axis.
        dilations: the distance between places of a window, one number an axis.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]
    dilations: tuple[int, ...]

    def facts(self) -> Mapping[str, Any]:
        """Kernel, strides, pads and dilations."""
        return {
            "kernel": self.kernel,
            "strides": self.strides,
            "pads": self.pads,
            "dilations": self.dilations,
        }


@dataclass(frozen=True, eq=False, kw_only=True)
class MaxPool(Window):
    """The largest value of each window; places beside the sample never win."""

    kind = "max_pool"


@dataclass(frozen=True, eq=False, kw_only=True)
class SumPool(Window):
    """The exact sum of each window, zeros beside the sample: an average pool before its division."""

    kind = "sum_pool"


@dataclass(frozen=True, eq=False, kw_only=True)
class Reduce(Node):
    """What the reductions have in common; not a node itself.

    Args:
        axes: of the sample (0 is its first axis), ascending.
        keepdims: whether the axes stay, with length 1.
    """

    axes: tuple[int, ...]
    keepdims: bool = True

    def facts(self) -> Mapping[str, Any]:
        """Axes, and whether they stay."""
        return {"axes": self.axes, "keepdims": self.keepdims}


@dataclass(frozen=True, eq=False, kw_only=True)
class ReduceSum(Reduce):
    """The exact sum along some axes."""

    kind = "reduce_sum"


@dataclass(frozen=True, eq=False, kw_only=True)
class ReduceMax(Reduce):
    """The largest value along some axes."""

    kind = "reduce_max"


def placed(length: int, kernel: int, stride: int, pads: tuple[int, int], dilation: int = 1) -> int:
    """How many places a window has along an axis.

    Example:
        >>> placed(5, 3, 2, (1, 1)), placed(2, 3, 1, (0, 0))
        (3, 0)
    """
    return max((length + sum(pads) - dilation * (kernel - 1) - 1) // stride + 1, 0)
