"""A model as a chain of links, each of which has a stacked form."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from torchq.quantizers import Quantizer
from torchq.train.stacked.numbers import Numbers
from torchq.train.stacked.windows import Window


@dataclass(frozen=True)
class Link:
    """One operation of a chain.

    Attributes:
        kind: ``"quantize"``, ``"linear"`` (convolutions as well), ``"folded"`` (one of them with a batch norm
            folded in), ``"norm"``, ``"pool"`` or ``"flatten"``.
        options: what must be the same in all candidates of a stack.
        module: the layer with the parameters.
        name: of the layer in its model.
        inputs: values or channels that it reads (layers with weights).
        outputs: values or channels that it writes, where that is another number.
        quantizers: those of weight and bias, or of the activation; None for none.
        relu: whether a relu comes before the activation's quantizer.
        window: of a convolution or a pool.
        factor: what an average pool multiplies its sums with.
        positions: places of a sample that have so many outputs.
    """

    kind: str
    options: tuple[Any, ...] = ()
    module: nn.Module | None = None
    name: str = ""
    inputs: int = 0
    outputs: int = 0
    quantizers: tuple[Quantizer | None, ...] = (None,)
    relu: bool = False
    window: Window | None = None
    factor: float | None = None
    positions: int = 1

    @property
    def norm(self) -> nn.BatchNorm1d | nn.BatchNorm2d:
        """The batch norm of a ``folded`` or ``norm`` link."""
        found = self.module.batch_norm if self.kind == "folded" else self.module  # type: ignore[union-attr]
        assert isinstance(found, nn.BatchNorm1d | nn.BatchNorm2d)  # noqa: S101 - told to the type checker
        return found


@dataclass(frozen=True)
class Chain:
    """A model whose layers follow one another.

    Attributes:
        model: the model.
        links: its operations; the first one is a ``quantize``.
        shape: of one sample.
        dtype: of its parameters.
        numbers: those of every quantizer, in order.
        wide: the same for values of double precision.
    """

    model: nn.Module
    links: tuple[Link, ...]
    shape: tuple[int, ...]
    dtype: torch.dtype
    numbers: tuple[Numbers, ...]
    wide: tuple[Numbers, ...]

    @property
    def structure(self) -> tuple[Any, ...]:
        """What two chains must share to stand in one stack: all but widths, quantizers and values."""
        ends = (self.shape, self.links_with_weights[-1].outputs)
        return (self.dtype, ends, *((link.kind, link.options, link.window) for link in self.links))

    @property
    def features(self) -> int:
        """Values of a sample, or its channels."""
        return self.shape[0]

    @property
    def positions(self) -> int:
        """Places of a sample that have so many."""
        return math.prod(self.shape[1:])

    @property
    def links_with_weights(self) -> tuple[Link, ...]:
        """The linear layers and convolutions."""
        return tuple(link for link in self.links if link.kind in ("linear", "folded"))
