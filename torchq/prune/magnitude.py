"""Which weights go: the smallest ones of each layer, or of all layers together."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def smallest(scores: Tensor, sparsity: float) -> Tensor:
    """A mask of the smallest scores.

    Args:
        scores: any shape, none negative.
        sparsity: share of them to prune.

    Returns:
        Booleans of the shape of ``scores``; ``n - round(n * (1 - sparsity))`` of ``n`` are true. Among equal
        scores the first ones are pruned.

    Example:
        >>> smallest(torch.tensor([3.0, 1.0, 2.0, 4.0]), 0.5).tolist()
        [False, True, True, False]
    """
    count = scores.numel()
    gone = count - round(count * (1.0 - sparsity))
    order = torch.argsort(scores.reshape(-1), stable=True)
    mask = torch.zeros(count, dtype=torch.bool, device=scores.device)
    mask[order[:gone]] = True
    return mask.reshape(scores.shape)


def per_layer(scores: Sequence[Tensor], sparsity: float) -> list[Tensor]:
    """The smallest weights of each layer: all layers have the same sparsity."""
    return [smallest(score, sparsity) for score in scores]


def together(scores: Sequence[Tensor], sparsity: float) -> list[Tensor]:
    """The smallest weights of all layers: only the whole has this sparsity.

    Example:
        >>> a, b = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])
        >>> [mask.tolist() for mask in together([a, b], 0.5)]
        [[True, True], [False, False]]
    """
    mask = smallest(torch.cat([score.reshape(-1) for score in scores]), sparsity)
    parts = torch.split(mask, [score.numel() for score in scores])
    return [part.reshape(score.shape) for part, score in zip(parts, scores, strict=True)]
