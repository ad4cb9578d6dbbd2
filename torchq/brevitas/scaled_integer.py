"""``scaled_integer``: integers times a float scale, for what has no fixed-point format."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchq.formats import Float, Rounding
from torchq.quantizers import Quantizer, fake_quantize
from torchq.quantizers.base import whole


class scaled_integer(Quantizer):
    """``clamp(round(x / scale), low, high) * scale`` with any scale: good for torch, refused for hardware.

    The gradient is one inside the range and zero outside.

    Args:
        bits: width of the integers.
        scale: a number, or nested lists that broadcast against the tensor.
        signed: two's complement, or unsigned.
        narrow: the most negative integer is not used.
        rounding: a mode of ``ap_fixed``.

    Example:
        >>> q = scaled_integer(4, 0.3)
        >>> [round(v, 2) for v in q(torch.tensor([0.4, 9.0])).tolist()], str(q.format)
        ([0.3, 2.1], 'float32')
        >>> q.hardware_reason()
        'scaled_integer(4,0.3): the scale 0.3 is no power of two, so no fixed-point grid holds the values'
    """

    name = "scaled_integer"
    leading = ("bits", "scale")
    scale: Tensor

    def __init__(
        self, bits: int, scale: Any, signed: bool = True, narrow: bool = False, rounding: str = "RND_CONV"
    ) -> None:
        super().__init__(
            bits=whole(type(self), "bits", bits, 1),
            scale=scale,
            signed=signed,
            narrow=narrow,
            rounding=rounding,
        )
        self._bits = int(bits)
        self._rounding = Rounding(rounding)
        self._high = float(2 ** (self._bits - int(signed)) - 1)
        self._low = float(-(2 ** (self._bits - 1)) + int(narrow)) if signed else 0.0
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float64))

    @property
    def bits(self) -> int:
        """The width of the integers."""
        return self._bits

    @property
    def format(self) -> Float:
        """Floats: the values stand on no grid of powers of two."""
        return Float()

    def hardware_reason(self) -> str | None:
        """Why the scale puts the values off every fixed-point grid."""
        odd = next(v for v in self.scale.flatten().tolist() if torch.frexp(torch.tensor(v))[0] != 0.5)
        return f"{self}: the scale {odd:g} is no power of two, so no fixed-point grid holds the values"

    def transform(self, x: Tensor) -> Tensor:
        """See :class:`~torchq.quantizers.Quantizer`."""
        return super().transform(x) if self._blends else self.quantize(x)

    def quantize(self, x: Tensor) -> Tensor:
        """The values that come out for ``x``."""
        scale = self.scale.to(x.dtype)
        return fake_quantize(x, scale, self._low, self._high, rounding=self._rounding, saturate=True)
