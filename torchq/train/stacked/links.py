"""One training step through the links of a chain, forward and back, for all candidates at once.

The backward pass is written out: forward, backward and update then are one graph without autograd, which the
compiler fuses, and each activation is stored as little as possible. Values have the shape
``[candidates, rows, columns]``; ``share`` says how much each row counts in the loss (they add up to 1, and a
row that only fills the batch up counts 0).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from torchq.train.stacked.arithmetic import Arithmetic
from torchq.train.stacked.layout import Layout, Place

NARROW = 16
"""A layer of fewer outputs is computed the other way round: the processor works along the rows then."""


@dataclass
class Pass:
    """What one pass reads, keeps for the way back, and leaves.

    Attributes:
        layout: of the stack.
        arithmetic: what computes element by element.
        rows: parameters ``[candidates, values]``.
        masks: 1 where a parameter is, likewise.
        statistics: running ones, likewise.
        numbers: of the quantizers, ``[candidates, quantizers, fields]``.
        share: ``[rows]``.
        unbiased: what a variance is multiplied with to be unbiased; a tensor without dimensions.
        gradients: what came out, by place.
        moved: the running statistics afterwards, by place.
    """

    layout: Layout
    arithmetic: Arithmetic
    rows: Tensor
    masks: Tensor
    statistics: Tensor
    numbers: Tensor
    share: Tensor
    unbiased: Tensor
    gradients: dict[Place, Tensor] = field(default_factory=dict)
    moved: dict[Place, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._places = {(p.link, p.name): p for p in self.layout.parameters()}
        self._running = {(p.link, p.name): p for p in self.layout.statistics()}
        self._slots = self.layout.slots()
        self._kept: dict[int, tuple[Tensor, ...]] = {}
        self._offsets: dict[int, Tensor] = {}

    # ------------------------------------------------------------------ forward and back

    def forward(self, x: Tensor) -> Tensor:
        """The logits."""
        for index, (kind, _) in enumerate(self.layout.links):
            x = getattr(self, f"_{kind}")(index, x)
        return x

    def backward(self, gradient: Tensor) -> None:
        """From the gradient of the logits to those of the parameters."""
        first = next(i for i, (kind, _) in enumerate(self.layout.links) if kind != "quantize")
        for index in reversed(range(first, len(self.layout.links))):
            kind, _ = self.layout.links[index]
            gradient = getattr(self, f"_{kind}_back")(index, gradient, needed=index > first)

    # ------------------------------------------------------------------ parameters

    def _held(self, index: int, name: str) -> Tensor | None:
        place = self._places.get((index, name))
        return None if place is None else place.of(self.rows)

    def _running_of(self, index: int, name: str) -> Tensor:
        return self._running[index, name].of(self.statistics)

    def _add(self, index: int, name: str, gradient: Tensor) -> None:
        place = self._places.get((index, name))
        if place is not None:
            before = self.gradients.get(place)
            self.gradients[place] = gradient if before is None else before + gradient

    def _quantized(self, index: int, slot: int, x: Tensor) -> Tensor:
        """A weight (slot 0) or bias (slot 1) through its quantizer; zero where it is padded."""
        name = "weight" if slot == 0 else "bias"
        place = self._places.get((index, name)) or self._places.get((index, "beta"))
        mask = place.of(self.masks) if self.layout.masks_needed and place is not None else None
        numbers = self.numbers[:, self._slots[index] + slot]
        return self.arithmetic.values(x, numbers, self.layout.weights, mask)

    def _through(self, index: int, slot: int, gradient: Tensor, x: Tensor) -> Tensor:
        numbers = self.numbers[:, self._slots[index] + slot]
        return self.arithmetic.passed(gradient, x, numbers, self.layout.weights)

    # ------------------------------------------------------------------ an activation

    def _quantize(self, index: int, x: Tensor) -> Tensor:
        numbers, families = self.numbers[:, self._slots[index]], self.layout.activations
        offset = self._offsets.pop(index, None)
        if offset is None:
            self._kept[index] = (x,)
            return self.arithmetic.values(x, numbers, families)
        x, made = self.arithmetic.shifted(x, offset, numbers, families)
        self._kept[index] = (x,)
        return made

    def _quantize_back(self, index: int, gradient: Tensor, *, needed: bool) -> Tensor:  # noqa: ARG002
        (x,) = self._kept[index]
        numbers = self.numbers[:, self._slots[index]]
        return self.arithmetic.passed(gradient, x, numbers, self.layout.activations)

    # ------------------------------------------------------------------ a linear layer

    def _linear(self, index: int, x: Tensor) -> Tensor:
        weight = self._held(index, "weight")
        assert weight is not None  # noqa: S101 - told to the type checker
        weight = self._quantized(index, 0, weight)
        self._kept[index] = x, weight
        if weight.shape[1] < NARROW:
            total = torch.bmm(weight, x.transpose(1, 2)).transpose(1, 2)
        else:
            total = torch.bmm(x, weight.transpose(1, 2))
        bias = self._held(index, "bias")
        return total if bias is None else self._plus(index, total, self._quantized(index, 1, bias))

    def _plus(self, index: int, total: Tensor, offset: Tensor) -> Tensor:
        """The sum; left to the quantizer, where one comes next."""
        following = self.layout.links[index + 1 : index + 2]
        if following and following[0][0] == "quantize":
            self._offsets[index + 1] = offset
            return total
        return total + offset

    def _linear_back(self, index: int, gradient: Tensor, *, needed: bool) -> Tensor:
        x, weight = self._kept[index]
        held, bias = self._held(index, "weight"), self._held(index, "bias")
        assert held is not None  # noqa: S101 - told to the type checker
        self._add(index, "weight", self._through(index, 0, torch.bmm(gradient.transpose(1, 2), x), held))
        if bias is not None:
            self._add(index, "bias", self._through(index, 1, gradient.sum(1, keepdim=True), bias))
        return torch.bmm(gradient, weight) if needed else gradient

    # ------------------------------------------------------------------ a batch norm

    def _moments(self, index: int, x: Tensor, momentum: float) -> tuple[Tensor, Tensor]:
        """Mean and biased variance of the batch; the running ones move."""
        share = self.share[None, :, None]
        mean = (x * share).sum(1, keepdim=True)
        variance = ((x - mean).square() * share).sum(1, keepdim=True)
        for name, value in (("mean", mean), ("variance", variance * self.unbiased)):
            before = self._running_of(index, name)
            self.moved[self._running[index, name]] = before + momentum * (value - before)
        return mean, variance

    def _norm(self, index: int, x: Tensor) -> Tensor:
        _, eps, momentum = self.layout.links[index][1]
        mean, variance = self._moments(index, x, momentum)
        inverse = torch.rsqrt(variance + eps)
        self._kept[index] = x, mean, inverse
        result = (x - mean) * inverse
        gamma, beta = self._held(index, "gamma"), self._held(index, "beta")
        return result if gamma is None or beta is None else result * gamma + beta

    def _norm_back(self, index: int, gradient: Tensor, *, needed: bool) -> Tensor:  # noqa: ARG002
        x, mean, inverse = self._kept[index]
        share = self.share[None, :, None]
        centred = (x - mean) * inverse
        gamma = self._held(index, "gamma")
        total, along = gradient.sum(1, keepdim=True), (gradient * centred).sum(1, keepdim=True)
        self._add(index, "gamma", along)
        self._add(index, "beta", total)
        scale = inverse if gamma is None else inverse * gamma
        return scale * (gradient - share * (total + centred * along))

    # ------------------------------------------------------------------ a linear layer with a batch norm

    def _folded(self, index: int, x: Tensor) -> Tensor:
        _, _, eps, momentum, folding = self.layout.links[index][1]
        weight, bias = self._held(index, "weight"), self._held(index, "bias")
        assert weight is not None  # noqa: S101 - told to the type checker
        gamma, beta = self._held(index, "gamma"), self._held(index, "beta")
        y = torch.bmm(x, weight.transpose(1, 2))
        y = y if bias is None else y + bias
        mean, variance = self._moments(index, y, momentum)
        inverse = torch.rsqrt(variance + eps)
        scale = inverse if gamma is None else inverse * gamma
        shift = (-mean if bias is None else bias - mean) * scale
        shift = shift if beta is None else shift + beta
        root = torch.sqrt(self.moved[self._running[index, "variance"]] + eps)
        factor = 1 / root
        correction = root * inverse
        if folding == "batch_stats":
            factor, correction = inverse, torch.ones_like(inverse)
        kept = weight * (factor if gamma is None else factor * gamma).transpose(1, 2)
        made = self._quantized(index, 0, kept)
        total = torch.bmm(x, made.transpose(1, 2))
        self._kept[index] = x, y, mean, inverse, shift, factor, correction, kept, made, total
        return self._plus(index, total * correction, self._quantized(index, 1, shift))

    def _folded_back(self, index: int, gradient: Tensor, *, needed: bool) -> Tensor:
        x, y, mean, inverse, shift, factor, correction, kept, made, total = self._kept[index]
        folding = self.layout.links[index][1][4]
        share = self.share[None, :, None]
        weight, bias = self._held(index, "weight"), self._held(index, "bias")
        assert weight is not None  # noqa: S101 - told to the type checker
        gamma = self._held(index, "gamma")
        on_shift = self._through(index, 1, gradient.sum(1, keepdim=True), shift)
        on_total = gradient * correction
        on_kept = self._through(index, 0, torch.bmm(on_total.transpose(1, 2), x), kept)
        along = (on_kept * weight).sum(2).unsqueeze(1)  # what comes to the factor of each output
        centre = -mean if bias is None else bias - mean
        scale = inverse if gamma is None else inverse * gamma
        self._add(index, "beta", on_shift)
        self._add(index, "gamma", on_shift * centre * inverse + along * factor)
        on_inverse = on_shift * centre * (1.0 if gamma is None else gamma)
        if folding == "batch_stats":
            on_inverse = on_inverse + (along if gamma is None else along * gamma)
        else:  # the correction is the root of the running variance times the inverse
            on_inverse = on_inverse + (gradient * total).sum(1, keepdim=True) * correction / inverse
        on_variance = -0.5 * on_inverse * inverse * inverse * inverse
        on_y = share * (2 * on_variance * (y - mean) - on_shift * scale)
        self._add(index, "weight", on_kept * (factor if gamma is None else factor * gamma).transpose(1, 2))
        self._add(index, "weight", torch.bmm(on_y.transpose(1, 2), x))
        if bias is not None:
            self._add(index, "bias", on_shift * scale + on_y.sum(1, keepdim=True))
        return torch.bmm(on_total, made) + torch.bmm(on_y, weight) if needed else gradient
