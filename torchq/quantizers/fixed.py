"""``fixed``: any :class:`torchq.formats.FixedPoint` as a quantizer, also per channel or element."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchq.errors import FormatError
from torchq.formats import FixedPoint, Overflow, Rounding, round_to_integer, wrapped
from torchq.quantizers.base import Quantizer, flag
from torchq.quantizers.core import fake_quantize, straight_through
from torchq.quantizers.registry import register


@register("fixed")
class fixed(Quantizer):
    """The values of a fixed-point format: what ``ap_fixed<width,integer,rounding,overflow>`` holds.

    ``integer`` counts the sign bit, as in HLS. The gradient is one inside the range and zero outside; with
    ``WRAP``, where no value is outside, it is one everywhere (and an infinity, which has no last bits, is
    NaN).

    Args:
        width: all bits, the sign included; a list for a format per channel or element.
        integer: bits before the point, the sign included; a number or a list.
        signed: two's complement or unsigned; a flag or a list.
        rounding: one of the seven modes of ``ap_fixed``.
        overflow: ``SAT``, ``SAT_SYM`` or ``WRAP``.
        in_buffers: read step and range from the buffers ``step``, ``low`` and ``high`` also if they are
            single numbers, so that they can be stacked and vmapped.

    Raises:
        QuantizerError: there is no such format.

    Example:
        >>> q = fixed(6, 1, rounding="TRN")
        >>> q(torch.tensor([0.049, -0.049, 9.0])).tolist(), str(q.format)
        ([0.03125, -0.0625, 0.96875], 'ap_fixed<6,1,TRN,SAT>')
    """

    leading = ("width", "integer")
    step: Tensor
    low: Tensor
    high: Tensor

    def __init__(
        self,
        width: Any = 8,
        integer: Any = 1,
        signed: Any = True,
        rounding: str = "RND_CONV",
        overflow: str = "SAT",
        *,
        in_buffers: bool = False,
    ) -> None:
        cls = type(self)
        try:
            grid = FixedPoint(
                _numbers(width), _numbers(integer), _numbers(signed), Rounding(rounding), Overflow(overflow)
            )
        except (FormatError, ValueError, TypeError) as wrong:
            raise cls.fault(str(wrong)) from None
        if np.any(np.asarray(grid.width) < (1 if grid.is_scalar else 0)):
            raise cls.fault(f"width must be at least 1, got {np.min(grid.width)}")
        super().__init__(
            width=_plain(grid.width),
            integer=_plain(grid.integer),
            signed=_plain(grid.signed),
            rounding=grid.rounding.value,
            overflow=grid.overflow.value,
            in_buffers=flag(cls, "in_buffers", in_buffers),
        )
        self.grid = grid
        self._saturates = grid.overflow is not Overflow.WRAP
        self._rounding = grid.rounding
        self._scalars = (grid.lsb, grid.code_min, grid.code_max) if grid.is_scalar else (0.0, 0.0, 0.0)
        self._in_buffers = bool(in_buffers) or not grid.is_scalar
        for name, value in (("step", grid.lsb), ("low", grid.code_min), ("high", grid.code_max)):
            tensor = torch.tensor(np.asarray(value, dtype=np.float64))
            self.register_buffer(name, tensor, persistent=False)

    @classmethod
    def of(cls, grid: FixedPoint) -> fixed:
        """The quantizer of a format."""
        return cls(grid.width, grid.integer, grid.signed, grid.rounding.value, grid.overflow.value)

    @classmethod
    def examples(cls) -> tuple[fixed, ...]:
        """Each rounding and overflow, per channel, with a pruned channel."""
        return (
            *(cls(6, 2, rounding=mode.value) for mode in Rounding),
            cls(5, 2, overflow="SAT_SYM"),
            cls(5, 2, overflow="WRAP"),
            cls(4, 0, signed=False),
            cls([4, 6, 0], [1, 2, 1]),
        )

    @property
    def format(self) -> FixedPoint:
        """The format itself."""
        return self.grid

    @property
    def bits(self) -> int:
        """The width of the widest value."""
        return int(np.max(self.grid.width))

    def transform(self, x: Tensor) -> Tensor:
        """See :class:`Quantizer`."""
        if self._blends:
            return super().transform(x)
        return self._grid(x)

    def surrogate(self, x: Tensor) -> Tensor:
        """The input inside the range, its ends outside; with ``WRAP`` the input."""
        if not self._saturates:
            return x
        step = self.step.to(x.dtype)
        return torch.clamp(x, self.low.to(x.dtype) * step, self.high.to(x.dtype) * step)

    def quantize(self, x: Tensor) -> Tensor:
        """The values that come out for ``x``."""
        return self._grid(x)

    def _grid(self, x: Tensor) -> Tensor:
        if not self._saturates:
            return self._wrapped(x)
        if not self._in_buffers:
            return fake_quantize(x, *self._scalars, rounding=self._rounding, saturate=True)
        low, high = self.low.to(x.dtype), self.high.to(x.dtype)
        return fake_quantize(x, self.step.to(x.dtype), low, high, rounding=self._rounding, saturate=True)

    def _wrapped(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            step, low = self.step.to(x.dtype), self.low.to(x.dtype)
            code = round_to_integer(x.detach() / step, self._rounding)
            q = wrapped(code, low, self.high.to(x.dtype) - low + 1) * step
        return straight_through(x, q)


def _numbers(value: Any) -> Any:
    return np.asarray(value) if isinstance(value, list | tuple) else value


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value
