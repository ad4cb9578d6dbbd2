"""``stochastic_binary``, ``stochastic_ternary`` and ``bernoulli``: values drawn by chance."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchq.quantizers.base import Quantizer, flag, real, whole
from torchq.quantizers.binary import BinaryValues
from torchq.quantizers.bits import signs
from torchq.quantizers.registry import register
from torchq.quantizers.rounding import uniform
from torchq.quantizers.scale import EPSILON
from torchq.quantizers.sigmoids import SIGMOIDS, sigmoid_kind
from torchq.quantizers.ternary import THRESHOLD, TernaryValues


def deviation(x: Tensor, dims: tuple[int, ...]) -> Tensor:
    """The standard deviation over ``dims`` (of the whole, not of a sample), kept."""
    x = torch.where(torch.isfinite(x), x, 0.0)
    return x.std(dim=dims, keepdim=True, unbiased=False) if dims else torch.zeros_like(x)


class _Drawn(BinaryValues):
    """One-bit values drawn with the probability ``sigmoid(temperature * x / deviation)``."""

    def __init__(
        self, alpha: Any, temperature: float, use_real_sigmoid: bool, sigmoid: str, **config: Any
    ) -> None:
        cls = type(self)
        super().__init__(
            alpha=alpha,
            temperature=_temperature(cls, temperature),
            use_real_sigmoid=flag(cls, "use_real_sigmoid", use_real_sigmoid),
            sigmoid=sigmoid_kind(cls, sigmoid),
            **config,
        )
        self.temperature: float = self._config["temperature"]
        self._probability = SIGMOIDS["real" if self._config["use_real_sigmoid"] else sigmoid]

    def quantize(self, x: Tensor) -> Tensor:
        """The values that come out for ``x``: drawn in training, the sign's in inference."""
        sign = signs(x)
        if not self.training:
            return self.scaled(x, self.codes(sign))
        spread: Tensor | float = deviation(x, self.reduced(x)) + EPSILON if self.auto else 1.0
        p = self._probability(self.temperature * x / spread)
        return self.scaled(x, self.codes(signs(p - uniform(x))), fitted=self.codes(sign))


@register("stochastic_binary")
class stochastic_binary(_Drawn):
    """In training ``+alpha`` with the probability ``sigmoid(temperature * x / s)``, else ``-alpha``.

    ``s`` is the standard deviation of the channel with an ``auto`` alpha, and 1 otherwise. In inference it is
    :class:`binary`. The gradient is one in training; in inference (without ``alpha``) that of ``tanh``.

    Args:
        alpha: the scale; see :class:`ScaledQuantizer`.
        temperature: how steep the probability is.
        use_real_sigmoid: the probability is the real sigmoid; otherwise ``sigmoid``.
        sigmoid: ``"hard"``, ``"smooth"`` or ``"real"``.

    Example:
        >>> q = stochastic_binary(alpha=1.0).eval()
        >>> q(torch.tensor([0.3, -5.0])).tolist(), str(q.format)
        ([1.0, -1.0], 'binary<-1,1>')
    """

    def __init__(
        self,
        alpha: Any = None,
        temperature: float = 6.0,
        use_real_sigmoid: bool = True,
        *,
        sigmoid: str = "hard",
    ) -> None:
        super().__init__(alpha, temperature, use_real_sigmoid, sigmoid)

    @classmethod
    def examples(cls) -> tuple[stochastic_binary, ...]:
        """Given and found scales."""
        return cls(), cls(alpha=0.5, temperature=4.0), cls(alpha="auto_po2", use_real_sigmoid=False)

    def surrogate(self, x: Tensor) -> Tensor:
        """The input; in inference without ``alpha`` its ``tanh``."""
        return x if self.training or self.alpha is not None else torch.tanh(x)


@register("bernoulli")
class bernoulli(_Drawn):
    """In training ``alpha`` with the probability ``sigmoid(temperature * x / s)``, else 0.

    ``s`` is the standard deviation of the channel with an ``auto`` alpha, and 1 otherwise. In inference the
    more probable of the two. The gradient is one.

    Args:
        alpha: the scale; see :class:`ScaledQuantizer`.
        temperature: how steep the probability is.
        use_real_sigmoid: the probability is the real sigmoid; otherwise ``sigmoid``.
        sigmoid: ``"hard"``, ``"smooth"`` or ``"real"``.

    Example:
        >>> q = bernoulli(alpha=1.0).eval()
        >>> q(torch.tensor([0.3, -5.0])).tolist(), str(q.format)
        ([1.0, 0.0], 'binary<0,1>')
    """

    use_01 = True

    def __init__(
        self,
        alpha: Any = None,
        temperature: float = 6.0,
        use_real_sigmoid: bool = True,
        *,
        sigmoid: str = "hard",
    ) -> None:
        super().__init__(alpha, temperature, use_real_sigmoid, sigmoid)

    @classmethod
    def examples(cls) -> tuple[bernoulli, ...]:
        """Given and found scales."""
        return cls(), cls(alpha=0.5), cls(alpha="auto_po2")


@register("stochastic_ternary")
class stochastic_ternary(TernaryValues):
    """In training a random step at each edge of the dead band, in inference :class:`ternary`.

    With ``T`` the half width of the band, ``+alpha`` and ``-alpha`` are drawn by the probabilities
    ``sigmoid(temperature * (x - T))`` and ``sigmoid(temperature * (x + T))``; with an ``auto`` alpha both in
    units of the channel's standard deviation. The gradient is one in training; in inference (without
    ``alpha``) that of ``tanh``.

    Args:
        alpha: the scale; see :class:`ScaledQuantizer`.
        threshold: half width of the band, 0.33 if left out; not with ``auto``, which finds it.
        temperature: how steep the probabilities are.
        use_real_sigmoid: the probability is the real sigmoid; otherwise ``sigmoid``.
        number_of_unrolls: how many turns band and scale are found in.
        sigmoid: ``"hard"``, ``"smooth"`` or ``"real"``.

    Raises:
        QuantizerError: arguments that no such quantizer can have.

    Example:
        >>> q = stochastic_ternary(alpha=1.0).eval()
        >>> q(torch.tensor([0.3, -5.0])).tolist(), str(q.format)
        ([0.0, -1.0], 'ternary<1>')
    """

    def __init__(
        self,
        alpha: Any = None,
        threshold: float | None = None,
        temperature: float = 8.0,
        use_real_sigmoid: bool = True,
        number_of_unrolls: int = 5,
        *,
        sigmoid: str = "hard",
    ) -> None:
        cls = type(self)
        super().__init__(
            alpha=alpha,
            threshold=None if threshold is None else real(cls, "threshold", threshold),
            temperature=_temperature(cls, temperature),
            use_real_sigmoid=flag(cls, "use_real_sigmoid", use_real_sigmoid),
            number_of_unrolls=whole(cls, "number_of_unrolls", number_of_unrolls, 1),
            sigmoid=sigmoid_kind(cls, sigmoid),
        )
        self.threshold = self._config["threshold"]
        self.temperature: float = self._config["temperature"]
        self.number_of_unrolls = self._config["number_of_unrolls"]
        self._probability = SIGMOIDS["real" if self._config["use_real_sigmoid"] else sigmoid]
        if self.auto and self.threshold is not None:
            raise self.fault(f"threshold cannot be given with alpha={self.alpha!r}, which finds it")
        if self.threshold is not None and self.threshold < 0:
            raise self.fault(f"threshold must be at least 0, got {self.threshold}")

    @classmethod
    def examples(cls) -> tuple[stochastic_ternary, ...]:
        """Given and found scales."""
        return cls(), cls(alpha=0.5, threshold=0.4), cls(alpha="auto"), cls(alpha="auto_po2")

    def surrogate(self, x: Tensor) -> Tensor:
        """The input; in inference without ``alpha`` its ``tanh``."""
        return x if self.training or self.alpha is not None else torch.tanh(x)

    def quantize(self, x: Tensor) -> Tensor:
        """The values that come out for ``x``: drawn in training, the ternary ones in inference."""
        band: Tensor | float = THRESHOLD if self.threshold is None else self.threshold
        if self.auto:
            codes, scale = self.unrolled(x, random=False, rounded=not self.training)
            self.record(scale)
            if not self.training:
                return codes * scale
            spread = deviation(x, self.reduced(x)) + EPSILON
            return self._draw(x / spread, scale / (2.0 * spread)) * scale
        if not self.training:
            return self.banded(x, x.abs(), band) * self.fixed_scale(x)
        return self._draw(x, band) * self.fixed_scale(x)

    def _draw(self, x: Tensor, band: Tensor | float) -> Tensor:
        upper = self._probability(self.temperature * (x - band))
        lower = self._probability(self.temperature * (x + band))
        return (signs(upper - uniform(x)) + signs(lower - uniform(x))) / 2.0


def _temperature(cls: type[Quantizer], value: float) -> float:
    temperature = real(cls, "temperature", value)
    if temperature <= 0:
        raise cls.fault(f"temperature must be above 0, got {temperature}")
    return temperature
