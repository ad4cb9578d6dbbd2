"""``freeze``: a copy of a model with its weights on their grids."""

from __future__ import annotations

import copy
from typing import TypeVar

from torch import nn

from torchq.nn import QLayer
from torchq.prune import zero_masked

M = TypeVar("M", bound=nn.Module)


def freeze(model: M) -> M:
    """A copy for evaluation and export: parameters on their grids, no gradients.

    Weights and biases hold quantized values; in the place of their quantizers stand
    :class:`~torchq.nn.Baked` ones, which keep the number format and do nothing. Folded batch norms become
    plain ``QLinear`` layers. Quantizers of activations stay. In float64 the copy computes exactly what the
    model computes in evaluation mode.

    Args:
        model: a quantized model; it stays as it is.

    Example:
        >>> from torchq.nn import QLinear
        >>> model = nn.Sequential(QLinear(2, 1, weight_quantizer="quantized_bits(4,0,alpha=1)", bias=False))
        >>> frozen = freeze(model)
        >>> bool((frozen[0].weight == model[0].quantized_weight()).all()), frozen[0].weight.requires_grad
        (True, False)
    """
    frozen = _frozen(zero_masked(copy.deepcopy(model)), {})
    return frozen.eval().requires_grad_(False)  # type: ignore[return-value]


def _frozen(module: nn.Module, done: dict[nn.Module, nn.Module]) -> nn.Module:
    """The module with every layer in it frozen; one that stands in several places stays one."""
    if module in done:
        return done[module]
    result = module.frozen() if isinstance(module, QLayer) else module
    done[module] = done[result] = result
    for name, child in list(result.named_children()):
        setattr(result, name, _frozen(child, done))
    return result
