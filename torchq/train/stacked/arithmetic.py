"""What a stack computes element by element: by torch's operations, which a compiler may fuse."""

from __future__ import annotations

from torch import Tensor

from torchq.train.stacked import formulas
from torchq.train.stacked.adam import adam
from torchq.train.stacked.numbers import Families


class Arithmetic:
    """Quantizers, their gradients and Adam, by torch."""

    def values(self, x: Tensor, numbers: Tensor, families: Families, mask: Tensor | None = None) -> Tensor:
        """Quantized values, see :func:`torchq.train.stacked.formulas.values`; times the mask."""
        made = formulas.values(x, numbers, families)
        return made if mask is None else made * mask

    def shifted(
        self, x: Tensor, offset: Tensor, numbers: Tensor, families: Families
    ) -> tuple[Tensor, Tensor]:
        """The sum of ``x``, which is not read again, and ``offset`` of each column; and its values."""
        total = x + offset
        return total, self.values(total, numbers, families)

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
        """One step, see :func:`torchq.train.stacked.adam.adam`."""
        adam(rows, first, second, slope, masks, lr, pace)
