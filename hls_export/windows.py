"""Windows that slide over a sample, as views: for numbers of any kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hls_export.hardware import Conv, Window


def windows(
    x: npt.NDArray[Any],
    kernel: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[tuple[int, int]],
    dilations: Sequence[int],
    beside: Any = 0,
) -> npt.NDArray[Any]:
    """All windows over the last axes of an array.

    Args:
        x: ``[..., *sizes]``, objects too.
        kernel: places of a window along each axis.
        strides: from window to window.
        pads: places before and after the array.
        dilations: from place to place in a window.
        beside: what stands in those.

    Returns:
        ``[..., *sizes', *kernel]``.

    Example:
        >>> windows(np.arange(4), [2], [1], [(1, 0)], [2]).tolist()
        [[0, 1], [0, 2], [1, 3]]
    """
    axes = len(kernel)
    front, sizes = x.shape[: x.ndim - axes], x.shape[x.ndim - axes :]
    padded = np.full(
        (*front, *(n + a + b for n, (a, b) in zip(sizes, pads, strict=True))), beside, dtype=x.dtype
    )
    inside = tuple(slice(a, a + n) for n, (a, _) in zip(sizes, pads, strict=True))
    middle: Any = (..., *inside)
    padded[middle] = x
    reach = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True))
    all_of_them = np.lib.stride_tricks.sliding_window_view(
        padded, reach, axis=tuple(range(x.ndim - axes, x.ndim))
    )
    steps: Any = (
        ...,
        *(slice(None, None, s) for s in strides),
        *(slice(None, None, d) for d in dilations),
    )
    return np.asarray(all_of_them[steps])


def tensor_windows(x: Tensor, node: Conv | Window, beside: float = 0.0) -> Tensor:
    """As :func:`windows`, of a batch of samples ``[n, channels, *sizes]`` for a node's own windows."""
    padding = [pad for pair in reversed(node.pads) for pad in pair]
    if any(padding):
        x = torch.nn.functional.pad(x, padding, value=beside)
    for i, (k, s, d) in enumerate(zip(node.kernel, node.strides, node.dilations, strict=True)):
        x = x.unfold(2 + i, (k - 1) * d + 1, s)
    places: Any = (..., *(slice(None, None, d) for d in node.dilations))
    return x[places]
