"""The jet tagger of the hls4ml papers: a small multilayer perceptron (arXiv:1804.06913)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

import torch
from torch import nn

from torchq.errors import TorchqError
from torchq.registry import Registry

MODELS: Registry[Callable[..., nn.Module]] = Registry("model")
"""Functions that build a float model, by name."""


@MODELS.register("jets_mlp")
def jets_mlp(
    inputs: int = 16,
    units: Sequence[int] = (64, 32, 32),
    classes: int = 5,
    batch_norm: bool = False,
    seed: int | None = None,
) -> nn.Sequential:
    """Linear layers with ReLU between, and logits at the end.

    Args:
        inputs: number of features.
        units: neurons of each hidden layer.
        classes: number of logits.
        batch_norm: put batch normalisation between each hidden linear layer and its ReLU.
        seed: seed of the first weights; by default torch's generator goes on. With a seed, torch's generator
            is left as it was.

    Returns:
        ``[batch, inputs]`` to ``[batch, classes]``, with the submodules ``fc1, bn1, relu1, fc2, ..., output``
        (``bn`` only with ``batch_norm``).

    Raises:
        TorchqError: a size below 1.

    Example:
        >>> [name for name, _ in jets_mlp(units=(64, 32)).named_children()]
        ['fc1', 'relu1', 'fc2', 'relu2', 'output']
        >>> sum(p.numel() for p in jets_mlp().parameters())
        4389
    """
    for what, size in (("inputs", inputs), *(("units", unit) for unit in units), ("classes", classes)):
        if size < 1:
            raise TorchqError(f"jets_mlp: {what} must be at least 1, got {size}")
    if seed is None:
        return _build(inputs, units, classes, batch_norm)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _build(inputs, units, classes, batch_norm)


def _build(inputs: int, units: Sequence[int], classes: int, batch_norm: bool) -> nn.Sequential:
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    width = inputs
    for number, unit in enumerate(units, 1):
        layers[f"fc{number}"] = nn.Linear(width, unit)
        if batch_norm:
            layers[f"bn{number}"] = nn.BatchNorm1d(unit)
        layers[f"relu{number}"] = nn.ReLU()
        width = unit
    layers["output"] = nn.Linear(width, classes)
    return nn.Sequential(layers)
