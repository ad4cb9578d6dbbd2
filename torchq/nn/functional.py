"""The functions of ``torch`` and ``torch.nn.functional`` that are traced as modules of the same meaning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from torchq.nn.registry import CALLS, Function


def without(module: type[nn.Module], **ignored: Any) -> Callable[..., nn.Module]:
    """A maker of modules from a function's arguments, where some of the function's arguments say nothing.

    Args:
        module: the module's class.
        ignored: names of arguments, each with the value that it may have.

    Example:
        >>> make = without(nn.Softmax, dtype=None)
        >>> make(dim=1, dtype=None)
        Softmax(dim=1)
        >>> make(dim=1, dtype=torch.float64)
        Traceback (most recent call last):
        ...
        TypeError: dtype=torch.float64
    """

    def make(*args: Any, **kwargs: Any) -> nn.Module:
        for name, value in ignored.items():
            given = kwargs.pop(name, value)
            if given != value:
                raise TypeError(f"{name}={given!r}")
        return module(*args, **kwargs)

    return make


CALLS.add("avg_pool1d", Function(nn.AvgPool1d, (F.avg_pool1d,)))
CALLS.add("avg_pool2d", Function(nn.AvgPool2d, (F.avg_pool2d,)))
CALLS.add("adaptive_avg_pool1d", Function(nn.AdaptiveAvgPool1d, (F.adaptive_avg_pool1d,)))
CALLS.add("adaptive_avg_pool2d", Function(nn.AdaptiveAvgPool2d, (F.adaptive_avg_pool2d,)))
CALLS.add("sigmoid", Function(nn.Sigmoid, (torch.sigmoid, F.sigmoid), ("sigmoid",)))
CALLS.add("tanh", Function(nn.Tanh, (torch.tanh, F.tanh), ("tanh",)))
CALLS.add("silu", Function(nn.SiLU, (F.silu,)))
CALLS.add("gelu", Function(nn.GELU, (F.gelu,)))
CALLS.add("elu", Function(nn.ELU, (F.elu,)))
CALLS.add("softplus", Function(nn.Softplus, (F.softplus,)))
CALLS.add("hardsigmoid", Function(nn.Hardsigmoid, (F.hardsigmoid,)))
CALLS.add("hardswish", Function(nn.Hardswish, (F.hardswish,)))
CALLS.add("hardtanh", Function(nn.Hardtanh, (F.hardtanh,)))
CALLS.add(
    "softmax",
    Function(without(nn.Softmax, _stacklevel=3, dtype=None), (F.softmax, torch.softmax), ("softmax",)),
)
CALLS.add(
    "log_softmax",
    Function(
        without(nn.LogSoftmax, _stacklevel=3, dtype=None),
        (F.log_softmax, torch.log_softmax),
        ("log_softmax",),
    ),
)
