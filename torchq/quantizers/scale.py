"""Scales from data: which axes are reduced, groups of elements, and the least-squares scale.

Formulas are QKeras's (``_get_least_squares_scale``), whose results the recorded vectors hold us to.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from torchq.errors import QuantizerError

EPSILON = 1e-7
"""What QKeras adds before it divides or takes a logarithm."""

_LN2 = math.log(2.0)


@dataclass(frozen=True)
class Axes:
    """Where the scales of a tensor differ.

    Args:
        kept: the axes along which they do; all others share one scale.
        groups: for each kept axis, how many neighbours share one scale; empty for none.

    Example:
        >>> Axes.of(4, None, None, -1).reduced(4)
        (0, 1, 2)
        >>> Axes.of(2, 0, None, -1).reduced(2)
        (1,)
    """

    kept: tuple[int, ...]
    groups: tuple[int, ...] = ()

    @classmethod
    def of(
        cls,
        ndim: int,
        scale_axis: int | Sequence[int] | None,
        elements_per_scale: int | Sequence[int] | None,
        default_axis: int,
    ) -> Axes:
        """From QKeras's arguments, for a tensor of ``ndim`` dimensions.

        Raises:
            QuantizerError: an axis that the tensor lacks, or groups that do not fit the axes.
        """
        chosen = default_axis if scale_axis is None else scale_axis
        given = (chosen,) if isinstance(chosen, int) else tuple(chosen)
        for axis in given:
            if not -ndim <= axis < ndim:
                raise QuantizerError(f"scale_axis {axis} needs at least {axis + 1} dimensions, got {ndim}")
        kept = tuple(axis % ndim for axis in given)
        if elements_per_scale is None:
            return cls(kept)
        if isinstance(elements_per_scale, int):
            return cls(kept, (elements_per_scale,) * len(kept))
        return cls(kept, tuple(elements_per_scale))

    def reduced(self, ndim: int) -> tuple[int, ...]:
        """The axes that share one scale."""
        return tuple(axis for axis in range(ndim) if axis not in self.kept)

    def mean(self, x: Tensor) -> Tensor:
        """The mean over everything that shares one scale; broadcasts against ``x``."""
        if not self.groups:
            return mean(x, self.reduced(x.ndim))
        size = dict(zip(self.kept, self.groups, strict=True))
        split: list[int] = []
        reduced: list[int] = []
        for axis, length in enumerate(x.shape):
            per = size.get(axis)
            if per is None:
                reduced.append(len(split))
                split.append(length)
            else:
                if length % per:
                    raise QuantizerError(
                        f"elements_per_scale={per} must divide the length {length} of axis {axis}"
                    )
                reduced.append(len(split) + 1)
                split += [length // per, per]
        means = x.reshape(split).mean(dim=reduced, keepdim=True)
        shape = [1 if axis not in size else length // size[axis] for axis, length in enumerate(x.shape)]
        means = means.reshape(shape)
        for axis, per in size.items():
            means = means.repeat_interleave(per, dim=axis)
        return means


def mean(x: Tensor, dims: tuple[int, ...]) -> Tensor:
    """The mean over ``dims``, kept; over none of them the tensor itself (torch would take all)."""
    return x.mean(dim=dims, keepdim=True) if dims else x


def largest(x: Tensor, dims: tuple[int, ...]) -> Tensor:
    """The maximum over ``dims``, kept; over none of them the tensor itself (torch would take all)."""
    return x.amax(dim=dims, keepdim=True) if dims else x


def power_of_two(scale: Tensor, low: int | None = None, high: int | None = None) -> Tensor:
    """The power of two nearest to ``scale`` in its logarithm, between ``2**low`` and ``2**high``.

    Example:
        >>> power_of_two(torch.tensor([0.3, 0.8, 100.0]), high=4).tolist()
        [0.25, 1.0, 16.0]
    """
    exponent = torch.round(torch.log(scale + EPSILON) / _LN2)
    if low is not None or high is not None:
        exponent = torch.clamp(exponent, low, high)
    return torch.exp2(exponent)


def least_squares(x: Tensor, q: Tensor, axes: Axes) -> Tensor:
    """The scale ``s`` that makes ``sum((x - s q)**2)`` smallest: ``mean(x q) / mean(q q)``.

    A tensor of one dimension has one scale for each element, as in QKeras.

    Args:
        x: the float values.
        q: what they are quantized to, before scaling; the shape of ``x``.
        axes: where the scales differ.
    """
    xq, qq = x * q, q * q
    if x.ndim > 1:
        xq, qq = axes.mean(xq), axes.mean(qq)
    return xq / (qq + EPSILON)
