"""``Quantizer``: what every quantizer is, whatever its formula."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from torchq.errors import QuantizerError
from torchq.formats import Binary, FixedPoint, Format, PowerOfTwo
from torchq.quantizers.core import PRECISION, blend, straight_through


class Quantizer(nn.Module):
    """A function from floats to the values of a number format, with a gradient.

    A subclass says what comes out (:meth:`quantize`), what the gradient is that of (:meth:`surrogate`, the
    input itself unless told otherwise) and which :attr:`format` the values have. The result is exactly what
    :meth:`quantize` returns; with :attr:`qnoise_factor` below 1 it is mixed with the surrogate.

    Infinities saturate; NaN stays NaN and never enters the state.

    Args:
        qnoise_factor: share of the quantized values in the result, from 0 (float) to 1 (quantized). It lives
            in a buffer; :meth:`update_qnoise_factor` changes it.
        use_ste: the gradient is that of the surrogate; otherwise it is multiplied by ``1 - qnoise_factor``.
        config: the other arguments of the subclass, for its text form.
    """

    name: ClassVar[str] = "quantizer"
    """The name in texts and in the registry: QKeras's."""
    leading: ClassVar[tuple[str, ...]] = ()
    """The arguments that the text form always writes, by position."""

    qnoise_factor: Tensor

    def __init__(self, *, qnoise_factor: float = 1.0, use_ste: bool = True, **config: Any) -> None:
        super().__init__()
        if not 0.0 <= float(qnoise_factor) <= 1.0:
            raise self.fault(f"qnoise_factor must be from 0 to 1, got {qnoise_factor}")
        self._config: dict[str, Any] = {
            **config,
            "qnoise_factor": float(qnoise_factor),
            "use_ste": bool(use_ste),
        }
        self.use_ste = bool(use_ste)
        self._blends = float(qnoise_factor) != 1.0 or not use_ste
        self.default_axis = -1
        self.register_buffer("qnoise_factor", torch.tensor(float(qnoise_factor)))

    # ------------------------------------------------------------------ what a subclass says

    def quantize(self, x: Tensor) -> Tensor:
        """The values that come out for ``x``, of its shape and dtype; called without gradient."""
        raise TypeError(f"{type(self).__name__} does not say how it quantizes {x.dtype}")

    def surrogate(self, x: Tensor) -> Tensor:
        """The differentiable function whose gradient stands for that of :meth:`quantize`."""
        return x

    @property
    def format(self) -> Format:
        """The exact number format of what comes out."""
        raise TypeError(f"{type(self).__name__} does not say its format")

    @property
    def bits(self) -> int:
        """The width of one value."""
        return self.format.width  # type: ignore[return-value]

    def hardware_reason(self) -> str | None:
        """``None`` if what comes out stands on a hardware grid, else the reason why not."""
        return None

    @classmethod
    def examples(cls) -> tuple[Quantizer, ...]:
        """A few instances that show the options; the conformance suite runs over them."""
        return (cls(),)

    # ------------------------------------------------------------------ what is the same for all

    def forward(self, x: Tensor) -> Tensor:
        """Quantize ``x``.

        Args:
            x: any shape (nothing happens to an empty tensor), float64, float32, bfloat16 or float16.

        Returns:
            The shape and dtype of ``x``.

        Raises:
            QuantizerError: the tensor holds no such floats.
        """
        if x.dtype not in PRECISION:
            raise QuantizerError(
                f"{self.name} quantizes float64, float32, bfloat16 and float16, got a tensor of {x.dtype}",
                hint="convert it first, for example with x.float()",
            )
        return self.transform(x) if x.numel() else x

    def transform(self, x: Tensor) -> Tensor:
        """What :meth:`forward` does with a tensor that is not empty."""
        surrogate = self.surrogate(x)
        with torch.no_grad():
            q = self.quantize(x.detach())
        return self.combine(surrogate, q)

    def combine(self, surrogate: Tensor, q: Tensor) -> Tensor:
        """``q`` with the gradient of ``surrogate``, mixed as :attr:`qnoise_factor` says."""
        if self._blends:
            return blend(surrogate, q, self.qnoise_factor, ste=self.use_ste)
        return straight_through(surrogate, q)

    def update_qnoise_factor(self, value: float) -> None:
        """Set the share of quantized values in the result; QKeras's name.

        Args:
            value: from 0 (float) to 1 (quantized).
        """
        if not 0.0 <= float(value) <= 1.0:
            raise self.fault(f"qnoise_factor must be from 0 to 1, got {value}")
        self.qnoise_factor.fill_(float(value))
        self._blends = float(value) != 1.0 or not self.use_ste

    def channel_axis(self, axis: int) -> Self:
        """Say which axis of the tensor counts the channels, for per-channel scales without ``scale_axis``.

        The default is the last one, as in Keras, whose weights end in the output channels. The layers of
        torch keep them first: a layer calls ``quantizer.channel_axis(0)`` on its weight quantizer. It is a
        property of the place where a quantizer stands and no part of its text.
        """
        self.default_axis = axis
        return self

    @property
    def config(self) -> dict[str, Any]:
        """The arguments, by name, in the order of the constructor."""
        order = inspect.signature(type(self).__init__).parameters
        return {name: self._config[name] for name in order if name in self._config}

    def __str__(self) -> str:
        parts = []
        for name, parameter in inspect.signature(type(self).__init__).parameters.items():
            if name not in self._config:
                continue
            value = self._config[name]
            if name in self.leading:
                parts.append(_literal(value))
            elif value != parameter.default:
                parts.append(f"{name}={_literal(value)}")
        return f"{self.name}({','.join(parts)})"

    __repr__ = __str__

    # ------------------------------------------------------------------ the ends of the range

    def max(self) -> float:
        """The largest value that comes out."""
        return max(self._ends())

    def min(self) -> float:
        """The smallest value that comes out."""
        return min(self._ends())

    def _ends(self) -> tuple[float, ...]:
        f = self.format
        if isinstance(f, Binary):
            return (0.0 if f.use_01 else -f.scale, f.scale)
        if isinstance(f, PowerOfTwo):
            return (-(2.0**f.exponent_max) if f.signed else 2.0**f.exponent_min, 2.0**f.exponent_max)
        f = self._fixed()
        return (float(np.min(f.lo)), float(np.max(f.hi)))

    def range(self) -> list[float]:
        """All values in the order of their two's complement codes: 0 to the largest, the smallest to -1.

        Example:
            >>> from torchq.quantizers import quantized_bits
            >>> quantized_bits(2).range()
            [0.0, 0.5, -1.0, -0.5]
        """
        f = self.format
        if isinstance(f, Binary):
            return [0.0, f.scale] if f.use_01 else [f.scale, -f.scale]
        if isinstance(f, PowerOfTwo):
            values = [2.0**e for e in range(f.exponent_min, f.exponent_max + 1)]
            return values + [-v for v in values] if f.signed else values
        f = self._fixed()
        positive = [code * f.lsb for code in range(int(f.code_max) + 1)]
        return positive + [code * f.lsb for code in range(int(f.code_min), 0)]

    def clip_bound(self) -> float:
        """The bound that QKeras clips the float weights to: ``max(1, largest power of two in range)``."""
        return 1.0

    def _fixed(self) -> FixedPoint:
        f = self.format
        return f if isinstance(f, FixedPoint) else f.as_fixed()

    @classmethod
    def fault(cls, message: str, hint: str | None = None) -> QuantizerError:
        """An error that names this quantizer."""
        return QuantizerError(f"{cls.name}: {message}", hint)

    # ------------------------------------------------------------------ state

    optional_state: ClassVar[tuple[str, ...]] = ("qnoise_factor", "scale")
    """Buffers that a checkpoint may lack (that of a float model has none)."""

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: Mapping[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        for name, buffer in list(self._buffers.items()):
            saved = state_dict.get(prefix + name)
            if buffer is not None and saved is not None and saved.shape != buffer.shape:
                setattr(self, name, torch.empty_like(saved, device=buffer.device, dtype=buffer.dtype))
        lacking: list[str] = []
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, lacking, unexpected_keys, error_msgs
        )
        missing_keys += [key for key in lacking if key.removeprefix(prefix) not in self.optional_state]
        self._blends = float(self.qnoise_factor) != 1.0 or not self.use_ste


def whole(cls: type[Quantizer], name: str, value: Any, least: int | None = None) -> int:
    """``value`` as an int.

    Raises:
        QuantizerError: it is no whole number, or below ``least``.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        raise cls.fault(f"{name} must be a whole number, got {value!r}")
    if least is not None and value < least:
        raise cls.fault(f"{name} must be at least {least}, got {int(value)}")
    return int(value)


def flag(cls: type[Quantizer], name: str, value: Any) -> bool:
    """``value`` as a bool; QKeras writes 0 and 1 as well.

    Raises:
        QuantizerError: it is neither.
    """
    if not isinstance(value, bool | int | float) or value not in (0, 1):
        raise cls.fault(f"{name} must be True or False, got {value!r}")
    return bool(value)


def real(cls: type[Quantizer], name: str, value: Any) -> float:
    """``value`` as a finite float.

    Raises:
        QuantizerError: it is no number, or not finite.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise cls.fault(f"{name} must be a finite number, got {value!r}")
    return float(value)


def _literal(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{','.join(_literal(v) for v in value)}]"
    return repr(value)
