"""What a training did, epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class EpochRecord:
    """One epoch.

    Attributes:
        epoch: counted from 1.
        loss: mean loss over the training samples while they were learnt.
        valid_loss: mean loss over the validation samples after the epoch.
        valid_accuracy: fraction of validation samples with the right class, 0 to 1.
        lr: learning rate of the last step.
        seconds: wall time; not compared, for it differs every time.
    """

    epoch: int
    loss: float
    valid_loss: float
    valid_accuracy: float
    lr: float
    seconds: float = field(default=0.0, compare=False)


@dataclass(frozen=True)
class History:
    """All epochs of a training.

    Attributes:
        epochs: in order.
        best_epoch: number of the epoch with the smallest validation loss, whose weights the model has.
        stopped_early: whether patience ended the training before its last epoch.
    """

    epochs: tuple[EpochRecord, ...]
    best_epoch: int
    stopped_early: bool

    @property
    def best(self) -> EpochRecord:
        """The epoch whose weights the model has."""
        return self.epochs[self.best_epoch - 1]

    @property
    def seconds(self) -> float:
        """Wall time of all epochs."""
        return sum(record.seconds for record in self.epochs)

    def to_dict(self) -> dict[str, Any]:
        """For JSON; :meth:`from_dict` reads it back."""
        return {
            "epochs": [asdict(record) for record in self.epochs],
            "best_epoch": self.best_epoch,
            "stopped_early": self.stopped_early,
        }

    @classmethod
    def from_dict(cls, held: Mapping[str, Any]) -> History:
        """The history that :meth:`to_dict` wrote."""
        return cls(
            tuple(EpochRecord(**record) for record in held["epochs"]),
            int(held["best_epoch"]),
            bool(held["stopped_early"]),
        )
