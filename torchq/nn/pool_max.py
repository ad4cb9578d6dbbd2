"""Max pooling: it makes no new values, so it needs no quantizer."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from torchq.formats import FixedPoint, Format
from torchq.formats.arithmetic import widest
from torchq.nn.operations import largest
from torchq.nn.passive import same
from torchq.nn.registry import PASSIVES, Passive
from torchq.workload import Operation, TensorSpec


def pooled(format: Format | None) -> Format | None:
    """The format of the largest of several values: theirs, or the widest of them."""
    return widest(format) if isinstance(format, FixedPoint) else format


def comparisons(pool: Any, source: TensorSpec, made: TensorSpec) -> tuple[Operation, ...]:
    """One less than a window has positions, for each value that is made.

    Example:
        >>> x, y = TensorSpec("x", (2, 4, 4), FixedPoint(6, 1)), TensorSpec("y", (2, 2, 2), None)
        >>> comparisons(nn.MaxPool2d(2), x, y)[0].count
        24
    """
    sizes = pool.kernel_size
    axes = len(source.shape) - 1
    window = math.prod(sizes) if isinstance(sizes, tuple) else sizes**axes
    return (largest(made.count * (window - 1), source.format),)


def _module(
    kind: type[nn.MaxPool1d | nn.MaxPool2d],
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> nn.Module:
    """The module of a function's call, whose arguments stand in another order."""
    return kind(kernel_size, stride, padding, dilation, return_indices, ceil_mode)


PASSIVES.add(
    "max_pool1d",
    Passive(
        kind="max_pool",
        apply=same,
        format=pooled,
        modules=(nn.MaxPool1d,),
        functions=(F.max_pool1d, torch.max_pool1d),
        module=partial(_module, nn.MaxPool1d),
        operations=comparisons,
    ),
)
PASSIVES.add(
    "max_pool2d",
    Passive(
        kind="max_pool",
        apply=same,
        format=pooled,
        modules=(nn.MaxPool2d,),
        functions=(F.max_pool2d, torch.max_pool2d),
        module=partial(_module, nn.MaxPool2d),
        operations=comparisons,
    ),
)
