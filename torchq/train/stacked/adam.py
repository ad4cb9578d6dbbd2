"""AdamW (arXiv:1711.05101) of all candidates at once."""

from __future__ import annotations

import torch
from torch import Tensor

BETAS = (0.9, 0.999)
ADAM_EPSILON = 1e-8
"""What torch's Adam has by default."""


def adam(
    rows: Tensor,
    first: Tensor,
    second: Tensor,
    slope: Tensor,
    masks: Tensor,
    lr: Tensor,
    pace: Tensor,
) -> None:
    """Change parameters and moments in place.

    Args:
        rows: parameters ``[candidates, values]``.
        first: Adam's first moments.
        second: Adam's second moments.
        slope: the gradients.
        masks: 1 where a parameter is.
        lr: learning rate of each candidate, ``[candidates, 1]``.
        pace: see :func:`torchq.train.stacked.program.train_step`.
    """
    one = first + (1 - BETAS[0]) * (slope - first)
    two = BETAS[1] * second + (1 - BETAS[1]) * slope * slope
    kept = rows * (1 - lr * pace[2])
    step = lr * pace[1] * one / (torch.sqrt(two) * pace[3] + ADAM_EPSILON)
    rows.copy_((kept - step) * masks)
    first.copy_(one)
    second.copy_(two)
