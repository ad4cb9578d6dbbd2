"""Which device to train on."""

from __future__ import annotations

import re

import torch

from torchq.errors import TrainError


def pick_device(name: str) -> torch.device:
    """The device of a name: ``cpu``, ``cuda``, ``cuda:1`` ..., or ``auto`` for a GPU if there is one.

    Raises:
        TrainError: another name, or a GPU that is not there.

    Example:
        >>> pick_device("cpu")
        device(type='cpu')
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    match = re.fullmatch(r"cpu|cuda(?::(\d+))?", name)
    if match is None:
        raise TrainError(f"unknown device {name!r}", hint="it needs to be cpu, cuda, cuda:N or auto")
    if name == "cpu":
        return torch.device("cpu")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if int(match.group(1) or 0) >= count:
        raise TrainError(f"device {name!r}: torch finds {count} GPUs", hint="use device 'cpu' or 'auto'")
    return torch.device(name)
