"""``Clip``: float weights kept inside the range of their quantizers, as QKeras does it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from torchq.errors import TrainError
from torchq.nn import QLayer
from torchq.quantizers import Quantizer


class Clip:
    """Clips the float parameters of quantized layers after each training step; off unless asked for.

    QKeras's constraint: a parameter with a quantizer stays between ``-b`` and ``b``, ``b`` being
    ``quantizer.clip_bound()``, that is ``max(1, 2**integer)`` for fixed point. A float weight beyond the
    range would have to come a long way back before its quantized value changes.

    Args:
        model: whose layers are clipped.

    Raises:
        TrainError: no layer of the model has a quantized parameter.

    Example:
        >>> from torchq.nn import QLinear
        >>> layer = QLinear(1, 1, bias=False, weight_quantizer="quantized_bits(4,0,alpha=1)")
        >>> clip = Clip(layer)
        >>> layer.weight.data.fill_(3.0).item(), clip.step(), layer.weight.item()
        (3.0, None, 1.0)
    """

    def __init__(self, model: nn.Module) -> None:
        self.bounded = [
            (parameter, quantizer.clip_bound()) for parameter, quantizer in quantized_parameters(model)
        ]
        if not self.bounded:
            raise TrainError(
                "no layer of the model has a quantized weight", hint="call quantize(model) first"
            )
        self.step()

    def step(self, step: int | None = None) -> None:  # noqa: ARG002
        """Clip; after each optimizer step, as ``fit(..., after_step=clip.step)`` calls it."""
        with torch.no_grad():
            for parameter, bound in self.bounded:
                parameter.clamp_(-bound, bound)


def quantized_parameters(model: nn.Module) -> list[tuple[nn.Parameter, Quantizer]]:
    """The parameters of a model that have a quantizer, and these."""
    found: list[tuple[nn.Parameter, Quantizer]] = []
    for module in model.modules():
        if not isinstance(module, QLayer):
            continue
        for slot in module.slots:
            parameter: Tensor | None = module._parameters.get(slot)
            quantizer = module.quantizer(slot)
            if isinstance(parameter, nn.Parameter) and quantizer is not None:
                found.append((parameter, quantizer))
    return found
