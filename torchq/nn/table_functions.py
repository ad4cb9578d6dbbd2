"""``FUNCTIONS``: what a table can hold, by name."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from torchq.registry import Registry

Function = Callable[..., Tensor]
"""Elementwise, differentiable, of a float tensor; what it takes beside are numbers or texts, by name."""

FUNCTIONS: Registry[Function] = Registry("function")
"""The functions that tables are made of. Register another one to use it by its name."""

FUNCTIONS.add("tanh", torch.tanh)
FUNCTIONS.add("sigmoid", torch.sigmoid)
FUNCTIONS.add("silu", F.silu)
FUNCTIONS.add("gelu", F.gelu)
FUNCTIONS.add("elu", F.elu)
FUNCTIONS.add("softplus", F.softplus)
FUNCTIONS.add("hard_sigmoid", F.hardsigmoid)
FUNCTIONS.add("hard_swish", F.hardswish)
FUNCTIONS.add("hard_tanh", F.hardtanh)
FUNCTIONS.add("exp", torch.exp)
FUNCTIONS.add("reciprocal", torch.reciprocal)


@FUNCTIONS.register("exp_negative")
def exp_negative(x: Tensor) -> Tensor:
    """``exp(-x)``."""
    return torch.exp(-x)


@FUNCTIONS.register("rsqrt")
def rsqrt(x: Tensor, eps: float = 0.0) -> Tensor:
    """``1 / sqrt(x + eps)``."""
    return torch.rsqrt(x + eps)
