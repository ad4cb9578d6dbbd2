"""``sparsity``: how many weights of a model are zero, layer by layer."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from torchq.nn import QLayer
from torchq.prune.masks import mask_of


@dataclass(frozen=True)
class LayerSparsity:
    """The zeros of one weight.

    Args:
        layer: the layer's name in the model.
        weight: the parameter's name in the layer.
        count: how many values it has.
        pruned: how many a mask keeps at zero.
        zeros: how many of the values that the layer multiplies with (quantized, if it is) are exactly zero.
    """

    layer: str
    weight: str
    count: int
    pruned: int
    zeros: int

    @property
    def share(self) -> float:
        """The zeros by all values."""
        return self.zeros / self.count


@dataclass(frozen=True)
class Sparsity:
    """The zeros of all weights of a model.

    Args:
        layers: in the model's order.
    """

    layers: tuple[LayerSparsity, ...]

    @property
    def count(self) -> int:
        """How many weights there are."""
        return sum(layer.count for layer in self.layers)

    @property
    def pruned(self) -> int:
        """How many of them are pruned."""
        return sum(layer.pruned for layer in self.layers)

    @property
    def zeros(self) -> int:
        """How many of them are zero."""
        return sum(layer.zeros for layer in self.layers)

    @property
    def share(self) -> float:
        """The zeros by all weights; 0 for a model without weights."""
        return self.zeros / self.count if self.count else 0.0

    def text(self) -> str:
        """A table."""
        rows = [(f"{x.layer}.{x.weight}".lstrip("."), x.count, x.pruned, x.zeros) for x in self.layers]
        rows.append(("all", self.count, self.pruned, self.zeros))
        lines = [f"{'':24} {'weights':>9} {'pruned':>9} {'zero':>9} {'':>7}"]
        lines += [
            f"{name:24} {count:9} {pruned:9} {zeros:9} {zeros / max(count, 1):7.1%}"
            for name, count, pruned, zeros in rows
        ]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        totals = {"count": self.count, "pruned": self.pruned, "zeros": self.zeros, "share": self.share}
        return {**totals, "layers": [asdict(layer) for layer in self.layers]}


def sparsity(model: nn.Module) -> Sparsity:
    """Count the zeros in the weights of a model.

    Args:
        model: float, quantized or frozen; it stays as it is.

    Returns:
        All parameters named ``weight``, ``weight_...`` or ``..._weight`` with two axes or more.

    Example:
        >>> layer = nn.Linear(4, 1, bias=False)
        >>> layer.weight.data = torch.tensor([[0.0, 1.0, 0.0, 2.0]])
        >>> sparsity(layer).share
        0.5
    """
    found = []
    for layer, module in model.named_modules():
        for name in weights_of(module):
            mask = mask_of(module, name)
            used = _used(module, name, mask)
            pruned = 0 if mask is None else int(mask.sum())
            found.append(LayerSparsity(layer, name, used.numel(), pruned, int((used == 0).sum())))
    return Sparsity(tuple(found))


def weights_of(module: nn.Module) -> tuple[str, ...]:
    """The names of a module's own parameters that can be pruned: weights with two axes or more."""
    return tuple(
        name
        for name, parameter in module.named_parameters(recurse=False)
        if ("weight" in (name.partition("_")[0], name.rpartition("_")[2])) and parameter.ndim >= 2
    )


def _used(module: nn.Module, name: str, mask: Tensor | None) -> Tensor:
    """What the layer multiplies with."""
    weight = module.get_parameter(name).detach()
    if mask is not None:
        weight = weight.masked_fill(mask, 0.0)
    quantizer = module.quantizer(name) if isinstance(module, QLayer) and name in module.slots else None
    if quantizer is None:
        return weight
    own = getattr(module, f"quantized_{name}", None)
    with torch.no_grad():
        values: Tensor = quantizer(weight) if own is None else own()
    return values if mask is None else values.masked_fill(mask, 0.0)
