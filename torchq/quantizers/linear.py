"""``quantized_linear``: QKeras's newer fixed-point quantizer, whose gradient saturates."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchq.formats import Binary, FixedPoint, Float, Format, ScaledSigns
from torchq.quantizers.base import flag, whole
from torchq.quantizers.core import blend, fake_quantize, fitting, straight_through
from torchq.quantizers.registry import register
from torchq.quantizers.rounding import stochastic
from torchq.quantizers.scale import EPSILON, largest, least_squares, power_of_two
from torchq.quantizers.scaled import ScaledQuantizer

PO2_STEPS = 5
"""How often the scale of ``auto_po2`` is improved at most."""


@register("quantized_linear")
class quantized_linear(ScaledQuantizer):
    """Evenly spaced values: ``s * round(clip(x / s, low, high))`` with ``s = alpha * 2**(integer - u)``.

    ``u = bits - keep_negative``; the range is symmetric unless told otherwise. Ties go to even. The gradient
    is one inside the range and zero outside. One signed bit gives ``-s/2`` or ``+s/2`` (0 gives ``+s/2``).

    Args:
        bits: all bits, the sign included.
        integer: bits before the point, the sign excluded.
        symmetric: the most negative code is not used.
        keep_negative: signed, or unsigned.
        alpha: the scale; see :class:`ScaledQuantizer`. ``"auto"`` finds the smallest scale that clips
            nothing, ``"auto_po2"`` the power of two with the least squared error.
        use_stochastic_rounding: in training, round up with the probability of the remainder.
        scale_axis: the axis or axes along which scales differ.
        qnoise_factor: share of the quantized values in the result.
        var_name: read for QKeras's sake; nothing has variables here.
        use_variables: read for QKeras's sake; the state always lives in buffers.

    Raises:
        QuantizerError: arguments that no such quantizer can have.

    Example:
        >>> q = quantized_linear(8, 3)
        >>> q(torch.tensor([0.0, 0.52, 1e30])).tolist(), str(q.format)
        ([0.0, 0.5, 7.9375], 'ap_fixed<8,4,RND_CONV,SAT_SYM>')
    """

    leading = ("bits", "integer")

    def __init__(
        self,
        bits: int = 8,
        integer: int = 0,
        symmetric: bool = True,
        keep_negative: bool = True,
        alpha: Any = None,
        use_stochastic_rounding: bool = False,
        scale_axis: int | list[int] | None = None,
        qnoise_factor: float = 1.0,
        var_name: str | None = None,
        use_variables: bool = False,
    ) -> None:
        super().__init__(
            bits=whole(type(self), "bits", bits, 1),
            integer=whole(type(self), "integer", integer),
            symmetric=flag(type(self), "symmetric", symmetric),
            keep_negative=flag(type(self), "keep_negative", keep_negative),
            alpha=alpha,
            use_stochastic_rounding=flag(type(self), "use_stochastic_rounding", use_stochastic_rounding),
            scale_axis=scale_axis,
            qnoise_factor=qnoise_factor,
            var_name=var_name,
            use_variables=flag(type(self), "use_variables", use_variables),
        )
        self.integer: int = self._config["integer"]
        self.symmetric: bool = self._config["symmetric"]
        self.keep_negative: bool = self._config["keep_negative"]
        self.use_stochastic_rounding: bool = self._config["use_stochastic_rounding"]
        self._bits: int = self._config["bits"]
        unsigned: int = self._bits - int(self.keep_negative)
        self._step: float = 2.0 ** (self.integer - unsigned)
        self._sign = unsigned == 0
        self._high: float = 0.5 if self._sign else 2.0**unsigned - 1
        if self._sign:
            self._low = -0.5
        else:
            self._low = float(-(2**unsigned) + int(self.symmetric)) if self.keep_negative else 0.0
        self._number = self.number or 1.0
        self._fast = self.number is not None and not self._sign and not self.use_stochastic_rounding

    @classmethod
    def examples(cls) -> tuple[quantized_linear, ...]:
        """Fixed and found scales, one bit, unsigned."""
        return (
            cls(6, 0),
            cls(8, 2, symmetric=False, alpha=2.0),
            cls(4, 1, keep_negative=False),
            cls(1, 0),
            cls(4, 0, alpha="auto"),
            cls(4, 0, alpha="auto_po2"),
        )

    @property
    def bits(self) -> int:
        """The width of one value."""
        return self._bits

    @property
    def format(self) -> Format:
        """Fixed point, the scale folded in if it is a power of two; one bit gives ``Binary``."""
        exponent = self.exponents()
        if exponent is None:
            return Float()
        if self._sign:
            if isinstance(exponent, int):
                return Binary(0.5 * self._step * 2.0**exponent)
            return ScaledSigns.of(Binary(), exponent + self.integer - 1)
        return FixedPoint.from_qkeras(
            self._bits, self.integer + exponent, keep_negative=self.keep_negative, symmetric=self.symmetric
        )

    def transform(self, x: Tensor) -> Tensor:
        """See :class:`Quantizer`."""
        if self._fast and not self._blends:
            return fake_quantize(x, self._step * self._number, self._low, self._high, saturate=True)
        low, high = self._bounds(x.dtype)
        with torch.no_grad():
            scale = self._scale_of(x.detach())
            q = self._codes(x.detach(), scale) * scale
            if self.auto:
                self.record(scale / self._step)
        q = straight_through(torch.clamp(x / scale, low, high) * scale, q)
        return blend(x, q, self.qnoise_factor, through=True) if self._blends else q

    def _scale_of(self, x: Tensor) -> Tensor:
        """The distance of neighbouring values."""
        if not self.auto:
            return torch.as_tensor(self.fixed_scale(x) * self._step, dtype=x.dtype, device=x.device)
        axes = self.axes(x)
        x = torch.where(torch.isfinite(x), x, 0.0)
        size = x.abs() if self.keep_negative else x
        top = largest(size, axes.reduced(x.ndim))
        span = self._high - self._low
        scale = torch.clamp((top * 2 if self.keep_negative else top) / span, min=EPSILON)
        if self.alpha == "auto":
            return scale
        scale = power_of_two(scale)
        for _ in range(1 if self._sign else PO2_STEPS):
            scale = power_of_two(least_squares(x, self._codes(x, scale), axes))
        return scale

    def _codes(self, x: Tensor, scale: Tensor) -> Tensor:
        shift = 0.5 if self._sign else 0.0
        inside = torch.clamp(x / scale, *self._bounds(x.dtype)) - shift
        rounded = stochastic(inside) if self.use_stochastic_rounding and self.training else inside.round()
        return rounded + shift

    def _bounds(self, dtype: torch.dtype) -> tuple[float, float]:
        if self._sign:
            return self._low, self._high
        return fitting(self._low, dtype), fitting(self._high, dtype)

    def clip_bound(self) -> float:
        """The bound that QKeras clips the float weights to: the largest value, at least 1."""
        scale = self._number if self.number is not None else float(self.scale.max())
        return max(1.0, self._high * self._step * scale)
