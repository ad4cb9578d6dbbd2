"""From a layer of torch to operators of ONNX: one function a kind of layer, found by the kind's name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from hls_export.qonnx.builder import Builder

if TYPE_CHECKING:
    from torchq.graph import Node as TorchNode

Made = str | tuple[Any, ...]
"""The tensor that a layer makes, or (nested) tuples of them; None stands for one that cannot be written."""
Writer = Callable[[Builder, "TorchNode", list[str]], Any]
"""Writes one layer: where, the layer, and the tensors that it reads."""

WRITERS: dict[str, Writer] = {}
"""The function of each kind."""

W = TypeVar("W", bound=Writer)


def writes(*kinds: str) -> Callable[[W], W]:
    """Registers the function of some kinds of layers."""

    def register(writer: W) -> W:
        for kind in kinds:
            WRITERS[kind] = writer
        return writer

    return register
