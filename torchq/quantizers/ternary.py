"""``ternary``: minus, zero and plus."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchq.formats import Float, Format, ScaledSigns, Ternary
from torchq.quantizers.base import flag, real, whole
from torchq.quantizers.registry import register
from torchq.quantizers.rounding import stochastic
from torchq.quantizers.scale import largest, least_squares, power_of_two
from torchq.quantizers.scaled import ScaledQuantizer

THRESHOLD = 0.33
"""The dead band of QKeras's ternary, where none is given."""

UNROLLS = 5
"""Turns in which QKeras finds band and scale, where no other number is given."""


class TernaryValues(ScaledQuantizer):
    """What all ternary quantizers share: the format, the dead band and its scale."""

    threshold: float | None
    number_of_unrolls: int

    @property
    def bits(self) -> int:
        """Always 2."""
        return 2

    @property
    def format(self) -> Format:
        """``Ternary``; ``ScaledSigns`` if the scales differ by channel."""
        exponent = self.exponents()
        if exponent is None:
            return Float()
        if isinstance(exponent, int):
            return Ternary(2.0**exponent)
        return ScaledSigns.of(Ternary(), exponent)

    def reduced(self, x: Tensor) -> tuple[int, ...]:
        """The axes over which a channel's largest value or deviation is taken."""
        return self.axes(x).reduced(x.ndim) if x.ndim > 1 else tuple(range(x.ndim))

    def banded(self, x: Tensor, size: Tensor, threshold: Tensor | float) -> Tensor:
        """The sign of ``x`` where ``size`` reaches the threshold, else zero; NaN stays NaN."""
        sign = torch.where(torch.isnan(x), x, torch.sign(x))
        return torch.where(size >= threshold, sign, sign * 0.0)

    def unrolled(self, x: Tensor, *, random: bool, rounded: bool) -> tuple[Tensor, Tensor]:
        """Codes and scale found in turns (Ternary Weight Networks, arXiv:1605.04711).

        Args:
            x: the weights.
            random: round at random, to thirds of the scale, before the band is looked at.
            rounded: round to multiples of the scale before the band is looked at.

        Returns:
            The codes of the last turn but for the scale, and the scale that fits them best.
        """
        finite = torch.where(torch.isfinite(x), x, 0.0)
        scale = 2.0 * largest(finite.abs(), self.reduced(x)) / 3.0
        scale = power_of_two(scale) if self.alpha == "auto_po2" else scale
        codes = torch.zeros_like(x)
        axes = self.axes(x)
        for _ in range(self.number_of_unrolls):
            size = x.abs()
            if rounded:
                ratio = x / scale
                size = (scale * (stochastic(ratio * 3.0) / 3.0 if random else torch.round(ratio))).abs()
            codes = self.banded(x, size, scale / 2.0)
            scale = least_squares(finite, torch.nan_to_num(codes), axes)
            scale = power_of_two(scale) if self.alpha == "auto_po2" else scale
        return codes, scale


@register("ternary")
class ternary(TernaryValues):
    """``-alpha``, 0 or ``+alpha``.

    With a given ``alpha`` (activations) zero is where ``|x|`` is below ``threshold``. With ``auto`` (weights)
    band and scale are found in turns for each channel: ternary weight networks, arXiv:1605.04711. The
    gradient is that of ``tanh(x)`` without ``alpha``, and one with it.

    Args:
        alpha: the scale; see :class:`ScaledQuantizer`.
        threshold: where zero ends, 0.33 if left out; not with ``auto``.
        use_stochastic_rounding: in training, ``x`` is rounded at random to thirds of the scale first; only
            with ``auto``.
        number_of_unrolls: how many turns.

    Raises:
        QuantizerError: arguments that no such quantizer can have.

    Example:
        >>> q = ternary(alpha=0.5)
        >>> q(torch.tensor([0.3, -5.0, 0.4])).tolist(), str(q.format)
        ([0.0, -0.5, 0.5], 'ternary<0.5>')
    """

    def __init__(
        self,
        alpha: Any = None,
        threshold: float | None = None,
        use_stochastic_rounding: bool = False,
        number_of_unrolls: int = UNROLLS,
    ) -> None:
        cls = type(self)
        super().__init__(
            alpha=alpha,
            threshold=None if threshold is None else real(cls, "threshold", threshold),
            use_stochastic_rounding=flag(cls, "use_stochastic_rounding", use_stochastic_rounding),
            number_of_unrolls=whole(cls, "number_of_unrolls", number_of_unrolls, 1),
        )
        self.threshold = self._config["threshold"]
        self.use_stochastic_rounding: bool = self._config["use_stochastic_rounding"]
        self.number_of_unrolls = self._config["number_of_unrolls"]
        if self.auto and self.threshold is not None:
            raise self.fault(f"threshold cannot be given with alpha={self.alpha!r}, which finds it")
        if self.threshold is not None and self.threshold < 0:
            raise self.fault(f"threshold must be at least 0, got {self.threshold}")
        if self.use_stochastic_rounding and not self.auto:
            raise self.fault("use_stochastic_rounding needs alpha='auto' or 'auto_po2'")

    @classmethod
    def examples(cls) -> tuple[ternary, ...]:
        """Given and found scales."""
        return cls(), cls(alpha=0.5, threshold=0.4), cls(alpha="auto"), cls(alpha="auto_po2")

    def surrogate(self, x: Tensor) -> Tensor:
        """``tanh(x)`` without ``alpha``, the input with it."""
        return torch.tanh(x) if self.alpha is None else x

    def quantize(self, x: Tensor) -> Tensor:
        """The values that come out for ``x``."""
        if not self.auto:
            band = THRESHOLD if self.threshold is None else self.threshold
            return self.banded(x, x.abs(), band) * self.fixed_scale(x)
        codes, scale = self.unrolled(x, random=self.use_stochastic_rounding and self.training, rounded=True)
        self.record(scale)
        return codes * scale
