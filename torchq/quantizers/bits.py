"""``quantized_bits``: fixed point with a scale; the quantizer of most QKeras models."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchq.formats import Binary, FixedPoint, Float, Format, ScaledSigns
from torchq.quantizers.base import flag, whole
from torchq.quantizers.core import fake_quantize, fitting
from torchq.quantizers.registry import register
from torchq.quantizers.rounding import stochastic
from torchq.quantizers.scale import largest, least_squares, power_of_two
from torchq.quantizers.scaled import ScaledQuantizer

PO2_STEPS = 5
"""How often QKeras alternates between codes and scale with ``auto_po2``."""


@register("quantized_bits")
class quantized_bits(ScaledQuantizer):
    """Fixed point: ``alpha * 2**integer * clip(round(x * 2**(u - integer)), low, high) / 2**u``.

    ``u = bits - keep_negative``. ``integer`` does **not** count the sign bit: with ``alpha`` 1 this is
    ``ap_fixed<bits,integer+1,RND_CONV,SAT>``. Ties go to even. The gradient is one everywhere, also outside
    the range, as in QKeras. One signed bit is the sign: ``-alpha`` or ``+alpha`` (0 gives ``+alpha``).

    With ``alpha="auto"`` or ``"auto_po2"`` the range is symmetric, ties go away from zero, the scale is
    ``2 max|x| / levels`` for each channel, and ``auto_po2`` improves it in five least-squares steps, as
    powers of two.

    Args:
        bits: all bits, the sign included.
        integer: bits before the point, the sign excluded.
        symmetric: the most negative code is not used.
        keep_negative: signed, or unsigned.
        alpha: the scale; see :class:`ScaledQuantizer`.
        use_stochastic_rounding: in training, round up with the probability of the remainder.
        scale_axis: the axis or axes along which scales differ.
        qnoise_factor: share of the quantized values in the result.
        var_name: read for QKeras's sake; nothing has variables here.
        use_ste: see :class:`Quantizer`.
        use_variables: read for QKeras's sake; the state always lives in buffers.
        elements_per_scale: how many neighbours along ``scale_axis`` share one scale (``auto_po2``).
        min_po2_exponent: smallest exponent of a scale.
        max_po2_exponent: largest exponent of a scale.
        post_training_scale: the scale to keep, with an ``auto`` alpha.

    Raises:
        QuantizerError: arguments that no such quantizer can have.

    Example:
        >>> q = quantized_bits(4, 0)
        >>> q(torch.tensor([0.3, -2.0, 1e30])).tolist(), str(q.format)
        ([0.25, -1.0, 0.875], 'ap_fixed<4,1,RND_CONV,SAT>')
    """

    leading = ("bits", "integer")

    def __init__(
        self,
        bits: int = 8,
        integer: int = 0,
        symmetric: bool = False,
        keep_negative: bool = True,
        alpha: Any = None,
        use_stochastic_rounding: bool = False,
        scale_axis: int | list[int] | None = None,
        qnoise_factor: float = 1.0,
        var_name: str | None = None,
        use_ste: bool = True,
        use_variables: bool = False,
        elements_per_scale: int | list[int] | None = None,
        min_po2_exponent: int | None = None,
        max_po2_exponent: int | None = None,
        post_training_scale: Any = None,
    ) -> None:
        bits, integer = whole(type(self), "bits", bits, 1), whole(type(self), "integer", integer)
        frozen = None if post_training_scale is None else _scales(type(self), post_training_scale)
        super().__init__(
            bits=bits,
            integer=integer,
            symmetric=flag(type(self), "symmetric", symmetric),
            keep_negative=flag(type(self), "keep_negative", keep_negative),
            alpha=alpha,
            use_stochastic_rounding=flag(type(self), "use_stochastic_rounding", use_stochastic_rounding),
            scale_axis=scale_axis,
            qnoise_factor=qnoise_factor,
            var_name=var_name,
            use_ste=use_ste,
            use_variables=flag(type(self), "use_variables", use_variables),
            elements_per_scale=elements_per_scale,
            min_po2_exponent=min_po2_exponent,
            max_po2_exponent=max_po2_exponent,
            post_training_scale=frozen,
        )
        self.integer = integer
        self.keep_negative = self._config["keep_negative"]
        self.symmetric = self._config["symmetric"] or (self.auto and self.keep_negative)
        self.use_stochastic_rounding = self._config["use_stochastic_rounding"]
        self._bits = bits
        self._unsigned = bits - int(self.keep_negative)
        if self.alpha == "auto" and self.elements_per_scale is not None:
            raise self.fault("elements_per_scale needs alpha='auto_po2'")
        if frozen is not None:
            if not self.auto:
                raise self.fault("post_training_scale needs alpha='auto' or 'auto_po2'")
            self.scale = torch.tensor(frozen, dtype=torch.float32)
        self.freeze_scale = frozen is not None
        self._step = 2.0 ** (integer - self._unsigned)
        self._high = 2.0**self._unsigned - 1
        self._low = float(-(2**self._unsigned) + int(self.symmetric)) if self.keep_negative else 0.0
        self._sign = self._unsigned == 0
        self._worth = self._step * (self.number or 1.0)
        self._fast = self.number is not None and not self._sign and not self.use_stochastic_rounding

    @classmethod
    def examples(cls) -> tuple[quantized_bits, ...]:
        """Fixed and found scales, one bit, unsigned, narrow."""
        return (
            cls(6, 0, alpha=1.0),
            cls(8, 3, symmetric=True),
            cls(4, 2, keep_negative=False),
            cls(1, 0),
            cls(5, -1, alpha=0.5, qnoise_factor=1.0),
            cls(4, 0, alpha="auto"),
            cls(4, 1, alpha="auto_po2", min_po2_exponent=-3),
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
            scale = 2.0**exponent
            return Binary(float(scale)) if isinstance(exponent, int) else ScaledSigns.of(Binary(), exponent)
        return FixedPoint.from_qkeras(
            self._bits, self.integer + exponent, keep_negative=self.keep_negative, symmetric=self.symmetric
        )

    def transform(self, x: Tensor) -> Tensor:
        """See :class:`Quantizer`."""
        if self._fast and not self._blends:
            return fake_quantize(x, self._step, self._low, self._high, out=self._worth)
        return super().transform(x)

    def quantize(self, x: Tensor) -> Tensor:
        """The values that come out for ``x``."""
        if self.auto:
            return self._auto(x)
        scale = self.fixed_scale(x)
        if self._sign:
            return signs(x) * scale
        if self.use_stochastic_rounding and self.training:
            code = stochastic(x / self._step).clamp(fitting(self._low, x.dtype), fitting(self._high, x.dtype))
            return code * self._step * scale
        return fake_quantize(x, self._step, self._low, self._high) * scale

    def _auto(self, x: Tensor) -> Tensor:
        """Scales found from the data; ``x`` in units of ``2**integer`` as QKeras has it."""
        unit = 2.0**self.integer
        worth = 2.0**self._unsigned
        x = x / unit
        if self.freeze_scale:
            scale = self.scale.to(x.dtype) / worth
        else:
            scale = self._found(x)
            self.record(scale * worth)
        return scale * worth * (unit * self._codes(x, scale) / worth)

    def _found(self, x: Tensor) -> Tensor:
        axes = self.axes(x)
        x = torch.where(torch.isfinite(x), x, 0.0)
        if self._sign:  # one bit has no levels to spread; the scale is the least-squares one
            scale = least_squares(x, signs(x), axes)
            if self.alpha == "auto_po2":
                return power_of_two(scale, self.min_po2_exponent, self.max_po2_exponent)
            return scale
        dims = axes.reduced(x.ndim) if x.ndim > 1 else tuple(range(x.ndim))
        size = x.abs() if self.keep_negative else x.clamp(min=0)
        scale = largest(size, dims) / self._high
        if self.alpha == "auto":
            return scale
        scale = power_of_two(scale)
        for _ in range(PO2_STEPS):
            scale = power_of_two(
                least_squares(x, self._codes(x, scale), axes), self.min_po2_exponent, self.max_po2_exponent
            )
        return scale

    def _codes(self, x: Tensor, scale: Tensor) -> Tensor:
        """Integer codes; ties away from zero; an all-zero channel (scale 0) has zeros."""
        if self._sign:
            return signs(x)
        ratio = x.abs() / scale
        if self.use_stochastic_rounding and self.training:
            code = stochastic(ratio)
        else:
            code = torch.floor(ratio + 0.5)
        high = fitting(self._high, x.dtype)
        code = torch.where(code < high, code, high)
        signed = torch.sign(x) * torch.where(x == 0, torch.zeros_like(code), code)
        signed = torch.where(torch.isnan(x), x, signed)
        return signed if self.keep_negative else signed.clamp(min=0)

    def clip_bound(self) -> float:
        """The bound that QKeras clips the float weights to."""
        return 1.0 if self._sign else max(1.0, 2.0**self.integer)


def signs(x: Tensor) -> Tensor:
    """-1 below zero and +1 at and above it; NaN stays NaN."""
    return torch.where(x < 0, -1.0, torch.where(x >= 0, 1.0, x)).to(x.dtype)


def _scales(cls: type[quantized_bits], value: Any) -> Any:
    """A frozen scale as a number or nested list."""
    tensor = torch.as_tensor(value, dtype=torch.float64)
    if tensor.numel() == 0 or not bool(torch.isfinite(tensor).all()) or not bool((tensor > 0).all()):
        raise cls.fault(f"post_training_scale must be above 0, got {value!r}")
    return tensor.tolist()
