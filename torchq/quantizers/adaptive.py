"""``quantized_adaptive``: integer bits that follow the range of an activation (``QAdaptiveActivation``)."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from torchq.formats import FixedPoint
from torchq.quantizers.base import Quantizer, flag, real, whole
from torchq.quantizers.core import blend, fake_quantize
from torchq.quantizers.registry import register
from torchq.quantizers.relu import negative_power


@register("quantized_adaptive")
class quantized_adaptive(Quantizer):
    """Fixed point whose ``integer`` is the smallest that holds the moving minimum and maximum.

    In training the range of the activation (before quantization) is followed by an exponential moving
    average, which starts at the first batch; nothing is quantized before ``quantization_delay`` steps; the
    range stays as it is after ``ema_freeze_delay`` steps, and in inference. Range and step count live in
    buffers and in the checkpoint.

    Args:
        activation: ``"quantized_relu"`` or ``"quantized_bits"``.
        total_bits: all bits.
        symmetric: the most negative code is not used (``quantized_bits``).
        quantization_delay: training steps before values are quantized.
        ema_freeze_delay: training steps after which the range stays as it is; ``None``: never.
        ema_decay: share of the old range in the new one.
        per_channel: one range for each channel (the axis that :meth:`Quantizer.channel_axis` says).
        po2_rounding: the range is the nearest power of two, which may clip; otherwise it holds everything.
        relu_neg_slope: slope of the relu below zero: 0 or a power of two.
        relu_upper_bound: where the relu ends.

    Raises:
        QuantizerError: arguments that no such quantizer can have.

    Example:
        >>> q = quantized_adaptive("quantized_relu", 4)
        >>> q(torch.tensor([0.3, 2.6])).tolist(), str(q.format)
        ([0.25, 2.5], 'ap_ufixed<4,2,RND_CONV,SAT>')
    """

    leading = ("activation", "total_bits")
    optional_state: ClassVar[tuple[str, ...]] = ("qnoise_factor",)

    ema_min: Tensor
    ema_max: Tensor
    steps: Tensor

    def __init__(
        self,
        activation: str = "quantized_relu",
        total_bits: int = 8,
        symmetric: bool = True,
        quantization_delay: int = 0,
        ema_freeze_delay: int | None = None,
        ema_decay: float = 0.9999,
        per_channel: bool = False,
        po2_rounding: bool = False,
        relu_neg_slope: float = 0.0,
        relu_upper_bound: float | None = None,
    ) -> None:
        cls = type(self)
        if activation not in ("quantized_relu", "quantized_bits"):
            raise cls.fault(f"activation must be 'quantized_relu' or 'quantized_bits', got {activation!r}")
        freeze = None if ema_freeze_delay is None else whole(cls, "ema_freeze_delay", ema_freeze_delay, 0)
        bound = None if relu_upper_bound is None else real(cls, "relu_upper_bound", relu_upper_bound)
        super().__init__(
            activation=activation,
            total_bits=whole(cls, "total_bits", total_bits, 1),
            symmetric=flag(cls, "symmetric", symmetric),
            quantization_delay=whole(cls, "quantization_delay", quantization_delay, 0),
            ema_freeze_delay=freeze,
            ema_decay=real(cls, "ema_decay", ema_decay),
            per_channel=flag(cls, "per_channel", per_channel),
            po2_rounding=flag(cls, "po2_rounding", po2_rounding),
            relu_neg_slope=negative_power(cls, relu_neg_slope),
            relu_upper_bound=bound,
        )
        config = self._config
        if not 0.0 <= config["ema_decay"] <= 1.0:
            raise self.fault(f"ema_decay must be from 0 to 1, got {config['ema_decay']}")
        self.relu = activation == "quantized_relu"
        self.total_bits: int = config["total_bits"]
        self.symmetric: bool = config["symmetric"] and not self.relu
        self.quantization_delay: int = config["quantization_delay"]
        self.ema_freeze_delay = freeze
        self.ema_decay: float = config["ema_decay"]
        self.per_channel: bool = config["per_channel"]
        self.po2_rounding: bool = config["po2_rounding"]
        self.relu_neg_slope: float = config["relu_neg_slope"]
        self.relu_upper_bound = bound
        self.keep_negative = not self.relu or self.relu_neg_slope != 0
        self._unsigned = self.total_bits - int(self.keep_negative)
        self.register_buffer("ema_min", torch.zeros(1))
        self.register_buffer("ema_max", torch.zeros(1))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    @classmethod
    def examples(cls) -> tuple[quantized_adaptive, ...]:
        """A relu, a signed one, one for each channel."""
        return (
            cls("quantized_relu", 6),
            cls("quantized_bits", 5, relu_upper_bound=None),
            cls("quantized_relu", 4, relu_neg_slope=0.25, per_channel=True, po2_rounding=True),
        )

    @property
    def bits(self) -> int:
        """The width of one value."""
        return self.total_bits

    @property
    def integer(self) -> Any:
        """The bits before the point now in force, the sign excluded: a number, or an array by channel."""
        bits = self._integer(self.ema_min, self.ema_max).to(torch.int64).cpu().numpy()
        return int(bits[0]) if bits.size == 1 else bits

    @property
    def format(self) -> FixedPoint:
        """Fixed point with the integer bits now in force (per channel: along the last axis)."""
        return FixedPoint.from_qkeras(
            self.total_bits, self.integer, keep_negative=self.keep_negative, symmetric=self.symmetric
        )

    def transform(self, x: Tensor) -> Tensor:
        """See :class:`Quantizer`."""
        y = self.surrogate(x)
        if self.training:
            with torch.no_grad():
                self._follow(y.detach())
                late = (self.steps > self.quantization_delay).to(torch.float32)
        with torch.no_grad():
            q = self.quantize(x.detach())
        if not self.training:
            return self.combine(y, q)
        return blend(y, q, late * self.qnoise_factor, ste=self.use_ste)

    def surrogate(self, x: Tensor) -> Tensor:
        """The relu, ended at its bound; or the input."""
        if not self.relu:
            return x
        y = F.leaky_relu(x, self.relu_neg_slope) if self.relu_neg_slope else F.relu(x)
        if self.relu_upper_bound is None:
            return y
        return torch.where(x <= self.relu_upper_bound, y, self.relu_upper_bound)

    def quantize(self, x: Tensor) -> Tensor:
        """The values that come out for ``x``, with the range now in force."""
        integer = self._along(self._integer(self.ema_min, self.ema_max), x).to(x.dtype)
        step = torch.exp2(integer - self._unsigned)
        high = 2.0**self._unsigned - 1
        low = -(2.0**self._unsigned) + float(self.symmetric) if self.keep_negative else 0.0
        if self.relu:
            low = -float(int(self.relu_neg_slope * 2.0**self._unsigned))
        return fake_quantize(self.surrogate(x), step, low, high)

    def _follow(self, y: Tensor) -> None:
        """One step of the moving range; what is not finite is left out."""
        if not y.numel():
            return
        finite = torch.where(torch.isfinite(y), y, 0.0).to(self.ema_min.dtype)
        dims = tuple(range(y.ndim))
        if self.per_channel and y.ndim > 1:
            dims = tuple(d for d in dims if d != self.default_axis % y.ndim)
        decay = torch.where(self.steps == 0, 0.0, self.ema_decay)
        if self.ema_freeze_delay is not None:
            decay = torch.where(self.steps > self.ema_freeze_delay, 1.0, decay)
        for name, seen in (("ema_min", finite.amin(dim=dims)), ("ema_max", finite.amax(dim=dims))):
            old: Tensor = getattr(self, name)
            new = torch.where(decay == 1, old, decay * old + (1 - decay) * seen.reshape(-1))
            if new.shape == old.shape:
                old.copy_(new)
            else:
                setattr(self, name, new)
        self.steps += 1

    def _integer(self, least: Tensor, most: Tensor) -> Tensor:
        """The integer bits that hold the range; QKeras's ``_get_integer_bits``."""
        if not self.keep_negative:
            least, most = least.clamp(min=0), most.clamp(min=0)
        below, above = _log2(least.abs()), _log2(most.abs())
        if self.po2_rounding:
            needed = torch.maximum(below.round(), above.round())
        else:
            below, above = below.ceil(), above.ceil()
            top = torch.exp2(above) - torch.exp2(torch.clamp(above - self._unsigned, max=0))
            above = torch.where(most <= top, above, above + 1)
            if self.symmetric:
                bottom = -torch.exp2(below) + torch.exp2(torch.clamp(below - self._unsigned, max=0))
                below = torch.where(bottom <= least, below, below + 1)
            needed = torch.maximum(below, above)
        return torch.clamp(needed, max=self._unsigned)

    def _along(self, values: Tensor, x: Tensor) -> Tensor:
        if values.numel() == 1 or x.ndim < 2:
            return values if values.numel() > 1 else values.reshape(())
        axis = self.default_axis % x.ndim
        return values.reshape([-1 if d == axis else 1 for d in range(x.ndim)])

    def clip_bound(self) -> float:
        """The bound that QKeras clips to."""
        return float(max(1.0, 2.0 ** float(self._integer(self.ema_min, self.ema_max).max())))


def _log2(size: Tensor) -> Tensor:
    """The logarithm, zero below one."""
    return torch.where(size > 1, torch.log2(torch.clamp(size, min=1.0)), torch.zeros_like(size))
