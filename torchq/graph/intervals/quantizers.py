"""The range of what a quantizer makes of a range.

A quantizer that never makes a smaller number of a larger one is asked at both ends, the hard swish, which has
a dip, at every code between. Elsewhere the range is that of the format. (So it is for real sigmoids and
hyperbolic tangents: how a library rounds them is not known to be monotone.)
"""

from __future__ import annotations

import numpy as np
import torch

from torchq.formats import FixedPoint, Overflow, in_steps, round_to_integer
from torchq.graph.intervals.codes import MANTISSA_BITS, magnitude_bits, to_codes
from torchq.graph.intervals.enumerated import between, codes_between
from torchq.graph.intervals.interval import Interval, full
from torchq.nn.types import fixed as fixed_format
from torchq.quantizers import QUANTIZERS, Quantizer

MONOTONE = (
    "fixed",
    "quantized_bits",
    "quantized_linear",
    "quantized_relu",
    "quantized_adaptive",
    "quantized_tanh",
    "quantized_sigmoid",
    "quantized_po2",
    "quantized_relu_po2",
    "binary",
    "ternary",
    "stochastic_binary",
    "stochastic_ternary",
    "bernoulli",
    "binary_tanh",
    "binary_sigmoid",
)
"""The quantizers that never make a smaller number of a larger one (in evaluation, with a given scale)."""

ENUMERATED = ("quantized_hswish",)
"""Those that are asked at every code: exact arithmetic, the same for all elements, and not monotone."""

MOST_CODES = 1 << 16
"""More codes than these are not looked at one by one."""

FAR = 900
"""Exponents beyond this are too near to the ends of float64."""


def quantized(x: Interval | None, quantizer: Quantizer | None, shape: tuple[int, ...]) -> Interval | None:
    """The range of ``quantizer(x)``; None where no fixed-point grid holds it.

    Args:
        x: None for anything.
        quantizer: in evaluation mode; None hands on what comes.
        shape: of one sample.

    Example:
        >>> from torchq.quantizers import parse
        >>> x = Interval(np.array([-40, 3]), np.array([9, 5]), 4)
        >>> y = quantized(x, parse("quantized_relu(4,1)"), (2,))
        >>> y.low.tolist(), y.high.tolist(), y.fraction
        ([0, 2], [4, 2], 3)
    """
    if quantizer is None:
        return x
    if not has_grid(quantizer):
        return None
    grid = full(quantizer.format, shape)
    if grid is None or x is None or not _within_floats(x) or not _plain(quantizer):
        return grid
    format = fixed_format(quantizer.format)
    if format is None or int(format.width) > MANTISSA_BITS:
        return grid
    if type(quantizer) is QUANTIZERS.get("fixed") and _wraps(x, quantizer.format):
        return grid
    if is_monotone(quantizer):
        return _at_the_ends(x, quantizer, grid.fraction)
    return _at_every_code(x, quantizer, grid) if _is(quantizer, ENUMERATED) else grid


def has_grid(quantizer: Quantizer) -> bool:
    """Whether all that it makes stands on one fixed-point grid, whatever comes."""
    auto = getattr(quantizer, "auto", False) and not getattr(quantizer, "freeze_scale", False)
    blended = float(quantizer.qnoise_factor) != 1.0
    return not auto and not blended and quantizer.hardware_reason() is None


def is_monotone(quantizer: Quantizer) -> bool:
    """Whether a larger number never becomes a smaller one, in evaluation."""
    asked = quantizer.config
    real = asked.get("sigmoid") == "real" or asked.get("use_real_tanh") or asked.get("use_real_sigmoid")
    squashes = _is(quantizer, ("quantized_tanh", "quantized_sigmoid")) or asked.get("use_sigmoid")
    return _is(quantizer, MONOTONE) and not (squashes and real)


def _is(quantizer: Quantizer, names: tuple[str, ...]) -> bool:
    """Whether it is one of those itself, and no subclass that may do something else."""
    return any(type(quantizer) is QUANTIZERS.get(name) for name in names)


def _plain(quantizer: Quantizer) -> bool:
    """Whether its scales lie along the last axes, however many stand before them."""
    return getattr(quantizer, "scale_axis", None) is None


def _at_the_ends(x: Interval, quantizer: Quantizer, fraction: int) -> Interval:
    ends = torch.from_numpy(np.stack(x.ends()))
    low, high = _asked(quantizer, ends).numpy()
    return Interval(to_codes(low, fraction), to_codes(high, fraction), fraction)


def _at_every_code(x: Interval, quantizer: Quantizer, grid: Interval) -> Interval:
    """For a quantizer that does the same to every element."""
    whole, format = x.over(), quantizer.format
    count = int(whole.high) - int(whole.low) + 1
    same = isinstance(format, FixedPoint) and format.is_scalar
    if count > MOST_CODES or magnitude_bits(whole.high) > MANTISSA_BITS or not same:
        return grid
    values = np.ldexp(codes_between(x).astype(np.float64), -x.fraction)
    made = _asked(quantizer, torch.from_numpy(values)[:, None]).numpy().reshape(-1)
    return between(to_codes(made, grid.fraction), grid.fraction, int(whole.low), x)


def _asked(quantizer: Quantizer, x: torch.Tensor) -> torch.Tensor:
    device = quantizer.qnoise_factor.device
    with torch.no_grad():
        made: torch.Tensor = quantizer(x.to(device))
    return made.to("cpu", torch.float64)


def _within_floats(x: Interval) -> bool:
    """Whether both ends are far from where float64 ends."""
    bits = max(magnitude_bits(x.low), magnitude_bits(x.high))
    return abs(x.fraction) < FAR and bits < FAR and abs(bits - x.fraction) < FAR


def _wraps(x: Interval, format: object) -> bool:
    """Whether a value may leave the range of a format that wraps, once it is rounded."""
    if not isinstance(format, FixedPoint) or format.overflow is not Overflow.WRAP:
        return False
    step = torch.as_tensor(np.asarray(format.lsb, dtype=np.float64))
    for end in x.ends():
        code = round_to_integer(in_steps(torch.from_numpy(end), step), format.rounding).numpy()
        if np.any(code < format.code_min) or np.any(code > format.code_max):
            return True
    return False
