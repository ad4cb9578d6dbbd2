"""``quantized_relu``: a relu whose values stand on an unsigned grid."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from torchq.formats import FixedPoint
from torchq.quantizers.base import Quantizer, flag, real, whole
from torchq.quantizers.core import above, fake_quantize, fitting
from torchq.quantizers.registry import register
from torchq.quantizers.rounding import stochastic
from torchq.quantizers.sigmoids import SIGMOIDS, sigmoid_kind


@register("quantized_relu")
class quantized_relu(Quantizer):
    """A relu and its quantization: ``2**integer * clip(round(x * m / 2**integer) / m, 0, 1 - 1/m)``.

    ``m = 2**bits``: without a slope this is ``ap_ufixed<bits,integer,RND_CONV,SAT>``. With a slope one bit
    is the sign, ``m = 2**(bits - 1)``, and negative inputs give the multiples of the same step down to
    ``-negative_slope * 2**integer``. Ties go to even. The gradient is that of the relu up to the largest
    value (or the upper bound), and zero above.

    Args:
        bits: all bits, the sign (with a slope) included.
        integer: bits before the point, the sign excluded.
        use_sigmoid: quantize ``2 sigmoid(x / 2**integer) - 1`` instead of ``x / 2**integer``.
        negative_slope: slope below zero: 0 or a power of two.
        use_stochastic_rounding: in training, round up with the probability of the remainder.
        relu_upper_bound: where the relu ends, with ``is_quantized_clip=False``.
        is_quantized_clip: the gradient ends at the largest value.
        qnoise_factor: share of the quantized values in the result.
        var_name: read for QKeras's sake; nothing has variables here.
        use_ste: see :class:`Quantizer`.
        use_variables: read for QKeras's sake; the state always lives in buffers.
        enable_fast_inference: read for QKeras's sake; there is one path only, and it is fast.
        sigmoid: which sigmoid: ``"hard"``, ``"smooth"`` or ``"real"`` (QKeras: ``set_internal_sigmoid``).

    Raises:
        QuantizerError: arguments that no such quantizer can have.

    Example:
        >>> q = quantized_relu(4, 1)
        >>> q(torch.tensor([-3.0, 0.3, 1e30])).tolist(), str(q.format)
        ([0.0, 0.25, 1.875], 'ap_ufixed<4,1,RND_CONV,SAT>')
    """

    leading = ("bits", "integer")

    def __init__(
        self,
        bits: int = 8,
        integer: int = 0,
        use_sigmoid: bool = False,
        negative_slope: float = 0.0,
        use_stochastic_rounding: bool = False,
        relu_upper_bound: float | None = None,
        is_quantized_clip: bool = True,
        qnoise_factor: float = 1.0,
        var_name: str | None = None,
        use_ste: bool = True,
        use_variables: bool = False,
        enable_fast_inference: bool = False,
        *,
        sigmoid: str = "hard",
    ) -> None:
        cls = type(self)
        slope = negative_power(cls, negative_slope)
        bound = None if relu_upper_bound is None else real(cls, "relu_upper_bound", relu_upper_bound)
        super().__init__(
            bits=whole(cls, "bits", bits, 1),
            integer=whole(cls, "integer", integer),
            use_sigmoid=flag(cls, "use_sigmoid", use_sigmoid),
            negative_slope=slope,
            use_stochastic_rounding=flag(cls, "use_stochastic_rounding", use_stochastic_rounding),
            relu_upper_bound=bound,
            is_quantized_clip=flag(cls, "is_quantized_clip", is_quantized_clip),
            qnoise_factor=qnoise_factor,
            var_name=var_name,
            use_ste=use_ste,
            use_variables=flag(cls, "use_variables", use_variables),
            enable_fast_inference=flag(cls, "enable_fast_inference", enable_fast_inference),
            sigmoid=sigmoid_kind(cls, sigmoid),
        )
        if bound is not None and bound <= 0:
            raise self.fault(f"relu_upper_bound must be above 0, got {bound}")
        self._bits: int = self._config["bits"]
        self.integer: int = self._config["integer"]
        self.use_sigmoid: bool = self._config["use_sigmoid"]
        self.negative_slope = slope
        self.use_stochastic_rounding: bool = self._config["use_stochastic_rounding"]
        self.relu_upper_bound = bound
        self.is_quantized_clip: bool = self._config["is_quantized_clip"]
        self.sigmoid: str = self._config["sigmoid"]
        self._levels: float = 2.0 ** (self._bits - int(slope != 0))
        self._step: float = 2.0**self.integer / self._levels
        self._high = self._levels - 1
        self._low = -float(math.floor(slope * self._levels))
        if self.is_quantized_clip:
            self._last = self._high * self._step
        else:
            self._last = math.inf if bound is None else bound
            if bound is not None:  # between two values the smaller one: no code stands for the bound
                self._high = min(self._high, float(math.floor(bound / self._step)))
        self._fast = not (self.use_sigmoid or slope or self.use_stochastic_rounding)

    @classmethod
    def examples(cls) -> tuple[quantized_relu, ...]:
        """Plain, leaky, bounded, through a sigmoid, one bit."""
        return (
            cls(6, 0),
            cls(4, 2, negative_slope=0.25),
            cls(5, 3, relu_upper_bound=6.0, is_quantized_clip=False),
            cls(4, 1, use_sigmoid=True, sigmoid="real"),
            cls(1, 0),
        )

    @property
    def bits(self) -> int:
        """The width of one value."""
        return self._bits

    @property
    def format(self) -> FixedPoint:
        """Unsigned fixed point; signed with a slope."""
        return FixedPoint.from_qkeras(self._bits, self.integer, keep_negative=self.negative_slope != 0)

    def transform(self, x: Tensor) -> Tensor:
        """See :class:`Quantizer`."""
        if self._fast and not self._blends:
            last = math.inf if self._last == math.inf else above(self._last, x.dtype)
            return fake_quantize(x, self._step, 0.0, self._high, passes=(0.0, last))
        return super().transform(x)

    def surrogate(self, x: Tensor) -> Tensor:
        """The relu, ended at the largest value or the upper bound."""
        slope = self.negative_slope
        y = F.leaky_relu(x, slope) if slope else F.relu(x)
        return y if self._last == math.inf else torch.where(x <= self._last, y, self._last)

    def quantize(self, x: Tensor) -> Tensor:
        """The values that come out for ``x``."""
        if self.use_sigmoid:
            return self._through_sigmoid(x)
        code = self._round(x / self._step).clamp(0.0, fitting(self._high, x.dtype))
        if self.negative_slope:
            code = code + self._round(x / self._step * self.negative_slope).clamp(self._low, 0.0)
        return code * self._step

    def _through_sigmoid(self, x: Tensor) -> Tensor:
        p = SIGMOIDS[self.sigmoid](x / 2.0**self.integer) * self._levels
        code = (2.0 * self._round(p) - self._levels).clamp(0.0, fitting(self._high, x.dtype))
        if self._low:
            code = code + (2.0 * self._round(p * self.negative_slope) + self._low).clamp(self._low, 0.0)
        return code * self._step

    def _round(self, x: Tensor) -> Tensor:
        return stochastic(x) if self.use_stochastic_rounding and self.training else x.round()

    def clip_bound(self) -> float:
        """The bound that QKeras clips to: ``max(1, 2**integer)``."""
        return max(1.0, 2.0**self.integer) if self._levels > 1 else 1.0


def negative_power(cls: type[Quantizer], value: float) -> float:
    """A slope: zero or a power of two.

    Raises:
        QuantizerError: it is neither.
    """
    slope = real(cls, "negative_slope", value)
    if slope < 0 or (slope and math.frexp(slope)[0] != 0.5):
        raise cls.fault(
            f"negative_slope must be 0 or a power of two, got {slope}",
            hint="hardware shifts by it; take 0.25, 0.125, ...",
        )
    return slope
