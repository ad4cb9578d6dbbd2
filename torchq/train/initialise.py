"""``initialise``: first weights large enough to survive their quantizers, as QKeras does it."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from torchq.nn import QLayer
from torchq.quantizers import Quantizer, ScaledQuantizer

Draw = Callable[[tuple[int, ...], int], Tensor]
"""Makes weights of a shape for so many inputs."""


def he_normal(shape: tuple[int, ...], fan_in: int) -> Tensor:
    """Keras's ``he_normal``: a normal distribution cut at two deviations, of variance ``2 / fan_in``."""
    deviation = math.sqrt(2.0 / fan_in) / 0.87962566103423978
    values = torch.empty(shape, dtype=torch.float64)
    return nn.init.trunc_normal_(values, 0.0, deviation, -2 * deviation, 2 * deviation)


def initialise(model: nn.Module, *, seed: int | None = None, draw: Draw = he_normal) -> dict[str, float]:
    """Draw the weights of all quantized layers anew, as QKeras's ``QInitializer``; off unless asked for.

    Weights are drawn by ``draw``. Where their deviation is smaller than ``q.max() / 2**bits``, most of them
    would be quantized to zero; they are drawn again, larger by the least-squares factor
    ``sum(q * q) / sum(q * x)`` of the first draw (or by ``q.max() / rms(x)`` where all are quantized to
    zero), if it is above 1. Then they are clipped to ``q.max()``. Biases become 0. Weights whose quantizer
    finds its scale itself (``alpha="auto"``) are drawn and neither rescaled nor clipped.

    Args:
        model: a quantized model; changed in place.
        seed: of the draw; torch's generator is left as it was. By default it goes on.
        draw: how weights are drawn.

    Returns:
        The factor of each layer's weights, by layer name.

    Example:
        >>> from torchq.nn import QLinear
        >>> layer = QLinear(1000, 8, weight_quantizer="quantized_bits(2,0,alpha=1)")
        >>> initialise(layer, seed=0)[""] > 1
        True
    """
    factors: dict[str, float] = {}
    with torch.random.fork_rng(devices=[], enabled=seed is not None), torch.no_grad():
        if seed is not None:
            torch.manual_seed(seed)
        for name, module in model.named_modules():
            if not isinstance(module, QLayer):
                continue
            weight = module._parameters.get("weight")
            if "weight" not in module.slots or weight is None or weight.ndim < 2:
                continue
            factors[name] = _draw(weight, module.quantizer("weight"), draw)
            bias = module._parameters.get("bias")
            if bias is not None:
                bias.zero_()
    return factors


def _draw(weight: Tensor, quantizer: Quantizer | None, draw: Draw) -> float:
    shape, fan_in = tuple(weight.shape), weight[0].numel()
    values = draw(shape, fan_in)
    factor = 1.0
    if quantizer is not None and not (isinstance(quantizer, ScaledQuantizer) and quantizer.auto):
        factor = _factor(values, quantizer)
        if factor > 1.0:
            values = factor * draw(shape, fan_in)
        values = values.clamp(-quantizer.max(), quantizer.max())
    weight.copy_(values)
    return factor


def _factor(x: Tensor, quantizer: Quantizer) -> float:
    """By how much weights of this deviation must be larger; 1 if they are large enough."""
    largest = quantizer.max()
    if largest * 2.0**-quantizer.bits <= float(x.std(correction=0)):
        return 1.0
    q = quantizer(x)
    overlap = float((q * x).sum())
    factor = float((q * q).sum()) / overlap if overlap > 0 else largest / float(x.square().mean().sqrt())
    return max(factor, 1.0)
