"""``quantized_tanh`` and ``quantized_sigmoid``: the function and the grid of its range in one."""

from __future__ import annotations

import torch
from torch import Tensor

from torchq.formats import FixedPoint
from torchq.quantizers.base import Quantizer, flag, whole
from torchq.quantizers.core import fitting
from torchq.quantizers.registry import register
from torchq.quantizers.rounding import stochastic
from torchq.quantizers.sigmoids import SIGMOIDS, sigmoid_kind


class _Squashed(Quantizer):
    """A bounded function, rounded to ``levels`` steps for one."""

    use_stochastic_rounding: bool
    symmetric: bool

    def _read(self, levels: float, low: float) -> None:
        self._bits: int = self._config["bits"]
        self.symmetric = self._config["symmetric"]
        self.use_stochastic_rounding = self._config["use_stochastic_rounding"]
        self._levels = levels
        self._low = low + float(self.symmetric)

    def squash(self, x: Tensor) -> Tensor:
        """The function itself, differentiable."""
        return x

    @property
    def bits(self) -> int:
        """The width of one value."""
        return self._bits

    def transform(self, x: Tensor) -> Tensor:
        """See :class:`Quantizer`."""
        y = self.squash(x)
        with torch.no_grad():
            scaled = y.detach() * self._levels
            random = self.use_stochastic_rounding and self.training
            code = stochastic(scaled) if random else torch.round(scaled)
            q = torch.clamp(code, self._low, fitting(self._levels - 1, x.dtype))
            inside = code == q
        return self.combine(torch.where(inside, y, 0.0), q / self._levels)


@register("quantized_tanh")
class quantized_tanh(_Squashed):
    """``clip(round(tanh(x) * m) / m, -1, 1 - 1/m)`` with ``m = 2**(bits - 1)``.

    By default the tanh is ``2 sigmoid(x) - 1`` with the hard sigmoid, which is ``clip(x, -1, 1)``. The
    gradient is that of the tanh, and zero where the result is clipped.

    Args:
        bits: all bits, the sign included.
        use_stochastic_rounding: in training, round up with the probability of the remainder.
        symmetric: -1 is not used.
        use_real_tanh: the real tanh.
        sigmoid: which sigmoid stands for it otherwise: ``"hard"``, ``"smooth"`` or ``"real"``.

    Raises:
        QuantizerError: arguments that no such quantizer can have.

    Example:
        >>> q = quantized_tanh(4)
        >>> q(torch.tensor([0.3, -5.0, 5.0])).tolist(), str(q.format)
        ([0.25, -1.0, 0.875], 'ap_fixed<4,1,RND_CONV,SAT>')
    """

    leading = ("bits",)

    def __init__(
        self,
        bits: int = 8,
        use_stochastic_rounding: bool = False,
        symmetric: bool = False,
        use_real_tanh: bool = False,
        *,
        sigmoid: str = "hard",
    ) -> None:
        cls = type(self)
        super().__init__(
            bits=whole(cls, "bits", bits, 1),
            use_stochastic_rounding=flag(cls, "use_stochastic_rounding", use_stochastic_rounding),
            symmetric=flag(cls, "symmetric", symmetric),
            use_real_tanh=flag(cls, "use_real_tanh", use_real_tanh),
            sigmoid=sigmoid_kind(cls, sigmoid),
        )
        levels = 2.0 ** (self._config["bits"] - 1)
        self._read(levels, -levels)
        self.use_real_tanh: bool = self._config["use_real_tanh"]
        self._sigmoid = SIGMOIDS[sigmoid]

    @classmethod
    def examples(cls) -> tuple[quantized_tanh, ...]:
        """Hard, smooth and real."""
        return cls(6), cls(4, symmetric=True, sigmoid="smooth"), cls(5, use_real_tanh=True)

    @property
    def format(self) -> FixedPoint:
        """Signed fixed point without integer bits."""
        return FixedPoint.from_qkeras(self._bits, 0, symmetric=self.symmetric)

    def squash(self, x: Tensor) -> Tensor:
        """The tanh."""
        return torch.tanh(x) if self.use_real_tanh else 2.0 * self._sigmoid(x) - 1.0


@register("quantized_sigmoid")
class quantized_sigmoid(_Squashed):
    """``clip(round(sigmoid(x) * m) / m, 0, 1 - 1/m)`` with ``m = 2**bits``.

    The gradient is that of the sigmoid, and zero where the result is clipped.

    Args:
        bits: all bits.
        symmetric: 0 is not used.
        use_real_sigmoid: the real sigmoid.
        use_stochastic_rounding: in training, round up with the probability of the remainder.
        sigmoid: which sigmoid otherwise: ``"hard"``, ``"smooth"`` or ``"real"``.

    Raises:
        QuantizerError: arguments that no such quantizer can have.

    Example:
        >>> q = quantized_sigmoid(4)
        >>> q(torch.tensor([0.3, -5.0, 5.0])).tolist(), str(q.format)
        ([0.625, 0.0, 0.9375], 'ap_ufixed<4,0,RND_CONV,SAT>')
    """

    leading = ("bits",)

    def __init__(
        self,
        bits: int = 8,
        symmetric: bool = False,
        use_real_sigmoid: bool = False,
        use_stochastic_rounding: bool = False,
        *,
        sigmoid: str = "hard",
    ) -> None:
        cls = type(self)
        super().__init__(
            bits=whole(cls, "bits", bits, 1),
            symmetric=flag(cls, "symmetric", symmetric),
            use_real_sigmoid=flag(cls, "use_real_sigmoid", use_real_sigmoid),
            use_stochastic_rounding=flag(cls, "use_stochastic_rounding", use_stochastic_rounding),
            sigmoid=sigmoid_kind(cls, sigmoid),
        )
        self._read(2.0 ** self._config["bits"], 0.0)
        self.use_real_sigmoid: bool = self._config["use_real_sigmoid"]
        self._sigmoid = SIGMOIDS["real" if self.use_real_sigmoid else sigmoid]

    @classmethod
    def examples(cls) -> tuple[quantized_sigmoid, ...]:
        """Hard, smooth and real."""
        return cls(6), cls(4, symmetric=True, sigmoid="smooth"), cls(5, use_real_sigmoid=True)

    @property
    def format(self) -> FixedPoint:
        """Unsigned fixed point without integer bits."""
        return FixedPoint.from_qkeras(self._bits, 0, keep_negative=False)

    def squash(self, x: Tensor) -> Tensor:
        """The sigmoid."""
        return self._sigmoid(x)
