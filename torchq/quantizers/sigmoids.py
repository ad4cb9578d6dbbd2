"""The sigmoids and tanhs that QKeras's quantizers use: hard and smooth pieces of lines, and the real ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from torchq.quantizers.base import Quantizer


def hard_sigmoid(x: Tensor) -> Tensor:
    """``clip(x / 2 + 1/2, 0, 1)``."""
    return torch.clamp(0.5 * x + 0.5, 0.0, 1.0)


def smooth_sigmoid(x: Tensor) -> Tensor:
    """``clip(3 x / 16 + 1/2, 0, 1)``: nearer to the sigmoid than the hard one, and two shifts in hardware."""
    return torch.clamp(0.1875 * x + 0.5, 0.0, 1.0)


SIGMOIDS: dict[str, Callable[[Tensor], Tensor]] = {
    "hard": hard_sigmoid,
    "smooth": smooth_sigmoid,
    "real": torch.sigmoid,
}
"""The sigmoids by the names that QKeras's ``set_internal_sigmoid`` knows."""


def sigmoid_kind(cls: type[Quantizer], value: Any) -> str:
    """One of the names in :data:`SIGMOIDS`.

    Raises:
        QuantizerError: it is none.
    """
    if value not in SIGMOIDS:
        raise cls.fault(f"sigmoid must be 'hard', 'smooth' or 'real', got {value!r}")
    return str(value)
