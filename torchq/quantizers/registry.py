"""The quantizers by name: ``get("quantized_bits")(bits=6, integer=0, alpha=1)``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from torchq.quantizers.base import Quantizer
from torchq.registry import Registry

Q = TypeVar("Q", bound=type[Quantizer])

QUANTIZERS: Registry[type[Quantizer]] = Registry("quantizer")
"""Every quantizer class by its (QKeras) name."""


def register(name: str) -> Callable[[Q], Q]:
    """Decorate a quantizer class to bind it to ``name``, which becomes its :attr:`Quantizer.name`."""

    def bind(cls: Q) -> Q:
        cls.name = name
        QUANTIZERS.add(name, cls)
        return cls

    return bind


def get(name: str) -> type[Quantizer]:
    """The quantizer class of this name.

    Raises:
        UnknownNameError: no such quantizer; the message proposes the nearest name.

    Example:
        >>> print(get("quantized_bits")(bits=6, integer=0, alpha=1))
        quantized_bits(6,0,alpha=1.0)
    """
    return QUANTIZERS.get(name)
