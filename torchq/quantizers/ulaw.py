"""``quantized_ulaw``: levels that are dense around zero, by the u-law of telephony."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from torchq.formats import Float
from torchq.quantizers.base import Quantizer, flag, real, whole
from torchq.quantizers.registry import register
from torchq.quantizers.sigmoids import SIGMOIDS, sigmoid_kind


@register("quantized_ulaw")
class quantized_ulaw(Quantizer):
    """``sign(r) log(1 + u |r|) / log(1 + u)`` of an evenly quantized ``r = 2 sigmoid(x) - 1``.

    ``x`` and the result are in units of ``2**integer``. The levels are real numbers on no fixed-point grid.
    The gradient is that of the formula; at ``r = 0`` its limit.

    Args:
        bits: all bits, the sign included.
        integer: bits before the point, the sign excluded.
        symmetric: the most negative level is as far from zero as the most positive one.
        u: how strongly the levels gather around zero.
        sigmoid: ``"hard"``, ``"smooth"`` or ``"real"``.

    Raises:
        QuantizerError: arguments that no such quantizer can have.

    Example:
        >>> q = quantized_ulaw(3, u=15.0)
        >>> q(torch.tensor([0.0, 0.5, -9.0])).tolist()
        [0.0, 0.75, -1.0]
    """

    leading = ("bits", "integer")

    def __init__(
        self,
        bits: int = 8,
        integer: int = 0,
        symmetric: bool = False,
        u: float = 255.0,
        *,
        sigmoid: str = "hard",
    ) -> None:
        cls = type(self)
        super().__init__(
            bits=whole(cls, "bits", bits, 1),
            integer=whole(cls, "integer", integer),
            symmetric=flag(cls, "symmetric", symmetric),
            u=real(cls, "u", u),
            sigmoid=sigmoid_kind(cls, sigmoid),
        )
        self._bits: int = self._config["bits"]
        self.integer: int = self._config["integer"]
        self.symmetric: bool = self._config["symmetric"]
        self.u: float = self._config["u"]
        if self.u <= 0:
            raise self.fault(f"u must be above 0, got {self.u}")
        self._levels: float = 2.0 ** (self._bits - 1)
        self._unit: float = 2.0**self.integer
        self._sigmoid = SIGMOIDS[sigmoid]

    @classmethod
    def examples(cls) -> tuple[quantized_ulaw, ...]:
        """Two laws."""
        return cls(6, 0), cls(4, 1, symmetric=True, u=16.0, sigmoid="real")

    @property
    def bits(self) -> int:
        """The width of one code."""
        return self._bits

    @property
    def format(self) -> Float:
        """No grid: a float."""
        return Float()

    def hardware_reason(self) -> str:
        """The levels of the u-law are logarithms."""
        return (
            f"{self}: the levels of the u-law are logarithms, so no fixed-point grid holds them; "
            "take quantized_tanh, or quantized_bits behind it"
        )

    def transform(self, x: Tensor) -> Tensor:
        """See :class:`Quantizer`."""
        ratio = 2.0 * self._sigmoid(x / self._unit) - 1.0
        with torch.no_grad():
            m, total = self._levels, math.log1p(self.u)
            r = 2.0 * (torch.round(self._sigmoid(x.detach() / self._unit) * m) / m) - 1.0
            size = 1.0 + self.u * r.abs()
            law = torch.sign(r) * torch.log(size) / total
            bounded = torch.clamp(law, -1.0 + float(self.symmetric) / m, 1.0 - 1.0 / m)
            slope = torch.where(law == bounded, self._unit * self.u / (size * total), 0.0)
            q = torch.where(torch.isnan(x), x, self._unit * bounded)
        return self.combine(slope * ratio, q)

    def max(self) -> float:
        """The largest level."""
        return self._unit * (1.0 - 1.0 / self._levels)

    def min(self) -> float:
        """The smallest level."""
        return self._unit * (-1.0 + float(self.symmetric) / self._levels)

    def clip_bound(self) -> float:
        """The bound that QKeras clips to: ``max(1, 2**integer)``."""
        return max(1.0, self._unit) if self._bits > 1 else 1.0
