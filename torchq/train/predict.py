"""Run a model over many samples."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

EVALUATE_BATCH = 8192


def forward(model: nn.Module, x: Tensor, batch_size: int = EVALUATE_BATCH) -> Tensor:
    """The model's output for ``x`` in evaluation mode and without gradients, ``[rows, classes]``.

    The mode of every module is as before afterwards.
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            return torch.cat([model(x[i : i + batch_size]) for i in range(0, len(x), batch_size)])
    finally:
        for module, mode in modes:
            module.training = mode


def predict_logits(
    model: nn.Module, x: Tensor | NDArray[Any], batch_size: int = EVALUATE_BATCH
) -> NDArray[Any]:
    """Logits of many samples.

    Args:
        model: any classifier; it is put in evaluation mode for the time.
        x: features ``[rows, features]``, of the model's type; brought to the model's device.
        batch_size: samples at a time.

    Returns:
        ``[rows, classes]`` in the type the model answers with.

    Example:
        >>> predict_logits(nn.Linear(3, 2), torch.zeros(4, 3)).shape
        (4, 2)
    """
    tensor = torch.as_tensor(x)
    first = next(model.parameters(), None)
    if first is not None:
        tensor = tensor.to(first.device)
    return forward(model, tensor, batch_size).cpu().numpy()
