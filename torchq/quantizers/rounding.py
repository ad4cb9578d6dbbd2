"""Random draws and stochastic rounding: the value above with the probability of the part below."""

from __future__ import annotations

import torch
from torch import Tensor


def uniform(x: Tensor) -> Tensor:
    """Numbers between 0 and 1, of the shape, dtype and device of ``x``: every random draw of this package."""
    return torch.rand_like(x)


def stochastic(x: Tensor) -> Tensor:
    """The integers around ``x``, such that their expectation is ``x``.

    Args:
        x: any shape, in units of the grid.

    Returns:
        ``floor(x)``, or ``ceil(x)`` with the probability of the fraction (an integer stays as it is).
    """
    low = torch.floor(x)
    return torch.where(x - low < uniform(x), low, torch.ceil(x))
