"""Sums of products with the weights of each candidate: linear layers, convolutions, and the pools' windows.

Values are ``[candidates, rows, channels]``; the rows are the samples' positions, one sample after the other.
That is torch's channels-last memory, so a convolution reads it in place. Each candidate's convolution is a
call of its own: torch's kernels are as fast for one as for a group of all.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from torchq.train.stacked.windows import Window

Times = Callable[[Tensor, Tensor], Tensor]


def product(x: Tensor, weight: Tensor, window: Window | None, times: Times = torch.bmm) -> Tensor:
    """The sums of products of each candidate.

    Args:
        x: ``[candidates, rows, channels]``; one candidate stands for all.
        weight: ``[candidates, outputs, inputs]``, the inputs of a convolution being channels and points.
        window: of a convolution.
        times: multiplies matrices.
    """
    if window is None:
        return times(x.expand(len(weight), -1, -1), weight.transpose(1, 2))
    images = _images(x, window)
    count, outputs = weight.shape[:2]
    samples, channels = images.shape[1:3]
    made = x.new_empty(count, samples, *window.made, outputs)
    for number in range(count):
        result = torch.conv2d(
            images[number if len(images) > 1 else 0],
            _kernel(weight[number], window),
            None,
            window.stride,
            window.padding,
            window.dilation,
            window.groups or channels,
        )
        made[number].copy_(result.permute(0, 2, 3, 1))
    return made.reshape(count, -1, outputs)


def onto_weight(
    gradient: Tensor, x: Tensor, weight: Tensor, window: Window | None, times: Times = torch.bmm
) -> Tensor:
    """The gradient of the weight, given that of the sums."""
    if window is None:
        return times(gradient.transpose(1, 2), x)
    return _backward(gradient, x, weight, window, of_weight=True)


def onto_input(
    gradient: Tensor, x: Tensor, weight: Tensor, window: Window | None, times: Times = torch.bmm
) -> Tensor:
    """The gradient of the input, given that of the sums."""
    if window is None:
        return times(gradient, weight)
    return _backward(gradient, x, weight, window, of_weight=False)


def _backward(gradient: Tensor, x: Tensor, weight: Tensor, window: Window, *, of_weight: bool) -> Tensor:
    images = _images(x, window)
    slopes = gradient.reshape(len(weight), -1, *window.made, weight.shape[1]).permute(0, 1, 4, 2, 3)
    made = torch.empty_like(weight if of_weight else x)
    for number in range(len(weight)):
        on_input, on_weight, _ = torch.ops.aten.convolution_backward(
            slopes[number],
            images[number],
            _kernel(weight[number], window),
            None,
            window.stride,
            window.padding,
            window.dilation,
            False,
            (0, 0),
            window.groups or images.shape[2],
            (not of_weight, of_weight, False),
        )
        if of_weight:
            made[number] = on_weight.reshape(weight.shape[1:])
        else:
            made[number] = on_input.permute(0, 2, 3, 1).reshape(x.shape[1:])
    return made


def largest(x: Tensor, window: Window) -> tuple[Tensor, Tensor]:
    """The largest value of each window, and where it was."""
    images = _images(x, window).flatten(0, 1)
    made, places = torch.ops.aten.max_pool2d_with_indices(
        images, window.kernel, window.stride, window.padding, window.dilation, window.ceil
    )
    return _rows(made, len(x)), places


def onto_largest(gradient: Tensor, x: Tensor, places: Tensor, window: Window) -> Tensor:
    """The gradient of what :func:`largest` read."""
    slopes = _outgoing(gradient, window)
    made = torch.ops.aten.max_pool2d_with_indices_backward(
        slopes,
        _images(x, window).flatten(0, 1),
        window.kernel,
        window.stride,
        window.padding,
        window.dilation,
        window.ceil,
        places,
    )
    return _rows(made, len(x))


def sums(x: Tensor, window: Window) -> Tensor:
    """The sum of each window."""
    made = torch.ops.aten.avg_pool2d(
        _images(x, window).flatten(0, 1), window.kernel, window.stride, window.padding, False, True, 1
    )
    return _rows(made, len(x))


def onto_sums(gradient: Tensor, x: Tensor, window: Window) -> Tensor:
    """The gradient of what :func:`sums` read."""
    made = torch.ops.aten.avg_pool2d_backward(
        _outgoing(gradient, window),
        _images(x, window).flatten(0, 1),
        window.kernel,
        window.stride,
        window.padding,
        False,
        True,
        1,
    )
    return _rows(made, len(x))


def flattened(x: Tensor, positions: int) -> Tensor:
    """All values of a sample in one row, channel by channel, as ``nn.Flatten`` orders them."""
    return x.reshape(len(x), -1, positions, x.shape[2]).transpose(2, 3).flatten(2)


def unflattened(x: Tensor, positions: int) -> Tensor:
    """The other way round."""
    return x.reshape(*x.shape[:2], -1, positions).transpose(2, 3).flatten(1, 2)


def _images(x: Tensor, window: Window) -> Tensor:
    """``[candidates, samples, channels, rows, columns]`` in the memory of ``x``."""
    return x.reshape(len(x), -1, *window.size, x.shape[2]).permute(0, 1, 4, 2, 3)


def _outgoing(gradient: Tensor, window: Window) -> Tensor:
    """The gradient of a pool's output, ``[candidates * samples, channels, rows, columns]``."""
    return gradient.reshape(-1, *window.made, gradient.shape[2]).permute(0, 3, 1, 2)


def _rows(images: Tensor, candidates: int) -> Tensor:
    """``[candidates, rows, channels]`` of ``[candidates * samples, channels, rows, columns]``."""
    return images.permute(0, 2, 3, 1).reshape(candidates, -1, images.shape[1])


def _kernel(weight: Tensor, window: Window) -> Tensor:
    """``[outputs, inputs of a group, rows, columns]``."""
    return weight.reshape(len(weight), -1, *window.kernel)
