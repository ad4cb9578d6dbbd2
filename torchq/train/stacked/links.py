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
from torchq.train.stacked.numbers import FIELDS
from torchq.train.stacked.products import (
    flattened,
    largest,
    onto_input,
    onto_largest,
    onto_sums,
    onto_weight,
    product,
    sums,
    unflattened,
)

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
        self._times = self.arithmetic.product
        self._views: dict[tuple[int, str], Tensor] = {}
        self._kept: dict[int, tuple[Tensor, ...]] = {}
        self._offsets: dict[int, tuple[Tensor | None, Tensor]] = {}
        self._corrections: dict[int, Tensor | None] = {}
        self._totals: dict[int, Tensor] = {}
        self._shares: dict[int, tuple[Tensor, Tensor]] = {1: (self.share, self.unbiased)}

    def reads(self, rows: Tensor, masks: Tensor, statistics: Tensor, numbers: Tensor) -> bool:
        """Whether it reads these very tensors, which are changed in place."""
        mine = (self.rows, self.masks, self.statistics, self.numbers)
        return all(a is b for a, b in zip(mine, (rows, masks, statistics, numbers), strict=True))

    def again(self, share: Tensor, unbiased: Tensor) -> None:
        """Begin another pass over what it reads."""
        self.share, self.unbiased = share, unbiased
        self.gradients, self.moved = {}, {}
        self._kept, self._offsets, self._corrections, self._totals = {}, {}, {}, {}
        self._shares = {1: (share, unbiased)}

    # ------------------------------------------------------------------ forward and back

    def forward(self, x: Tensor) -> Tensor:
        """The logits of ``[candidates, batch, ..., channels]``."""
        x = x.flatten(1, -2)
        for index, (kind, _) in enumerate(self.layout.links):
            x = getattr(self, f"_{kind}")(index, x)
        return x

    def backward(self, gradient: Tensor) -> None:
        """From the gradient of the logits to those of the parameters."""
        first = min(place.link for place in self.layout.parameters())
        for index in reversed(range(first, len(self.layout.links))):
            kind, _ = self.layout.links[index]
            gradient = getattr(self, f"_{kind}_back")(index, gradient, needed=index > first)

    # ------------------------------------------------------------------ parameters

    def _held(self, index: int, name: str) -> Tensor | None:
        key = (index, name)
        if key not in self._views:
            place = self._places.get(key)
            if place is None:
                return None
            self._views[key] = place.of(self.rows)
        return self._views[key]

    def _mask(self, index: int, name: str) -> Tensor | None:
        """1 where a weight is; None where no padded weight could become anything."""
        if not self.layout.masks_needed:
            return None
        key = (index, f"mask of {name}")
        if key not in self._views:
            place = self._places.get((index, name)) or self._places.get((index, "beta"))
            if place is None:
                return None
            self._views[key] = place.of(self.masks)
        return self._views[key]

    def _numbers(self, index: int, slot: int = 0) -> Tensor:
        key = (index, f"numbers {slot}")
        if key not in self._views:
            self._views[key] = self.numbers[:, self._slots[index] + slot]
        return self._views[key]

    def _running_of(self, index: int, name: str) -> Tensor:
        return self._running[index, name].of(self.statistics)

    def _add(self, index: int, name: str, gradient: Tensor) -> None:
        place = self._places.get((index, name))
        if place is not None:
            before = self.gradients.get(place)
            self.gradients[place] = gradient if before is None else before + gradient

    def _quantized(self, index: int, slot: int, x: Tensor) -> Tensor:
        """A weight (slot 0) or bias (slot 1) through its quantizer; zero where it is padded."""
        mask = self._mask(index, "weight" if slot == 0 else "bias")
        return self.arithmetic.values(x, self._numbers(index, slot), self.layout.weights, mask)

    def _through(self, index: int, slot: int, gradient: Tensor, x: Tensor) -> Tensor:
        return self.arithmetic.passed(gradient, x, self._numbers(index, slot), self.layout.weights)

    # ------------------------------------------------------------------ an activation

    def _quantize(self, index: int, x: Tensor) -> Tensor:
        numbers, families = self._numbers(index), self.layout.activations
        pending = self._offsets.pop(index, None)
        if pending is None:
            self._kept[index] = (x,)
            return self.arithmetic.values(x, numbers, families)
        x, made = self.arithmetic.shifted(x, *pending, numbers, families)
        self._kept[index] = (x,)
        return made

    def _quantize_back(self, index: int, gradient: Tensor, *, needed: bool) -> Tensor:  # noqa: ARG002
        (x,) = self._kept[index]
        return self.arithmetic.passed(gradient, x, self._numbers(index), self.layout.activations)

    # ------------------------------------------------------------------ a linear layer

    def _linear(self, index: int, x: Tensor) -> Tensor:
        weight = self._held(index, "weight")
        assert weight is not None  # noqa: S101 - told to the type checker
        weight = self._quantized(index, 0, weight)
        self._kept[index] = x, weight
        window = self.layout.windows[index]
        if window is None and weight.shape[1] < NARROW:
            total = self._times(weight, x.transpose(1, 2)).transpose(1, 2)
        else:
            total = product(x, weight, window, self._times)
        bias = self._held(index, "bias")
        return total if bias is None else self._plus(index, total, self._quantized(index, 1, bias))

    def _plus(self, index: int, total: Tensor, offset: Tensor, factor: Tensor | None = None) -> Tensor:
        """``total * factor + offset``; left to the quantizer, where one comes next."""
        if self._quantized_next(index):
            self._offsets[index + 1] = factor, offset
            return total
        return (total if factor is None else total * factor) + offset

    def _quantized_next(self, index: int) -> bool:
        """Whether the next link is a quantizer, which then adds what is left to it."""
        following = self.layout.links[index + 1 : index + 2]
        return bool(following) and following[0][0] == "quantize"

    def _linear_back(self, index: int, gradient: Tensor, *, needed: bool) -> Tensor:
        x, weight = self._kept[index]
        held, bias = self._held(index, "weight"), self._held(index, "bias")
        assert held is not None  # noqa: S101 - told to the type checker
        window = self.layout.windows[index]
        on_weight = onto_weight(gradient, x, weight, window, self._times)
        self._add(index, "weight", self._through(index, 0, on_weight, held))
        if bias is not None:
            self._add(index, "bias", self._through(index, 1, self.arithmetic.sums(gradient), bias))
        return onto_input(gradient, x, weight, window, self._times) if needed else gradient

    # ------------------------------------------------------------------ pools, and all values in one row

    def _pool(self, index: int, x: Tensor) -> Tensor:
        window = self.layout.windows[index]
        assert window is not None  # noqa: S101 - told to the type checker
        if self.layout.links[index][1] == ("average",):
            self._kept[index] = (x,)
            return sums(x, window) * factors(self.numbers, self._slots[index])
        made, places = largest(x, window)
        self._kept[index] = x, places
        return made

    def _pool_back(self, index: int, gradient: Tensor, *, needed: bool) -> Tensor:  # noqa: ARG002
        window = self.layout.windows[index]
        assert window is not None  # noqa: S101 - told to the type checker
        x, *places = self._kept[index]
        if places:
            return onto_largest(gradient, x, places[0], window)
        return onto_sums(gradient * factors(self.numbers, self._slots[index]), x, window)

    def _flatten(self, index: int, x: Tensor) -> Tensor:
        return flattened(x, self.layout.reads[index])

    def _flatten_back(self, index: int, gradient: Tensor, *, needed: bool) -> Tensor:  # noqa: ARG002
        return unflattened(gradient, self.layout.reads[index])

    # ------------------------------------------------------------------ a batch norm

    def _share_of(self, index: int) -> tuple[Tensor, Tensor]:
        """How much each row of a link counts, and what makes its variances unbiased."""
        positions = self.layout.positions[index]
        if positions not in self._shares:
            rows = (self.share != 0).to(self.share.dtype).sum() * positions
            share = self.share.repeat_interleave(positions) / positions
            self._shares[positions] = share, rows / (rows - 1)
        return self._shares[positions]

    def _moments(
        self, index: int, x: Tensor, momentum: float, bias: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Mean and biased variance of the batch; the running ones, which see the bias, move."""
        share, unbiased = self._share_of(index)
        mean, variance = self.arithmetic.moments(x, share)
        biased = mean if bias is None else mean + bias
        for name, value in (("mean", biased), ("variance", variance * unbiased)):
            before = self._running_of(index, name)
            self.moved[self._running[index, name]] = before + momentum * (value - before)
        return mean, variance

    def _norm(self, index: int, x: Tensor) -> Tensor:
        _, eps, momentum = self.layout.links[index][1]
        mean, variance = self._moments(index, x, momentum)
        inverse = (1 / torch.sqrt(variance.double() + eps)).to(x.dtype)
        self._kept[index] = x, mean, inverse
        gamma, beta = self._held(index, "gamma"), self._held(index, "beta")
        scale = inverse if gamma is None else inverse * gamma
        # rounded as torch's batch norm does: what is left of a value that is its own mean opens a relu or not
        shift = torch.addcmul(torch.zeros_like(mean) if beta is None else beta, mean, scale, value=-1)
        return torch.addcmul(shift, x, scale)

    def _norm_back(self, index: int, gradient: Tensor, *, needed: bool) -> Tensor:  # noqa: ARG002
        x, mean, inverse = self._kept[index]
        gamma = self._held(index, "gamma")
        total, along = self.arithmetic.slopes(gradient, x, mean)
        along = along * inverse
        self._add(index, "gamma", along)
        self._add(index, "beta", total)
        scale = inverse if gamma is None else inverse * gamma
        constant, slope = scale * total, scale * inverse * along
        return self.arithmetic.returned(gradient, scale, x, mean, constant, slope, self._share_of(index)[0])

    # ------------------------------------------------------------------ a linear layer with a batch norm

    def _folded(self, index: int, x: Tensor) -> Tensor:
        eps, momentum, folding = self.layout.links[index][1][2:5]
        weight, bias = self._held(index, "weight"), self._held(index, "bias")
        assert weight is not None  # noqa: S101 - told to the type checker
        gamma, beta = self._held(index, "gamma"), self._held(index, "beta")
        window = self.layout.windows[index]
        y = product(x, weight, window, self._times)  # without the bias, which only moves the mean
        mean, variance = self._moments(index, y, momentum, bias)
        inverse = torch.rsqrt(variance + eps)
        scale = inverse if gamma is None else inverse * gamma
        shift = -mean * scale
        shift = shift if beta is None else shift + beta
        root = torch.sqrt(self.moved[self._running[index, "variance"]] + eps)
        factor = 1 / root
        correction: Tensor | None = root * inverse
        if folding == "batch_stats":
            factor, correction = inverse, None
        kept = weight * (factor if gamma is None else factor * gamma).transpose(1, 2)
        made = self._quantized(index, 0, kept)
        offset = self._quantized(index, 1, shift)
        self._kept[index] = x, y, mean, inverse, shift, offset, factor, kept, made
        self._corrections[index] = correction
        total = self._plus(index, product(x, made, window, self._times), offset, correction)
        self._totals[index] = total
        return total

    def _folded_back(self, index: int, gradient: Tensor, *, needed: bool) -> Tensor:
        x, y, mean, inverse, shift, offset, factor, kept, made = self._kept[index]
        correction = self._corrections[index]
        weight = self._held(index, "weight")
        assert weight is not None  # noqa: S101 - told to the type checker
        gamma = self._held(index, "gamma")
        if correction is None:
            total, on_total = self.arithmetic.sums(gradient), gradient
        else:  # it is the root of the running variance times the inverse
            after = self._kept[index + 1][0] if self._quantized_next(index) else self._totals[index]
            total, on_correction = self.arithmetic.slopes(gradient, after, offset)
            on_total = gradient.mul_(correction)
        on_shift = self._through(index, 1, total, shift)
        window = self.layout.windows[index]
        on_kept = self._through(index, 0, onto_weight(on_total, x, made, window, self._times), kept)
        along = (on_kept * weight).sum(2).unsqueeze(1)  # what comes to the factor of each output
        scale = inverse if gamma is None else inverse * gamma
        self._add(index, "beta", on_shift)
        self._add(index, "gamma", along * factor - on_shift * mean * inverse)
        on_inverse = -on_shift * mean * (1.0 if gamma is None else gamma)
        if correction is None:
            on_inverse = on_inverse + (along if gamma is None else along * gamma)
        else:
            on_inverse = on_inverse + on_correction / inverse
        on_variance = -0.5 * on_inverse * inverse * inverse * inverse
        share, _ = self._share_of(index)
        on_y = self.arithmetic.returned(None, None, y, mean, on_shift * scale, -2 * on_variance, share)
        self._add(index, "weight", on_kept * (factor if gamma is None else factor * gamma).transpose(1, 2))
        self._add(index, "weight", onto_weight(on_y, x, weight, window, self._times))
        self._add(index, "bias", torch.zeros_like(on_shift))  # the norm takes it out again
        if not needed:
            return gradient
        through = onto_input(on_total, x, made, window, self._times)
        return (
            through.baddbmm_(on_y, weight)
            if window is None
            else through + onto_input(on_y, x, weight, window, self._times)
        )


def factors(numbers: Tensor, slot: int) -> Tensor:
    """What each candidate's average pool multiplies its sums with, ``[candidates, 1, 1]``."""
    return numbers[:, slot, FIELDS.index("worth"), None, None]
