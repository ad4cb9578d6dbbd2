"""Our own reading of QONNX's operators, in numpy.

It shares no code with :mod:`torchq.formats` on purpose: it is the second reading that the first one is
compared with. The semantics are those of the QONNX operator definitions; halves are told apart by remainders
instead of by adding 0.5, which rounds just below a tie.
"""

from __future__ import annotations

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
