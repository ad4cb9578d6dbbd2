"""Weights and training state on disk: written whole or not at all, read without running any code."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from torchq.errors import TrainError
from torchq.files import atomic_write_bytes
from torchq.quantizers import Quantizer


def save_state(path: str | Path, state: Mapping[str, Any]) -> Path:
    """Write tensors, numbers, texts, and lists and dicts of these.

    Raises:
        RunDirError: the folder cannot be written, or the disk is full; an older file stays as it was.
    """
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    return atomic_write_bytes(path, buffer.getvalue())


def load_state(path: str | Path) -> dict[str, Any]:
    """Read what :func:`save_state` wrote; tensors come to the CPU.

    Raises:
        TrainError: no such file, or it is damaged or none of ours.
    """
    path = Path(path)
    if not path.is_file():
        raise TrainError(f"{path}: no such checkpoint")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as fault:  # torch.load answers a damaged file with half a dozen sorts of error
        raise _damaged(path) from fault
    if not isinstance(state, dict):
        raise _damaged(path)
    return state


def save_weights(path: str | Path, model: nn.Module) -> Path:
    """Write a model's ``state_dict``.

    Raises:
        RunDirError: the folder cannot be written, or the disk is full.
    """
    return save_state(path, model.state_dict())


def load_weights(path: str | Path, model: nn.Module) -> nn.Module:
    """Read weights that :func:`save_weights` wrote into a model of the same layers, and answer with it.

    Raises:
        TrainError: no such file, a damaged one, or weights of another model.
    """
    load_into(model, load_state(path), str(path))
    return model


def load_into(model: nn.Module, state: Mapping[str, Any], where: str) -> None:
    """Give a model the weights of a state, all of them or none.

    What a quantizer found in the values that it saw, such as a scale for each channel, comes in the shape in
    which it was saved: a quantizer that has seen nothing yet has one number.

    Raises:
        TrainError: names or shapes differ.
    """
    own = model.state_dict()
    faults = [f"{name} is missing" for name in own if name not in state]
    faults += [f"{name} is not of this model" for name in state if name not in own]
    found = {
        f"{layer}.{name}"
        for layer, module in model.named_modules()
        if isinstance(module, Quantizer)
        for name, _ in module.named_buffers()
    }
    for name, value in own.items():
        other = state.get(name)
        if name in found:
            continue
        if isinstance(value, torch.Tensor) and isinstance(other, torch.Tensor) and value.shape != other.shape:
            faults.append(f"{name} has shape {tuple(other.shape)} and needs {tuple(value.shape)}")
    if faults:
        more = f", and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise TrainError(
            f"{where}: holds the weights of another model: {', '.join(faults[:3])}{more}",
            hint="build the model that these weights were saved from",
        )
    model.load_state_dict(dict(state))


def _damaged(path: Path) -> TrainError:
    return TrainError(f"{path}: is damaged, or no checkpoint", hint="remove it to begin anew")
