"""``binary``: the sign, or 0 and 1, times a scale."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchq.formats import Binary, Float, Format, ScaledSigns
from torchq.quantizers.base import flag
from torchq.quantizers.bits import signs
from torchq.quantizers.registry import register
from torchq.quantizers.rounding import stochastic, uniform
from torchq.quantizers.scale import largest, least_squares, power_of_two
from torchq.quantizers.scaled import ScaledQuantizer


class BinaryValues(ScaledQuantizer):
    """What all one-bit quantizers share: the format, the sign with its scale."""

    use_01: bool = False

    @property
    def bits(self) -> int:
        """Always 1."""
        return 1

    @property
    def format(self) -> Format:
        """``Binary``; ``ScaledSigns`` if the scales differ by channel."""
        exponent = self.exponents()
        if exponent is None:
            return Float()
        if isinstance(exponent, int):
            return Binary(2.0**exponent, use_01=self.use_01)
        return ScaledSigns.of(Binary(use_01=self.use_01), exponent)

    def codes(self, sign: Tensor) -> Tensor:
        """0 and 1 instead of -1 and +1 if so told."""
        return (sign + 1.0) / 2.0 if self.use_01 else sign

    def scaled(self, x: Tensor, codes: Tensor, fitted: Tensor | None = None) -> Tensor:
        """``codes`` times the given scale, or the one that makes them (or ``fitted``) fit ``x`` best."""
        if not self.auto:
            return codes * self.fixed_scale(x)
        x = torch.where(torch.isfinite(x), x, 0.0)
        scale = least_squares(x, torch.nan_to_num(codes if fitted is None else fitted), self.axes(x))
        if self.alpha == "auto_po2":
            scale = power_of_two(scale, self.min_po2_exponent, self.max_po2_exponent)
        self.record(scale)
        return codes * scale

    def reduced(self, x: Tensor) -> tuple[int, ...]:
        """The axes over which a channel's largest value or deviation is taken."""
        return self.axes(x).reduced(x.ndim) if x.ndim > 1 else tuple(range(x.ndim))


@register("binary")
class binary(BinaryValues):
    """``-alpha`` below zero and ``+alpha`` at and above it; or 0 and ``alpha``.

    The gradient is that of ``tanh(x)`` without ``alpha``, and one with it. ``auto`` is the least-squares
    scale, the mean of ``|x|`` of each channel (XNOR-Net, arXiv:1603.05279).

    Args:
        use_01: the values 0 and ``alpha``.
        alpha: the scale; see :class:`ScaledQuantizer`.
        use_stochastic_rounding: in training, ``x`` is rounded at random to an eighth of the channel's range
            first, and zeros get a random sign.
        scale_axis: the axis or axes along which scales differ.
        elements_per_scale: how many neighbours along ``scale_axis`` share one scale.
        min_po2_exponent: smallest exponent of a scale with ``auto_po2``.
        max_po2_exponent: largest exponent of a scale with ``auto_po2``.

    Raises:
        QuantizerError: arguments that no such quantizer can have.

    Example:
        >>> q = binary(alpha=0.5)
        >>> q(torch.tensor([0.3, -5.0, 0.0])).tolist(), str(q.format)
        ([0.5, -0.5, 0.5], 'binary<-0.5,0.5>')
    """

    def __init__(
        self,
        use_01: bool = False,
        alpha: Any = None,
        use_stochastic_rounding: bool = False,
        scale_axis: int | list[int] | None = None,
        elements_per_scale: int | list[int] | None = None,
        min_po2_exponent: int | None = None,
        max_po2_exponent: int | None = None,
    ) -> None:
        cls = type(self)
        super().__init__(
            use_01=flag(cls, "use_01", use_01),
            alpha=alpha,
            use_stochastic_rounding=flag(cls, "use_stochastic_rounding", use_stochastic_rounding),
            scale_axis=scale_axis,
            elements_per_scale=elements_per_scale,
            min_po2_exponent=min_po2_exponent,
            max_po2_exponent=max_po2_exponent,
        )
        self.use_01 = self._config["use_01"]
        self.use_stochastic_rounding: bool = self._config["use_stochastic_rounding"]

    @classmethod
    def examples(cls) -> tuple[binary, ...]:
        """Both alphabets, fixed and found scales, random rounding."""
        return (
            cls(),
            cls(use_01=True),
            cls(alpha=0.5),
            cls(alpha="auto"),
            cls(alpha="auto_po2", max_po2_exponent=0),
            cls(alpha=1.0, use_stochastic_rounding=True),
        )

    def transform(self, x: Tensor) -> Tensor:
        """See :class:`Quantizer`."""
        inner = x
        with torch.no_grad():
            if self.use_stochastic_rounding and self.training:
                spread = 2 * torch.clamp(largest(x.detach().abs(), self.reduced(x)), max=1.0)
                noise = self._noise(x.detach(), spread)
                value = torch.where(spread > 0, x.detach() + spread * noise, x.detach())
                coin = 2.0 * torch.round(uniform(x)) - 1.0
                sign = torch.where(value == 0, coin, signs(value))
            else:
                noise, value = None, x.detach()
                sign = signs(value)
            q = self.scaled(value, self.codes(sign))
        if noise is not None:  # the range that x is rounded in depends on x too
            inner = x + 2 * torch.clamp(largest(x.abs(), self.reduced(x)), max=1.0) * noise
        return self.combine(torch.tanh(inner) if self.alpha is None else inner, q)

    @staticmethod
    def _noise(x: Tensor, spread: Tensor) -> Tensor:
        """What random rounding to eighths of ``spread`` adds, in units of ``spread``."""
        ratio = torch.where(spread > 0, x / spread, torch.zeros_like(x))
        return torch.nan_to_num(stochastic(ratio * 8.0) / 8.0 - ratio)
