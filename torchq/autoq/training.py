"""``Training``: how long and how fast a candidate is trained."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

from torchq.errors import TrainError


@dataclass(frozen=True)
class Training:
    """The arguments of one training; a search trains every trial with the same ones.

    Args:
        epochs: passes over the training samples, at most.
        batch_size: samples a step.
        learning_rate: of Adam at the start; a knob of the space may set another.
        weight_decay: decoupled.
        schedule: how the learning rate goes on: ``"cosine"`` or ``"constant"``.
        patience: stop after this many epochs without a smaller validation loss; None never stops early.

    Raises:
        TrainError: a number out of range.

    Example:
        >>> Training(epochs=30).shortened(0.1).epochs
        3
    """

    epochs: int = 10
    batch_size: int = 512
    learning_rate: float = 1e-2
    weight_decay: float = 0.0
    schedule: str = "cosine"
    patience: int | None = None

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "patience"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise TrainError(f"training: {name} must be at least 1, got {value}")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise TrainError(f"training: learning_rate must be above 0, got {self.learning_rate:g}")
        if not (math.isfinite(self.weight_decay) and self.weight_decay >= 0):
            raise TrainError(f"training: weight_decay must be at least 0, got {self.weight_decay:g}")

    def shortened(self, fidelity: float) -> Training:
        """The same training over a part of the epochs, at least one."""
        return replace(self, epochs=max(1, round(fidelity * self.epochs)))

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)
