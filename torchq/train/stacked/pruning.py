"""Pruning within a stack: each candidate by its own schedule, as a ``Pruner`` of scope ``layer`` does it."""

from __future__ import annotations

import torch

from torchq.errors import TrainError
from torchq.prune.magnitude import smallest
from torchq.prune.masks import check_zero
from torchq.train.stacked.chain import Chain
from torchq.train.stacked.layout import part_of
from torchq.train.stacked.stack import Candidate, Stack


def prune_due(stack: Stack, step: int) -> None:
    """Choose the weights of the candidates whose schedules say so, and set them to zero.

    Args:
        stack: the candidates.
        step: training steps done.
    """
    for index, candidate in enumerate(stack.candidates):
        if candidate.prune is not None and candidate.prune.due(step):
            _choose(stack, index, candidate, candidate.prune.at(step))


def prunes(stack: Stack) -> bool:
    """Whether a candidate is pruned while it is trained."""
    return any(candidate.prune is not None for candidate in stack.candidates)


def refusal(chain: Chain) -> str | None:
    """Why a model cannot be pruned."""
    for link in chain.links_with_weights:
        if link.module is not None:
            try:
                check_zero(link.name, link.module, "weight")
            except TrainError as fault:
                return fault.message
    return None


def _choose(stack: Stack, index: int, candidate: Candidate, sparsity: float) -> None:
    for place in stack.places:
        module = candidate.chain.links[place.link].module
        if place.name != "weight" or module is None:
            continue
        shape = module.get_parameter("weight").shape
        weight, mask = (part_of(rows[index], place, shape) for rows in (stack.rows, stack.masks))
        if not bool(torch.isfinite(weight).all()):
            continue  # the loss says it
        scores = weight.abs().masked_fill(mask == 0, -1.0)
        mask.masked_fill_(smallest(scores, sparsity), 0.0)
        weight.mul_(mask)
