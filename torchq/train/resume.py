"""The state of a training, in memory and in its checkpoint."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from torchq.errors import TrainError
from torchq.train.checkpoint import load_into, load_state, save_state
from torchq.train.history import EpochRecord

VERSION = 1


def fingerprint(*tensors: Tensor) -> str:
    """SHA-256 of the values of tensors, so that a checkpoint of other data is noticed."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(f"{tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


@dataclass
class Resume:
    """What a training needs to go on exactly where it was.

    Attributes:
        path: checkpoint, or None to keep the state in memory only.
        model: the model in training.
        optimizer: its optimizer.
        order: generator of the order of samples.
        settings: arguments of the training; a checkpoint with others is refused.
        records: epochs done.
        best_epoch: the epoch of the smallest validation loss, 0 before the first.
        best: weights of that epoch.
        finished: whether no epoch is left to do.
    """

    path: Path | None
    model: nn.Module
    optimizer: torch.optim.Optimizer
    order: torch.Generator
    settings: Mapping[str, Any]
    records: list[EpochRecord] = field(default_factory=list)
    best_epoch: int = 0
    best: dict[str, Any] = field(default_factory=dict)
    finished: bool = False

    @classmethod
    def open(
        cls,
        path: str | Path | None,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        order: torch.Generator,
        *,
        settings: Mapping[str, Any],
    ) -> Resume:
        """The state in the checkpoint, or a new one if there is no such file.

        Raises:
            TrainError: the checkpoint is damaged or of another training.
        """
        known = {**settings, "version": VERSION, "model": _describe(model)}
        state = cls(None if path is None else Path(path), model, optimizer, order, known)
        if state.path is not None and state.path.exists():
            state._load(state.path)
        return state

    def add(self, record: EpochRecord, epochs: int, patience: int | None, best_from: int = 1) -> None:
        """Note an epoch, keep its weights if it is the best, and write the checkpoint."""
        self.records.append(record)
        best = self.records[self.best_epoch - 1] if self.best_epoch else None
        if record.epoch >= best_from and (best is None or record.valid_loss < best.valid_loss):
            self.best_epoch = record.epoch
            self.best = _copy(self.model.state_dict())
        waited = record.epoch - max(self.best_epoch, best_from)
        self.finished = record.epoch >= epochs or (patience is not None and waited >= patience)
        if self.path is not None:
            self._save(self.path)

    def restore_best(self) -> None:
        """Give the model the weights of its best epoch."""
        self.model.load_state_dict(self.best)

    def _save(self, path: Path) -> None:
        cuda = next((p.device for p in self.model.parameters() if p.device.type == "cuda"), None)
        save_state(
            path,
            {
                "settings": dict(self.settings),
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "order": self.order.get_state(),
                "random": torch.get_rng_state(),
                "random_cuda": None if cuda is None else torch.cuda.get_rng_state(cuda),
                "records": [asdict(record) for record in self.records],
                "best_epoch": self.best_epoch,
                "best": self.best,
                "finished": self.finished,
            },
        )

    def _load(self, path: Path) -> None:
        state = load_state(path)
        held = state.get("settings")
        if not isinstance(held, dict):
            raise TrainError(f"{path}: is no checkpoint of a training", hint="remove it to begin anew")
        for name, value in self.settings.items():
            if held.get(name) != value:
                what = f"{name} was {held.get(name)} and is {value}"
                if name in ("model", "samples"):
                    what = f"the {name} {'is' if name == 'model' else 'are'} another"
                raise TrainError(
                    f"{path}: is the checkpoint of another training: {what}",
                    hint="remove it to begin anew, or name another file",
                )
        load_into(self.model, state["model"], str(path))
        self.optimizer.load_state_dict(state["optimizer"])
        self.order.set_state(state["order"])
        torch.set_rng_state(state["random"])
        cuda = next((p.device for p in self.model.parameters() if p.device.type == "cuda"), None)
        if cuda is not None and state["random_cuda"] is not None:
            torch.cuda.set_rng_state(state["random_cuda"], cuda)
        self.records = [EpochRecord(**record) for record in state["records"]]
        self.best_epoch, self.best, self.finished = state["best_epoch"], state["best"], state["finished"]


def _copy(state: Mapping[str, Any]) -> dict[str, Any]:
    return {name: v.detach().clone() if isinstance(v, Tensor) else v for name, v in state.items()}


def _describe(model: nn.Module) -> str:
    """A digest of the model's layers, with quantizers and settings as they print, and of its shapes."""
    text = re.sub(r"0x[0-9a-fA-F]+", "0x", repr(model))
    shapes = [f"{name} {tuple(getattr(v, 'shape', ()))}" for name, v in model.state_dict().items()]
    return hashlib.sha256("\n".join([text, *shapes]).encode()).hexdigest()
