"""Which weights go, in patterns: so many of each group of neighbours (N:M), or whole neurons."""

from __future__ import annotations

import re

import torch
from torch import Tensor

from torchq.errors import TrainError
from torchq.prune.magnitude import smallest


def group_pattern(scope: str) -> tuple[int, int] | None:
    """``"2:4"`` as ``(2, 4)``; None for other texts.

    Raises:
        TrainError: a pattern that keeps nothing or everything.

    Example:
        >>> group_pattern("2:4"), group_pattern("layer")
        ((2, 4), None)
    """
    match = re.fullmatch(r"(\d+):(\d+)", scope)
    if match is None:
        return None
    kept, group = int(match[1]), int(match[2])
    if not 1 <= kept < group:
        raise TrainError(f"scope {scope}: N:M keeps N of M weights; N must be at least 1 and below M")
    return kept, group


def in_groups(scores: Tensor, kept: int, group: int, sparsity: float) -> Tensor:
    """In each group of neighbouring inputs of an output, the smallest weights.

    Args:
        scores: shape ``[outputs, ...]``; the other axes are the inputs of one output, in their order.
        kept: how many of a group stay in the end.
        group: how many neighbours are a group; must divide the number of inputs.
        sparsity: the share asked for now: as long as it is below the final one, more stay.

    Example:
        >>> in_groups(torch.tensor([[1.0, 2.0, 3.0, 4.0]]), 1, 2, 0.5).tolist()
        [[True, False, True, False]]
    """
    stay = max(kept, round(group * (1.0 - sparsity)))
    rows = scores.reshape(-1, group)
    order = torch.argsort(rows, dim=1, stable=True)
    mask = torch.zeros_like(rows, dtype=torch.bool)
    mask.scatter_(1, order[:, : group - stay], True)
    return mask.reshape(scores.shape)


def whole_neurons(scores: Tensor, sparsity: float) -> Tensor:
    """All weights of the neurons whose weights have the smallest Euclidean norms.

    Args:
        scores: shape ``[outputs, ...]``.
        sparsity: share of the neurons to prune.

    Example:
        >>> whole_neurons(torch.tensor([[1.0, 1.0], [3.0, 0.0]]), 0.5).tolist()
        [[True, True], [False, False]]
    """
    norms = scores.clamp(min=0).double().reshape(len(scores), -1).norm(dim=1)
    mask = smallest(norms, sparsity)
    return mask.reshape(-1, *(1,) * (scores.ndim - 1)).expand(scores.shape).clone()
