"""What a Brevitas quantizer does, as numbers: bits, scale, sign, rounding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchq.brevitas.scaled_integer import scaled_integer
from torchq.errors import QuantizerError
from torchq.formats import FixedPoint, Overflow, Rounding
from torchq.quantizers import Quantizer
from torchq.quantizers.fixed import fixed

ROUNDINGS = {
    "ROUND": Rounding.RND_CONV,
    "FLOOR": Rounding.TRN,
    "ROUND_TO_ZERO": Rounding.TRN_ZERO,
}
"""Brevitas's rounding modes by ours; its ``ROUND`` is ``torch.round``, half to even."""


@dataclass(frozen=True)
class Grid:
    """``clamp(round(x / scale)) * scale``.

    Args:
        bits: width of the integers.
        scale: float64, one number or an array that broadcasts against the tensor.
        signed: two's complement, or unsigned.
        narrow: the most negative integer is not used.
        rounding: between the integers.
    """

    bits: int
    scale: NDArray[np.float64]
    signed: bool
    narrow: bool
    rounding: Rounding

    @property
    def odd_scale(self) -> float | None:
        """The first scale that is no power of two; None if all are."""
        mantissa = np.frexp(self.scale)[0]
        odd = self.scale[mantissa != 0.5]
        return float(odd.flat[0]) if odd.size else None

    def format(self) -> FixedPoint:
        """The fixed-point format, where :attr:`odd_scale` is None."""
        exponent: Any = np.frexp(self.scale)[1].astype(np.int64) - 1
        if exponent.size == 1 or (exponent == exponent.flat[0]).all():
            exponent = int(exponent.flat[0])
        overflow = Overflow.SAT_SYM if self.narrow and self.signed else Overflow.SAT
        return FixedPoint(self.bits, self.bits + exponent, self.signed, self.rounding, overflow)

    def quantizer(self) -> Quantizer:
        """Ours that does the same: ``fixed``, or :class:`scaled_integer` where a scale is no power of two."""
        if self.odd_scale is None:
            return fixed.of(self.format())
        scale = self.scale.tolist()
        return scaled_integer(self.bits, scale, self.signed, self.narrow, self.rounding.value)


def grid_of(proxy: Any, made: Any) -> Grid:
    """Read a Brevitas quantizer.

    Args:
        proxy: the layer's ``weight_quant``, ``bias_quant``, ``act_quant``, ...
        made: the tensor that it returned, with its scale and bits.

    Raises:
        QuantizerError: it is none of integers with a zero point of 0; the message goes on after the name of
            a place: ``"... is a TernaryQuant; ..."``.
    """
    inner = getattr(proxy, "fused_activation_quant_proxy", None)
    kind = type(inner.tensor_quant if inner is not None else proxy.tensor_quant).__name__
    if kind not in ("RescalingIntQuant", "PrescaledRestrictIntQuant") or "Dynamic" in type(proxy).__name__:
        shown = type(proxy).__name__ if "Dynamic" in type(proxy).__name__ else kind
        raise QuantizerError(f"is a {shown}", hint="only integer quantizers with a fixed scale have a format")
    if not hasattr(made, "scale"):
        raise QuantizerError("gave a tensor without a scale", hint="convert needs Brevitas's QuantTensor")
    if bool((made.zero_point != 0).any()):
        raise QuantizerError("has a zero point", hint="only symmetric quantizers have a fixed-point format")
    rounding = ROUNDINGS.get(str(proxy.rounding_mode).upper())
    if rounding is None:
        raise QuantizerError(
            f"rounds by {proxy.rounding_mode}",
            hint=f"ap_fixed has {', '.join(ROUNDINGS)} of Brevitas's modes",
        )
    signed, narrow = bool(proxy.is_signed), bool(proxy.is_narrow_range)
    if narrow and not signed:
        raise QuantizerError("is unsigned and narrow", hint="no ap_ufixed leaves out its largest value")
    scale = made.scale.detach().cpu().double().numpy()
    return Grid(int(made.bit_width), scale, signed, narrow, rounding)
