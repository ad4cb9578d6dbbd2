"""Reads the recorded layers (``layers/README.md`` says what they are), in the layouts of torch."""

from __future__ import annotations

import functools
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

FOLDED = ("QConv2DBatchnorm", "QDepthwiseConv2DBatchnorm")


def folder() -> Path:
    """Our copy, or that of another folder of the same layout."""
    return Path(os.environ.get("TORCHQ_GOLDEN_DIR") or Path(__file__).parent) / "layers"


@functools.cache
def index() -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads((folder() / "index.json").read_text())
    return entries


@functools.cache
def _arrays() -> dict[str, Any]:
    with np.load(folder() / "layers.npz") as file:
        return {name: file[name] for name in file.files}


@dataclass(frozen=True)
class Case:
    """One recorded call of a layer."""

    entry: dict[str, Any]

    @property
    def id(self) -> str:
        return str(self.entry["id"])

    @property
    def layer(self) -> str:
        return str(self.entry["class"])

    @property
    def training(self) -> bool:
        return bool(self.entry["training"])

    @property
    def config(self) -> dict[str, Any]:
        config: dict[str, Any] = self.entry["config"]
        return config

    @property
    def quantizers(self) -> list[str | None]:
        texts: list[str | None] = self.entry["quantizers"]
        return texts

    @property
    def activation(self) -> str | None:
        """The quantizer of the output."""
        text = str(self.entry["activation"])
        return text if text.startswith("quantized") else None

    @property
    def depthwise(self) -> bool:
        return "Depthwise" in self.layer

    def __str__(self) -> str:
        mode = "training" if self.training else "evaluation"
        return f"{self.id} {self.entry['name']} {mode}".replace(" ", "_")

    def array(self, key: str) -> Tensor:
        """As recorded."""
        return torch.from_numpy(np.array(_arrays()[f"{self.id}_{key}"]))

    def batch(self, key: str) -> Tensor:
        """A batch, channels second."""
        x = self.array(key)
        return x.movedim(-1, 1) if x.ndim > 2 else x

    def parameters(self, prefix: str = "w") -> dict[str, Tensor]:
        """Weights (``w``) or their gradients (``gw``) by their short names, in the layout of torch."""
        found = {}
        for i, name in enumerate(self.entry["weights"]):
            if f"{self.id}_{prefix}{i}" in _arrays():
                short = name.split("/")[-1]
                found[short] = self._laid_out(short, self.array(f"{prefix}{i}"))
        return found

    def after(self) -> dict[str, Tensor]:
        """What the call changed."""
        return {
            name.split("/")[-1]: torch.from_numpy(np.array(_arrays()[key]))
            for name, key in self.entry["changed_after_call"].items()
        }

    def _laid_out(self, name: str, weight: Tensor) -> Tensor:
        if weight.ndim < 2:
            return weight
        if name == "depthwise_kernel":  # rows, columns, channels, multiplier
            return weight.permute(2, 3, 0, 1).flatten(0, 1).unsqueeze(1)
        return weight.movedim((-1, -2), (0, 1))


def cases() -> list[Case]:
    """The recorded calls, the trajectories aside."""
    return [Case(entry) for entry in index() if "class" in entry]


def trajectories() -> list[dict[str, Any]]:
    """The recorded trainings."""
    return [entry for entry in index() if "class" not in entry]


def trajectory(name: str, key: str) -> Tensor:
    """An array of a recorded training."""
    return torch.from_numpy(np.array(_arrays()[f"{name}_{key}"]))
