"""``ebops_of``: effective bit operations as a torch function of the bits, with gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from torchq.cost.meetings import incidences, positions
from torchq.errors import CostError
from torchq.nn.conv import geometry_of
from torchq.nn.conv_transpose import geometry_of as transposed_geometry_of
from torchq.workload import Geometry

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def ebops_of(weight_bits: Tensor, input_bits: Tensor, layer: nn.Module, input_shape: Sequence[int]) -> Tensor:
    """The effective bit operations of a linear layer or a convolution with weights and inputs of these bits.

    ``sum(bits(weight) * bits(input))`` over all multiplications (arXiv:2405.00645), with the conventions of
    the ``ebops`` target, :class:`torchq.cost.Ebops`, which gives the same figure where the constants need
    these bits. Bits below zero count as zero and get no gradient.

    Args:
        weight_bits: bits of the weights **without** the sign, of a shape that broadcasts to the weight's:
            ``()`` for one number, ``[out, 1]`` for one a channel, or the weight's own shape.
        input_bits: bits of the inputs **with** the sign, of a shape that broadcasts to ``input_shape``.
        layer: an ``nn.Linear``, a convolution or a transposed convolution of torch, or torchq's for one; only
            its sizes are read.
        input_shape: of one sample of the input.

    Returns:
        A scalar, differentiable with respect to both.

    Raises:
        CostError: another layer, sizes that do not fit it, or bits that do not broadcast.

    Example:
        >>> weight_bits = torch.full((64, 1), 5.0, requires_grad=True)
        >>> ebops = ebops_of(weight_bits, torch.tensor(16.0), nn.Linear(16, 64), (16,))
        >>> ebops.item()
        81920.0
        >>> ebops.backward()
        >>> weight_bits.grad[0].item()
        256.0
    """
    shape, weight = tuple(input_shape), _weight_of(layer)
    w = _spread("weight_bits", weight_bits, weight)
    x = _spread("input_bits", input_bits, shape)
    if isinstance(layer, nn.Linear):
        if shape[-1:] != weight[1:]:
            _refuse(layer, f"{weight[1]} values on the last axis", shape)
        return (w * x.reshape(-1, shape[-1]).sum(dim=0)).sum()
    geometry = transposed_geometry_of(layer) if isinstance(layer, _TRANSPOSED) else geometry_of(layer)
    axes = len(geometry.stride)
    if len(shape) != 1 + axes or shape[0] != cast("Any", layer).in_channels:
        _refuse(layer, f"{cast('Any', layer).in_channels} channels and {axes} axes", shape)
    made = positions(geometry, weight[2:], shape[1:])
    if min(made, default=1) < 1:
        _refuse(layer, "at least as many positions as its kernel reaches over", shape)
    for matrix in incidences(geometry, weight[2:], shape[1:], made):
        on = torch.tensor(matrix, dtype=x.dtype, device=x.device)
        x = torch.tensordot(x, on, dims=([1], [1]))  # positions go, points of the kernel come last
    return (w * _grouped(x, geometry, weight)).sum()


def _weight_of(layer: nn.Module) -> tuple[int, ...]:
    if not isinstance(layer, (nn.Linear, *_CONVOLUTIONS, *_TRANSPOSED)):
        raise CostError(
            f"ebops_of knows linear layers and convolutions, got {type(layer).__name__}",
            hint="pass the layer that multiplies",
        )
    return tuple(layer.weight.shape)


def _spread(name: str, bits: Tensor, shape: tuple[int, ...]) -> Tensor:
    if not isinstance(bits, Tensor) or not bits.is_floating_point():
        came = f"a tensor of {bits.dtype}" if isinstance(bits, Tensor) else type(bits).__name__
        raise CostError(f"{name} must be a tensor of floats, got {came}")
    try:
        return bits.clamp(min=0).expand(shape)
    except RuntimeError:
        raise CostError(
            f"{name} of shape {tuple(bits.shape)} do not broadcast to {shape}",
            hint="give one number, one a channel, or one an element",
        ) from None


def _grouped(channels: Tensor, geometry: Geometry, weight: tuple[int, ...]) -> Tensor:
    """``[in channels, *kernel]`` as the weight has it."""
    if geometry.transposed:
        return channels[:, None]
    groups = channels.reshape(geometry.groups, -1, *channels.shape[1:])
    return groups.repeat_interleave(weight[0] // geometry.groups, dim=0)


def _refuse(layer: nn.Module, needed: str, shape: tuple[int, ...]) -> None:
    raise CostError(f"this {type(layer).__name__} reads {needed}, got samples of shape {shape}")
