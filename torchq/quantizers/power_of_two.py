"""``quantized_po2`` and ``quantized_relu_po2``: the nearest power of two, so that products are shifts."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from torchq.formats import PowerOfTwo
from torchq.quantizers.base import Quantizer, flag, real, whole
from torchq.quantizers.bits import signs
from torchq.quantizers.registry import register
from torchq.quantizers.relu import negative_power
from torchq.quantizers.rounding import uniform
from torchq.quantizers.scale import EPSILON

_SQRT2 = math.nextafter(math.sqrt(2.0), 0.0)
"""The largest double below the square root of two."""


@dataclass(frozen=True)
class Exponents:
    """Which exponents exist and how a magnitude finds its own.

    Args:
        low: smallest exponent code.
        high: largest exponent code.
        spread: exponents are ``spread`` times the code: 2 with QKeras's quadratic approximation.
        floor: take the exponent below; otherwise the nearest in the logarithm.
    """

    low: int
    high: int
    spread: int = 1
    floor: bool = False

    @classmethod
    def of(
        cls, quantizer: type[Quantizer], bits: int, max_value: float | None, quadratic: bool, floor: bool
    ) -> Exponents:
        """The ``2**bits`` exponents that ``bits`` bits hold, none above ``max_value``.

        One of the bits is the exponent's sign unless ``max_value`` is at most 1.

        Raises:
            QuantizerError: ``max_value`` is below all of them.
        """
        spread = 2 if quadratic else 1
        reach = 2 ** (bits - 1) if max_value is None or max_value > 1 else 2**bits
        low, high = -reach, reach - 1
        if quadratic:
            high = 2 * (high // 2)
        if max_value is not None:
            high = min(high, (math.frexp(max_value)[1] - 1) // spread)
        low = max(low, high - 2**bits + 1)
        if high < low:
            raise quantizer.fault(
                f"max_value {max_value:g} is below the smallest value {2.0 ** (low * spread):g}"
            )
        return cls(low, high, spread, floor)

    def code(self, x: Tensor, *, random: bool) -> Tensor:
        """The exponent code of each magnitude.

        The logarithm is taken from the float's own exponent and mantissa, so it is exact; the threshold of
        the nearest power of two is the square root of two, which no float is, so there are no ties but those
        of the quadratic approximation at odd powers of two (which go to the even code).

        Args:
            x: magnitudes, at least 0.
            random: take the power of two above with the probability that makes the expectation ``x``.
        """
        top = math.ldexp(1.0, min(self.high * self.spread, _largest(x.dtype)))
        mantissa, exponent = torch.frexp(torch.clamp(x, max=top))
        exponent = exponent.to(x.dtype) - 1  # x = 2 mantissa * 2**exponent, 1 <= 2 mantissa < 2
        if self.floor:
            code = torch.floor(exponent / self.spread)
        elif random:
            low = torch.floor(exponent / self.spread)
            below = torch.exp2(low * self.spread)
            above = torch.exp2((low + 1) * self.spread)
            code = torch.where(x < below + uniform(x) * (above - below), low, low + 1)
        elif self.spread == 1:
            code = torch.where(mantissa * 2 > _SQRT2, exponent + 1, exponent)
        else:
            half = exponent / 2
            code = torch.where(mantissa == 0.5, torch.round(half), torch.ceil(half))
        code = torch.where(x < EPSILON, float(self.low), code)
        return torch.clamp(code, self.low, self.high)

    def value(self, code: Tensor) -> Tensor:
        """The power of two of each code."""
        return torch.exp2(code * self.spread)

    def format(self, width: int, signed: bool) -> PowerOfTwo:
        """The number format of ``width`` bits with these exponents."""
        return PowerOfTwo(width, self.low * self.spread, self.high * self.spread, signed)


class _Po2(Quantizer):
    """What both share: the exponents, read from the same arguments."""

    def _read(self) -> None:
        config = self._config
        self._bits: int = config["bits"]
        self.max_value: float | None = config["max_value"]
        self.use_stochastic_rounding: bool = config["use_stochastic_rounding"]
        self.quadratic_approximation: bool = config["quadratic_approximation"]
        self.log2_rounding: str = config["log2_rounding"]

    def _magnitude(self, x: Tensor, exponents: Exponents) -> Tensor:
        return exponents.value(exponents.code(x, random=self.use_stochastic_rounding and self.training))

    def clip_bound(self) -> float:
        """The bound that QKeras clips the float weights to."""
        return max(1.0, self.max_value) if self.max_value else max(1.0, 2.0**self._high)

    _high: int


@register("quantized_po2")
class quantized_po2(_Po2):
    """Signed powers of two: ``sign(x) * 2**clip(round(log2|x|), low, high)``.

    There is no zero: 0 gives the smallest positive value. The gradient is one everywhere.

    Args:
        bits: the sign, the exponent's sign (unless ``max_value`` is at most 1) and the exponent.
        max_value: no value is larger than this.
        use_stochastic_rounding: in training, the power of two above with the probability that keeps the
            expectation (not with ``log2_rounding="floor"``).
        quadratic_approximation: even exponents only.
        log2_rounding: ``"rnd"``, the nearest exponent, or ``"floor"``, the one below.
        qnoise_factor: share of the quantized values in the result.
        var_name: read for QKeras's sake; nothing has variables here.
        use_ste: see :class:`Quantizer`.
        use_variables: read for QKeras's sake; the state always lives in buffers.

    Raises:
        QuantizerError: arguments that no such quantizer can have.

    Example:
        >>> q = quantized_po2(4)
        >>> q(torch.tensor([0.3, -5.0, 1e30, 0.0])).tolist(), str(q.format)
        ([0.25, -4.0, 8.0, 0.0625], 'po2<4,-4..3>')
    """

    leading = ("bits",)

    def __init__(
        self,
        bits: int = 8,
        max_value: float | None = None,
        use_stochastic_rounding: bool = False,
        quadratic_approximation: bool = False,
        log2_rounding: str = "rnd",
        qnoise_factor: float = 1.0,
        var_name: str | None = None,
        use_ste: bool = True,
        use_variables: bool = False,
    ) -> None:
        cls = type(self)
        super().__init__(
            bits=whole(cls, "bits", bits, 2),
            max_value=_limit(cls, max_value),
            use_stochastic_rounding=flag(cls, "use_stochastic_rounding", use_stochastic_rounding),
            quadratic_approximation=flag(cls, "quadratic_approximation", quadratic_approximation),
            log2_rounding=_rounding(cls, log2_rounding),
            qnoise_factor=qnoise_factor,
            var_name=var_name,
            use_ste=use_ste,
            use_variables=flag(cls, "use_variables", use_variables),
        )
        self._read()
        self.exponents = Exponents.of(
            cls, self._bits - 1, self.max_value, self.quadratic_approximation, self.log2_rounding == "floor"
        )
        self._high = self.exponents.high

    @classmethod
    def examples(cls) -> tuple[quantized_po2, ...]:
        """Free, bounded, even exponents, floored."""
        return cls(4), cls(4, 1.0), cls(5, quadratic_approximation=True), cls(4, 6.0, log2_rounding="floor")

    @property
    def bits(self) -> int:
        """The width of one value."""
        return self._bits

    @property
    def format(self) -> PowerOfTwo:
        """Signed powers of two."""
        return self.exponents.format(self._bits, signed=True)

    def quantize(self, x: Tensor) -> Tensor:
        """The values that come out for ``x``."""
        return signs(x) * self._magnitude(x.abs(), self.exponents)


@register("quantized_relu_po2")
class quantized_relu_po2(_Po2):
    """A relu and its power of two: ``2**clip(round(log2 x), low, high)``.

    There is no zero: what is not above it gives the smallest value. With a slope, negative inputs give
    negative powers of two, whose sign takes a bit more. The gradient is that of the relu, ended at
    ``max_value``.

    Args:
        bits: the exponent's sign (unless ``max_value`` is at most 1) and the exponent.
        max_value: no value is larger than this.
        negative_slope: slope below zero: 0 or a power of two.
        use_stochastic_rounding: in training, the power of two above with the probability that keeps the
            expectation (not with ``log2_rounding="floor"``).
        quadratic_approximation: even exponents only.
        log2_rounding: ``"rnd"``, the nearest exponent, or ``"floor"``, the one below.
        qnoise_factor: share of the quantized values in the result.
        var_name: read for QKeras's sake; nothing has variables here.
        use_ste: see :class:`Quantizer`.
        use_variables: read for QKeras's sake; the state always lives in buffers.

    Raises:
        QuantizerError: arguments that no such quantizer can have.

    Example:
        >>> q = quantized_relu_po2(3)
        >>> q(torch.tensor([0.3, -5.0, 1e30])).tolist(), str(q.format)
        ([0.25, 0.0625, 8.0], 'po2<3,-4..3>')
    """

    leading = ("bits",)

    def __init__(
        self,
        bits: int = 8,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        use_stochastic_rounding: bool = False,
        quadratic_approximation: bool = False,
        log2_rounding: str = "rnd",
        qnoise_factor: float = 1.0,
        var_name: str | None = None,
        use_ste: bool = True,
        use_variables: bool = False,
    ) -> None:
        cls = type(self)
        super().__init__(
            bits=whole(cls, "bits", bits, 1),
            max_value=_limit(cls, max_value),
            negative_slope=negative_power(cls, negative_slope),
            use_stochastic_rounding=flag(cls, "use_stochastic_rounding", use_stochastic_rounding),
            quadratic_approximation=flag(cls, "quadratic_approximation", quadratic_approximation),
            log2_rounding=_rounding(cls, log2_rounding),
            qnoise_factor=qnoise_factor,
            var_name=var_name,
            use_ste=use_ste,
            use_variables=flag(cls, "use_variables", use_variables),
        )
        self._read()
        self.negative_slope: float = self._config["negative_slope"]
        self.exponents = Exponents.of(
            cls, self._bits, self.max_value, self.quadratic_approximation, self.log2_rounding == "floor"
        )
        self._high = self.exponents.high

    @classmethod
    def examples(cls) -> tuple[quantized_relu_po2, ...]:
        """Free, bounded, leaky, even exponents."""
        return cls(3), cls(3, 1.0), cls(4, negative_slope=0.25), cls(4, quadratic_approximation=True)

    @property
    def bits(self) -> int:
        """The width of one value; with a slope the sign is counted."""
        return self._bits + int(self.negative_slope != 0)

    @property
    def format(self) -> PowerOfTwo:
        """Powers of two; signed with a slope."""
        return self.exponents.format(self.bits, signed=self.negative_slope != 0)

    def surrogate(self, x: Tensor) -> Tensor:
        """The relu, ended at ``max_value``."""
        slope = self.negative_slope
        y = F.leaky_relu(x, slope) if slope else F.relu(x)
        return y if self.max_value is None else torch.where(x <= self.max_value, y, self.max_value)

    def quantize(self, x: Tensor) -> Tensor:
        """The values that come out for ``x``."""
        positive = self._magnitude(F.relu(x), self.exponents)
        if not self.negative_slope:
            return torch.where(torch.isnan(x), x, positive)
        negative = self._magnitude(F.relu(-x) * self.negative_slope, self.exponents)
        return torch.where(torch.isnan(x), x, torch.where(x >= 0, positive, -negative))


def _largest(dtype: torch.dtype) -> int:
    """The exponent of the largest power of two of a dtype."""
    return math.frexp(torch.finfo(dtype).max)[1] - 1


def _limit(cls: type[Quantizer], value: float | None) -> float | None:
    if value is None:
        return None
    limit = real(cls, "max_value", value)
    if limit <= 0:
        raise cls.fault(f"max_value must be above 0, got {limit}")
    return limit


def _rounding(cls: type[Quantizer], value: str) -> str:
    if value not in ("rnd", "floor"):
        raise cls.fault(f"log2_rounding must be 'rnd' or 'floor', got {value!r}")
    return value
