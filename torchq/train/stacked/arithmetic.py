"""What a stack computes element by element: by torch's operations, which a compiler may fuse."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from torchq.train.stacked import formulas
from torchq.train.stacked.adam import ADAM_EPSILON, BETAS
from torchq.train.stacked.numbers import Families


class Arithmetic:
    """Quantizers, their gradients, the loss and Adam, by torch."""

    def step(self) -> AbstractContextManager[None]:
        """In it, what is made is not read after it, so that its memory may serve the next step."""
        return nullcontext()

    @property
    def kept(self) -> object:
        """What :meth:`keep` was given last, where steps may share what they look up; else None."""
        return None

    def keep(self, run: object) -> None:
        """Keep a pass for the next step."""

    def picked(self, x: Tensor, order: Tensor) -> Tensor:
        """The samples of each candidate's batch.

        Args:
            x: ``[samples, ...]``.
            order: ``[candidates, batch]``.
        """
        return x[order]

    def product(self, a: Tensor, b: Tensor) -> Tensor:
        """The matrix products of all candidates."""
        return torch.bmm(a, b)

    def sums(self, x: Tensor) -> Tensor:
        """Sums over the rows, ``[candidates, 1, columns]``."""
        return x.sum(1, keepdim=True)

    def cross_entropy(self, logits: Tensor, y: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
        """The mean cross entropy of each candidate, and its gradient.

        Args:
            logits: ``[candidates, batch, classes]``.
            y: ``[candidates, batch]``, or one for all.
            share: how much each row counts, ``[batch]``.
        """
        shifted = logits - logits.amax(-1, keepdim=True)
        powers = torch.exp(shifted)
        total = powers.sum(-1, keepdim=True)
        classes = torch.arange(logits.shape[-1], device=logits.device)
        right = (classes == y.unsqueeze(-1)).to(logits.dtype)
        lost = torch.log(total) - (shifted * right).sum(-1, keepdim=True)
        weight = share.unsqueeze(-1)
        return (lost * weight).sum((1, 2)), (powers / total - right) * weight

    def values(self, x: Tensor, numbers: Tensor, families: Families, mask: Tensor | None = None) -> Tensor:
        """Quantized values, see :func:`torchq.train.stacked.formulas.values`; times the mask."""
        made = formulas.values(x, numbers, families)
        return made if mask is None else made * mask

    def shifted(
        self, x: Tensor, factor: Tensor | None, offset: Tensor, numbers: Tensor, families: Families
    ) -> tuple[Tensor, Tensor]:
        """``x * factor + offset``, column by column, and its quantized values; ``x`` is not read again."""
        total = (x if factor is None else x * factor) + offset
        return total, self.values(total, numbers, families)

    def moments(self, x: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and biased variance of each column, ``[candidates, 1, columns]``.

        Sums are divided at the end, and counted from the first row: values on a grid are added without
        rounding, and a column that never changes is its mean, whatever its value.

        Args:
            x: ``[candidates, rows, columns]``.
            share: how much each row counts, ``[rows]``: the first one as all others, or nothing.
        """
        counted = (share != 0).to(x.dtype)
        rows = counted.sum()
        counted = counted[None, :, None]
        origin = x[:, :1]
        mean = ((x - origin) * counted).sum(1, keepdim=True) / rows + origin
        return mean, ((x - mean).square() * counted).sum(1, keepdim=True) / rows

    def slopes(self, gradient: Tensor, x: Tensor, mean: Tensor | None) -> tuple[Tensor, Tensor]:
        """Sums over the rows of ``gradient`` and of ``gradient * (x - mean)``."""
        along = gradient * (x if mean is None else x - mean)
        return gradient.sum(1, keepdim=True), along.sum(1, keepdim=True)

    def returned(
        self,
        gradient: Tensor | None,
        scale: Tensor | None,
        x: Tensor,
        mean: Tensor,
        constant: Tensor,
        slope: Tensor,
        share: Tensor,
    ) -> Tensor:
        """What passes back through a batch norm.

        That is ``gradient * scale - share * (constant + slope * (x - mean))``; no gradient counts as zero.
        Neither gradient nor ``x`` is read again.
        """
        moved = share[None, :, None] * (constant + slope * (x - mean))
        return -moved if gradient is None or scale is None else gradient * scale - moved

    def passed(self, gradient: Tensor, x: Tensor, numbers: Tensor, families: Families) -> Tensor:
        """The straight-through gradient; the one given is not read again."""
        return formulas.passed(gradient, x, numbers, families)

    def adam(
        self,
        rows: Tensor,
        first: Tensor,
        second: Tensor,
        slope: Tensor,
        masks: Tensor,
        lr: Tensor,
        pace: Tensor,
    ) -> None:
        """AdamW (arXiv:1711.05101): change parameters and moments in place.

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
