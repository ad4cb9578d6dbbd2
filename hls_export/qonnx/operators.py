"""Our own reading of QONNX's operators, in numpy.

It shares no code with :mod:`torchq.formats` on purpose: it is the second reading that the first one is
compared with. The semantics are those of the QONNX operator definitions; halves are told apart by remainders
instead of by adding 0.5, which rounds just below a tie.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from torchq.errors import ExportError

Values = npt.NDArray[Any]


def quant(
    x: Values, scale: Values, zeropt: Values, bits: Values, signed: bool, narrow: bool, rounding: str
) -> Values:
    """QONNX's ``Quant``: scale, clip to the integers of these bits, round, scale back.

    Example:
        >>> scale, zeropt, bits = np.float64(0.25), np.float64(0), np.float64(4)
        >>> quant(np.array([0.3, -9.0]), scale, zeropt, bits, True, False, "ROUND").tolist()
        [0.25, -2.0]
    """
    code = x / scale + zeropt
    if signed and np.all(np.asarray(bits) == 1):
        code = np.where(code >= 0.0, 1.0, -1.0)
    else:
        span = np.exp2(np.asarray(bits, dtype=np.float64) - bool(signed))
        high = span - 1 - (bool(narrow) and not signed)
        low = (bool(narrow) - span) if signed else np.zeros_like(span)
        code = round_code(np.minimum(np.maximum(code, low), high), rounding)
    return np.asarray((code - zeropt) * scale)


def trunc(x: Values, scale: float, shift: int, back: float, rounding: str, limits: Any = None) -> Values:
    """QONNX's ``Trunc``: whole numbers of a scale, divided by ``2**shift``, limited, rounded, scaled back.

    Args:
        x: values.
        scale: of the whole numbers.
        shift: how many bits fall off.
        back: what the result is multiplied with.
        rounding: of the division.
        limits: has ``bits``, ``signed`` and ``narrow`` of the result; None for none.

    Example:
        >>> trunc(np.array([1.75, -1.75]), 0.25, 1, 0.5, "FLOOR").tolist()
        [1.5, -2.0]
    """
    code = np.rint(x / scale) / 2.0**shift
    if limits is not None:
        span = 2.0 ** (limits.bits - bool(limits.signed))
        high = span - 1 - (bool(limits.narrow) and not limits.signed)
        code = np.minimum(np.maximum(code, (bool(limits.narrow) - span) if limits.signed else 0.0), high)
    return np.asarray(round_code(code, rounding) * back)


def bipolar(x: Values, scale: Values) -> Values:
    """QONNX's ``BipolarQuant``: the sign, zero counting as positive, times the scale."""
    return np.asarray(np.where(x >= 0.0, 1.0, -1.0) * scale)


def batch_norm(
    x: Values, scale: Values, shift: Values, mean: Values, variance: Values, epsilon: float
) -> Values:
    """``BatchNormalization`` of inference, channels on axis 1.

    onnx's own evaluator uses the statistics of the batch for opsets 9 to 13.
    """
    shape = (-1, *(1,) * (x.ndim - 2))
    scale, shift, mean, variance = (v.reshape(shape) for v in (scale, shift, mean, variance))
    return np.asarray(scale * (x - mean) / np.sqrt(variance + epsilon) + shift)


def round_code(code: Values, mode: str) -> Values:
    """The rounding modes of QONNX by name.

    Raises:
        ExportError: no such mode.

    Example:
        >>> x = np.array([-1.5, -0.5, 0.5, 2.5])
        >>> {m: round_code(x, m).tolist() for m in ("ROUND", "HALF_UP")}
        {'ROUND': [-2.0, -0.0, 0.0, 2.0], 'HALF_UP': [-2.0, -1.0, 1.0, 3.0]}
    """
    whole, rest = np.fix(code), np.abs(code - np.fix(code))
    match mode.upper():
        case "ROUND" | "HALF_EVEN":
            return np.asarray(np.rint(code))
        case "FLOOR":
            return np.asarray(np.floor(code))
        case "CEIL":
            return np.asarray(np.ceil(code))
        case "DOWN":
            return np.asarray(whole)
        case "UP":
            return np.asarray(whole + np.sign(code) * (rest > 0))
        case "HALF_UP":
            return np.asarray(whole + np.sign(code) * (rest >= 0.5))
        case "HALF_DOWN":
            return np.asarray(whole + np.sign(code) * (rest > 0.5))
    raise ExportError(f"QONNX has no rounding mode {mode!r}")


def sigmoid(x: Values) -> Values:
    """``1 / (1 + exp(-x))``."""
    return np.asarray(1.0 / (1.0 + np.exp(-x)))


def softplus(x: Values) -> Values:
    """``log(1 + exp(x))``."""
    return np.asarray(np.logaddexp(0.0, x))


def softsign(x: Values) -> Values:
    """``x / (1 + |x|)``."""
    return np.asarray(x / (1.0 + np.abs(x)))


def elu(x: Values, alpha: float = 1.0) -> Values:
    """``x``, or ``alpha * (exp(x) - 1)`` below zero."""
    return np.asarray(np.where(x < 0, alpha * np.expm1(np.minimum(x, 0.0)), x))


def hard_sigmoid(x: Values, alpha: float = 0.2, beta: float = 0.5) -> Values:
    """``alpha * x + beta`` between 0 and 1."""
    return np.asarray(np.clip(alpha * x + beta, 0.0, 1.0))


def hard_swish(x: Values) -> Values:
    """``x * hard_sigmoid(x, 1 / 6, 1 / 2)``."""
    return np.asarray(x * hard_sigmoid(x, 1.0 / 6.0, 0.5))


def conv(
    x: Values,
    weight: Values,
    bias: Values | None,
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
    groups: int,
) -> Values:
    """``Conv``: one shifted product a point of the kernel.

    Args:
        x: ``[n, channels, *sizes]``.
        weight: ``[n_out, channels / groups, *kernel]``.
        bias: ``[n_out]`` or None.
        strides: one an axis.
        pads: as in ONNX: all before, then all after.
        dilations: one an axis.
        groups: groups of channels.
    """
    axes, kernel = len(strides), weight.shape[2:]
    wide = np.pad(x, [(0, 0), (0, 0), *zip(pads[:axes], pads[axes:], strict=True)])
    reach = [(k - 1) * d for k, d in zip(kernel, dilations, strict=True)]
    sizes = [(n - r - 1) // s + 1 for n, r, s in zip(wide.shape[2:], reach, strides, strict=True)]
    per_group, made = weight.shape[1], weight.shape[0] // groups
    total = np.zeros((len(x), groups, made, *sizes))
    for point in np.ndindex(*kernel):
        seen = wide[_shifted(point, dilations, strides, sizes)]
        split = seen.reshape(len(x), groups, per_group, *sizes)
        factors = weight[(..., *point)].reshape(groups, made, per_group)
        total += np.einsum("goc,ngc...->ngo...", factors, split)
    result = total.reshape(len(x), -1, *sizes)
    return result if bias is None else result + bias.reshape(-1, *(1,) * axes)


def conv_transpose(
    x: Values,
    weight: Values,
    bias: Values | None,
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
    output_padding: Sequence[int],
    groups: int,
) -> Values:
    """``ConvTranspose``: every value of the input adds the kernel, times itself, to the output.

    Args:
        x: ``[n, channels, *sizes]``.
        weight: ``[channels, n_out / groups, *kernel]``.
        bias: ``[n_out]`` or None.
        strides: one an axis.
        pads: what is cut off, as in ONNX: all before, then all after.
        dilations: one an axis.
        output_padding: how many places more there are at the end.
        groups: groups of channels.
    """
    axes, kernel = len(strides), weight.shape[2:]
    rows = zip(x.shape[2:], strides, kernel, dilations, output_padding, strict=True)
    sizes = [(n - 1) * s + (k - 1) * d + 1 + more for n, s, k, d, more in rows]
    made = weight.shape[1]
    total = np.zeros((len(x), groups, made, *sizes))
    split = x.reshape(len(x), groups, -1, *x.shape[2:])
    for point in np.ndindex(*kernel):
        factors = weight[(..., *point)].reshape(groups, -1, made)
        there = _shifted(point, dilations, strides, x.shape[2:])
        total[there] += np.einsum("gco,ngc...->ngo...", factors, split)
    ends = [n - after for n, after in zip(sizes, pads[axes:], strict=True)]
    inside: Any = (..., *(slice(before, end) for before, end in zip(pads[:axes], ends, strict=True)))
    result = np.asarray(total.reshape(len(x), -1, *sizes)[inside])
    return result if bias is None else np.asarray(result + bias.reshape(-1, *(1,) * axes))


def max_pool(
    x: Values,
    kernel: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
    sizes: Sequence[int],
) -> Values:
    """``MaxPool``: the largest of the values at the points of the window; ``sizes`` of the result."""
    axes = len(kernel)
    last = [
        max((k - 1) * d + (n - 1) * s + 1 - length - before, 0)
        for k, d, n, s, length, before in zip(
            kernel, dilations, sizes, strides, x.shape[2:], pads[:axes], strict=True
        )
    ]
    widths = [(0, 0), (0, 0), *zip(pads[:axes], last, strict=True)]
    wide = np.pad(x, widths, constant_values=-np.inf)
    seen = [wide[_shifted(p, dilations, strides, sizes)] for p in np.ndindex(*kernel)]
    return np.asarray(np.max(seen, axis=0))


def nearest(place: int, length: int, size: int, factor: float, start: str, rounding: str) -> int:
    """From which of ``length`` places ``Resize`` takes one of ``size`` places.

    Example:
        >>> [nearest(i, 2, 4, 2.0, "half_pixel", "round_prefer_floor") for i in range(4)]
        [0, 0, 1, 1]
    """
    match start:
        case "asymmetric":
            x = place / factor
        case "align_corners":
            x = place * (length - 1) / (size - 1) if size > 1 else 0.0
        case "half_pixel" | "pytorch_half_pixel":
            x = (place + 0.5) / factor - 0.5
            x = 0.0 if size == 1 and start == "pytorch_half_pixel" else x
        case _:
            raise ExportError(f"Resize ({start}) is not executed")
    low = math.floor(x)
    rest = x - low
    match rounding:
        case "floor":
            found = low
        case "ceil":
            found = low + (rest > 0)
        case "round_prefer_ceil":
            found = low + (rest >= 0.5)
        case _:
            found = low + (rest > 0.5)
    return int(min(max(found, 0), length - 1))


def _shifted(
    point: Sequence[int], dilations: Sequence[int], strides: Sequence[int], sizes: Sequence[int]
) -> Any:
    """Where one point of the kernel falls, at all places of the window."""
    starts = [p * d for p, d in zip(point, dilations, strict=True)]
    rows = zip(starts, strides, sizes, strict=True)
    return (..., *(slice(start, start + (n - 1) * s + 1, s) for start, s, n in rows))
