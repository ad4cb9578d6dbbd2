"""Where everything of a candidate lies: all its parameters in one row, padded to the widest of the stack."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import or_
from typing import Any

import torch
from torch import Tensor

from torchq.prune.masks import mask_of
from torchq.train.stacked.chain import Chain, Link
from torchq.train.stacked.numbers import Families
from torchq.train.stacked.windows import Window

QUANTIZERS = {"quantize": 1, "norm": 0, "flatten": 0, "pool": 1}
"""How many each kind of link has, where it is not two: of weight and bias. A pool's is its factor."""


@dataclass(frozen=True)
class Place:
    """Where a tensor of a candidate lies in its row.

    Attributes:
        link: number of its link in the chain.
        name: ``weight``, ``bias``, ``gamma``, ``beta``, ``mean`` or ``variance``.
        shape: padded; of a convolution's weight: outputs, channels, points of the kernel.
        start: of its values in the row.
    """

    link: int
    name: str
    shape: tuple[int, ...]
    start: int

    @property
    def count(self) -> int:
        """Values."""
        return math.prod(self.shape)

    def of(self, rows: Tensor) -> Tensor:
        """The tensor in rows ``[candidates, values]``.

        Vectors become ``[candidates, 1, values]``, weights ``[candidates, outputs, inputs]``, where a
        convolution's inputs are channels and points.
        """
        first = self.shape[0] if len(self.shape) > 1 else 1
        shape = (first, self.count // first)
        return rows[:, self.start : self.start + self.count].reshape(-1, *shape)


@dataclass(frozen=True)
class Layout:
    """What one program is made for.

    Attributes:
        links: kind and options of each operation.
        windows: of convolutions and pools.
        inputs: features of a sample, or its channels.
        widths: values that each link writes, or channels.
        positions: how many positions of a sample have as many.
        reads: how many the link reads.
        dtype: of parameters and activations.
        weights: the formulas of weights and biases.
        activations: the formulas of activations.
    """

    links: tuple[tuple[str, tuple[Any, ...]], ...]
    windows: tuple[Window | None, ...]
    inputs: int
    widths: tuple[int, ...]
    positions: tuple[int, ...]
    reads: tuple[int, ...]
    dtype: torch.dtype
    weights: Families
    activations: Families

    @classmethod
    def of(cls, chains: Sequence[Chain]) -> Layout:
        """The smallest one that holds all chains, which have the same structure."""
        first = chains[0]
        slots = [link.kind for link in first.links for _ in link.quantizers]
        kinds = [
            reduce(
                or_,
                (
                    Families.of(n)
                    for c in chains
                    for n, kind in zip(c.numbers, slots, strict=True)
                    if kind in held
                ),
                Families(),
            )
            for held in (("linear", "folded"), ("quantize",))
        ]
        positions = tuple(link.positions for link in first.links)
        return cls(
            tuple((link.kind, link.options) for link in first.links),
            tuple(link.window for link in first.links),
            first.features,
            tuple(map(max, zip(*(widths_of(c) for c in chains), strict=True))),
            positions,
            (first.positions, *positions[:-1]),
            first.dtype,
            *kinds,
        )

    def parameters(self) -> tuple[Place, ...]:
        """Trained values."""
        return self._trained

    def statistics(self) -> tuple[Place, ...]:
        """Running statistics."""
        return self._running

    def slots(self) -> tuple[int, ...]:
        """The number of the first quantizer of each link."""
        return self._slots

    @cached_property
    def _trained(self) -> tuple[Place, ...]:
        return tuple(_placed(self._parameters()))

    @cached_property
    def _running(self) -> tuple[Place, ...]:
        return tuple(_placed(self._statistics()))

    @cached_property
    def _slots(self) -> tuple[int, ...]:
        counts = [QUANTIZERS.get(kind, 2) for kind, _ in self.links]
        return tuple(sum(counts[:index]) for index in range(len(counts)))

    @property
    def masks_needed(self) -> bool:
        """Whether a padded weight could be quantized to something."""
        return self.weights.zero_moves

    def _parameters(self) -> Iterator[tuple[int, str, tuple[int, ...]]]:
        reads = self.inputs
        for index, ((kind, options), width) in enumerate(zip(self.links, self.widths, strict=True)):
            window = self.windows[index]
            if kind in ("linear", "folded"):
                groups = 1 if window is None else window.groups or reads
                points = () if window is None else (window.taps,)
                yield index, "weight", (width, reads // groups, *points)
                if options[0]:
                    yield index, "bias", (width,)
            if (kind == "norm" and options[0]) or (kind == "folded" and options[1]):
                yield index, "gamma", (width,)
                yield index, "beta", (width,)
            reads = width

    def _statistics(self) -> Iterator[tuple[int, str, tuple[int, ...]]]:
        for index, ((kind, _), width) in enumerate(zip(self.links, self.widths, strict=True)):
            if kind in ("norm", "folded"):
                yield index, "mean", (width,)
                yield index, "variance", (width,)


def held(link: Link, name: str) -> Tensor:
    """The tensor of a model that a place stands for."""
    if name in ("mean", "variance"):
        found = link.norm.running_mean if name == "mean" else link.norm.running_var
    elif name in ("gamma", "beta"):
        found = link.norm.weight if name == "gamma" else link.norm.bias
    else:
        found = getattr(link.module, name)
    assert isinstance(found, Tensor)  # noqa: S101 - the structure says that it has one
    return found


def filled(chain: Chain, places: Sequence[Place], *, masks: bool = False) -> Tensor:
    """The row of a candidate, zero where it is padded.

    Args:
        chain: the candidate.
        places: what the row holds.
        masks: 1 where there is a weight that is not pruned, instead of the values.
    """
    row = torch.zeros(sum(place.count for place in places), dtype=chain.dtype)
    for place in places:
        link = chain.links[place.link]
        values = held(link, place.name).detach().cpu()
        pruned = mask_of(link.module, place.name) if link.module is not None else None
        if masks:
            values = torch.ones_like(values)
        if pruned is not None:
            values = values.masked_fill(pruned.cpu(), 0.0)
        part_of(row, place, values.shape).copy_(values.reshape(_shape(place, values.shape)))
    return row


def part_of(row: Tensor, place: Place, shape: Sequence[int]) -> Tensor:
    """What a candidate has of a place, without what is padded.

    Args:
        row: of the candidate.
        place: of a tensor.
        shape: of the tensor in the model; a kernel's points are one axis in what is returned.
    """
    whole = row[place.start : place.start + place.count].view(place.shape)
    return whole[tuple(slice(size) for size in _shape(place, shape))]


def _shape(place: Place, shape: Sequence[int]) -> tuple[int, ...]:
    """A tensor's shape with the points of its kernel in one axis."""
    return (*shape[:2], place.shape[2]) if len(place.shape) == 3 else tuple(shape)


def given_back(chain: Chain, places: Sequence[Place], row: Tensor) -> None:
    """Write a row into the tensors of the model."""
    with torch.no_grad():
        for place in places:
            target = held(chain.links[place.link], place.name)
            target.copy_(part_of(row, place, target.shape).reshape(target.shape))


def widths_of(chain: Chain) -> list[int]:
    """Values that each link writes."""
    width = chain.features
    widths = []
    for link in chain.links:
        width = link.outputs or width
        widths.append(width)
    return widths


def _placed(found: Iterator[tuple[int, str, tuple[int, ...]]]) -> Iterator[Place]:
    start = 0
    for index, name, shape in found:
        yield Place(index, name, shape, start)
        start += math.prod(shape)
