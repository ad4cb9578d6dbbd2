"""``Window``: how the kernel of a convolution or a pool goes over the positions of a sample."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Pair = tuple[int, int]


@dataclass(frozen=True)
class Window:
    """A kernel on a grid of rows and columns; samples of one axis have one row.

    Attributes:
        size: rows and columns that come in.
        kernel: those of the kernel.
        stride: from one place of the kernel to the next.
        padding: zeros (of a max pool: nothing) before and behind each axis.
        dilation: distance between the points of the kernel.
        groups: of channels that do not see each other; 0 where every channel is one.
        ceil: whether a last window may reach out of the sample.
    """

    size: Pair
    kernel: Pair
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    ceil: bool = False

    @property
    def taps(self) -> int:
        """Points of the kernel."""
        return math.prod(self.kernel)

    @property
    def made(self) -> Pair:
        """Rows and columns that go out; 0 or less where the kernel is larger than the sample.

        Example:
            >>> Window((8, 8), (3, 3), stride=(2, 2), padding=(1, 1)).made
            (4, 4)
            >>> Window((1, 5), (1, 2), stride=(1, 2), ceil=True).made
            (1, 3)
        """
        rows, columns = (self._along(axis) for axis in (0, 1))
        return rows, columns

    def _along(self, axis: int) -> int:
        step, pad = self.stride[axis], self.padding[axis]
        reach = self.dilation[axis] * (self.kernel[axis] - 1) + 1
        room = self.size[axis] + 2 * pad - reach
        if room < 0:
            return 0
        count = (room + (step - 1 if self.ceil else 0)) // step + 1
        return count - (self.ceil and (count - 1) * step >= self.size[axis] + pad)


def of_convolution(layer: Any, shape: tuple[int, ...]) -> Window | str:
    """The window of a convolution of torch or torchq on samples of a shape, or why it has none.

    Args:
        layer: with its weight.
        shape: ``[channels, length]`` or ``[channels, rows, columns]``.
    """
    axes = len(layer.kernel_size)
    if len(shape) != 1 + axes or shape[0] != layer.in_channels:
        return f"reads {layer.in_channels} channels, and samples of shape {list(shape)} come"
    if layer.padding_mode != "zeros":
        return f"padding_mode={layer.padding_mode!r} is not stacked"
    if layer.padding == "valid":
        padding: Sequence[int] = (0,) * axes
    elif layer.padding == "same":
        totals = [d * (k - 1) for k, d in zip(layer.kernel_size, layer.dilation, strict=True)]
        if any(total % 2 for total in totals):
            return "padding that is longer on one side is not stacked"
        padding = [total // 2 for total in totals]
    else:
        padding = layer.padding
    alone = layer.groups > 1 and layer.groups == layer.in_channels
    found = Window(
        _pair(shape[1:], 1),
        _pair(layer.kernel_size, 1),
        _pair(layer.stride, 1),
        _pair(padding, 0),
        _pair(layer.dilation, 1),
        0 if alone else layer.groups,
    )
    return _fitting(found, shape)


def of_pool(
    shape: tuple[int, ...],
    axes: int,
    kernel: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    *,
    ceil: bool = False,
) -> Window | str:
    """The window of a pool on samples of a shape, or why it has none.

    Args:
        shape: ``[channels, length]`` or ``[channels, rows, columns]``.
        axes: 1 or 2.
        kernel: one number, or one for each axis; so are the others.
        stride: the kernel's size if left out.
        padding: on both sides.
        dilation: between its points.
        ceil: whether a last window may reach out of the sample.
    """
    if len(shape) != 1 + axes:
        return f"samples of shape {list(shape)} come"

    def pair(value: Any, filling: int) -> Pair:
        return _pair((value,) * axes if isinstance(value, int) else tuple(value), filling)

    found = Window(
        _pair(shape[1:], 1),
        pair(kernel, 1),
        pair(kernel if stride is None else stride, 1),
        pair(padding, 0),
        pair(dilation, 1),
        ceil=ceil,
    )
    return _fitting(found, shape)


def _fitting(window: Window, shape: tuple[int, ...]) -> Window | str:
    return window if min(window.made) > 0 else f"its kernel is larger than samples of shape {list(shape)}"


def _pair(values: Sequence[int], filling: int) -> Pair:
    """Two numbers, of one or two axes."""
    return (filling, int(values[0])) if len(values) == 1 else (int(values[0]), int(values[1]))
