"""``Settings``: what a point of a space says beside its scheme."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from torchq.advice import advice
from torchq.errors import SearchError, TorchqError

if TYPE_CHECKING:
    from torch import nn

FOLDS = ("now", "train", "apart")
"""How batch norms are folded, from cheap to dear: before training, while training (the quantizers see the
folded weights), or not at all (a layer of its own)."""

ACTIVATIONS = {
    "relu": "ReLU",
    "tanh": "Tanh",
    "sigmoid": "Sigmoid",
    "hardtanh": "Hardtanh",
    "hardsigmoid": "Hardsigmoid",
    "hardswish": "Hardswish",
    "elu": "ELU",
    "gelu": "GELU",
    "silu": "SiLU",
    "softplus": "Softplus",
}
"""The activations that a knob can choose: name -> module of ``torch.nn``."""

NO_ACTIVATION = "none"
"""In :attr:`Settings.activations`: the quantizer stands alone, as QKeras's ``QActivation`` does."""


@dataclass(frozen=True)
class Settings:
    """What a point of a space says beside its scheme: how the network is trained and built.

    Args:
        learning_rate: in place of the training's own; None leaves that.
        pruning: layer name or glob -> share of its weights that is pruned.
        fold: how batch norms are folded; None leaves the default.
        activations: layer -> activation in place of the one it is, a name in :data:`ACTIVATIONS` or
            ``"none"`` (its quantizer alone).

    Example:
        >>> Settings(learning_rate=0.01).to_dict()
        {'learning_rate': 0.01}
    """

    learning_rate: float | None = None
    pruning: Mapping[str, float] = field(default_factory=dict)
    fold: str | None = None
    activations: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("pruning", "activations"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def __reduce__(self) -> tuple[Any, ...]:
        return Settings, (self.learning_rate, dict(self.pruning), self.fold, dict(self.activations))

    def to_dict(self) -> dict[str, Any]:
        """Plain data: what is said, and nothing that is not."""
        plain = {
            "learning_rate": self.learning_rate,
            "pruning": dict(self.pruning),
            "fold": self.fold,
            "activations": dict(self.activations),
        }
        return {name: value for name, value in plain.items() if value not in (None, {})}


def activation_of(option: str) -> str:
    """What an option of an ``"activation"`` knob makes of the layer.

    ``quantized_relu`` contains its relu; every other quantizer stands alone, as in QKeras.

    Example:
        >>> activation_of("tanh"), activation_of("quantized_relu(4,2)"), activation_of("ternary()")
        ('tanh', 'relu', 'none')
    """
    if option in ACTIVATIONS:
        return option
    return "relu" if option.startswith("quantized_relu") else NO_ACTIVATION


def activation_module(name: str) -> nn.Module:
    """The float module of an activation; for ``"none"`` a quantizer that the scheme replaces."""
    from torch import nn

    from torchq.nn import QActivation

    if name == NO_ACTIVATION:
        return QActivation("quantized_bits(8,0,alpha=1)")
    made: nn.Module = getattr(nn, ACTIVATIONS[name])()
    return made


def check_activation(where: str, option: str) -> None:
    """Raise SearchError unless this is an activation or a quantizer."""
    from torchq.quantizers import parse

    if option in ACTIVATIONS:
        return
    try:
        parse(option)
    except TorchqError as fault:
        raise SearchError(
            f"{where}: {option!r} is neither an activation nor a quantizer ({fault.message})",
            hint=advice(option, ACTIVATIONS, "Activations"),
        ) from None
