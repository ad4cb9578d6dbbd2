"""Our operators as onnx's reference evaluator wants them: one class for each name and domain.

QONNX's own are unknown there; ``BatchNormalization`` uses the batch's statistics for opsets 9 to 13, and
convolutions and pools take minutes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np

from hls_export.qonnx import operators
from hls_export.qonnx.elementwise import FUNCTIONS, computed
from hls_export.qonnx.quant import CHANNELS_LAST, DOMAINS
from torchq.errors import ExportError


@cache
def evaluator_operators() -> tuple[Any, ...]:
    """The classes to hand to ``onnx.reference.ReferenceEvaluator(new_ops=...)``."""
    from onnx.reference.op_run import OpRun

    quants = [(domain, name, run) for domain in DOMAINS for name, run in _QUANTS.items()]
    standard = [("", name, run) for name, run in _STANDARD.items()]
    last = [(CHANNELS_LAST, name, _channels_last(_STANDARD[name])) for name in _CHANNELS_LAST]
    return tuple(
        type(name, (OpRun,), {"op_domain": domain, "_run": run})
        for domain, name, run in [*quants, *standard, *last]
    )


def _word(op: Any, attributes: dict[str, Any], name: str, default: Any) -> Any:
    """An attribute as the evaluator hands it over: by name, on the object, or not at all."""
    value = attributes.get(name)
    value = getattr(op, name, None) if value is None else value
    value = default if value is None else value
    return value.decode() if isinstance(value, bytes) else value


def _quant(self: Any, x: Any, scale: Any, zeropt: Any, bits: Any, **attributes: Any) -> tuple[Any]:
    signed, narrow = (bool(_word(self, attributes, *w)) for w in (("signed", 1), ("narrow", 0)))
    rounding = _word(self, attributes, "rounding_mode", "ROUND")
    return (operators.quant(x, scale, zeropt, bits, signed, narrow, rounding),)


def _bipolar(self: Any, x: Any, scale: Any) -> tuple[Any]:  # noqa: ARG001
    return (operators.bipolar(x, scale),)


def _trunc(
    self: Any, x: Any, scale: Any, zeropt: Any, bits: Any, *rest: Any, **attributes: Any
) -> tuple[Any]:
    if np.any(np.asarray(zeropt) != 0):
        raise ExportError("a Trunc with a zero-point is not executed")
    rounding = _word(self, attributes, "rounding_mode", "FLOOR")
    scale = float(np.ravel(scale)[0])
    if len(rest) == 1:
        shift = int(np.ravel(bits)[0] - np.ravel(rest[0])[0])
        return (operators.trunc(x, scale, shift, scale, rounding),)
    back = float(np.ravel(rest[0])[0])
    signed, narrow = (bool(_word(self, attributes, *w)) for w in (("signed", 1), ("narrow", 0)))
    limits = SimpleNamespace(bits=float(np.ravel(rest[1])[0]), signed=signed, narrow=narrow)
    shift = int(np.rint(np.log2(back / scale)))
    return (operators.trunc(x, scale, shift, back, rounding, limits),)


def _batch_norm(
    self: Any, x: Any, scale: Any, shift: Any, mean: Any, variance: Any, **attributes: Any
) -> tuple[Any]:
    small = _word(self, attributes, "epsilon", 1e-5)
    return (operators.batch_norm(x, scale, shift, mean, variance, small),)


def _conv(self: Any, x: Any, weight: Any, bias: Any = None, **attributes: Any) -> tuple[Any]:
    strides, dilations, pads = _geometry(self, attributes, x, weight.shape[2:])
    groups = int(_word(self, attributes, "group", 1))
    return (operators.conv(x, weight, bias, strides, pads, dilations, groups),)


def _conv_transpose(self: Any, x: Any, weight: Any, bias: Any = None, **attributes: Any) -> tuple[Any]:
    axes = weight.ndim - 2
    strides, dilations, pads = _geometry(self, attributes, x, weight.shape[2:])
    more = _word(self, attributes, "output_padding", None) or [0] * axes
    groups = int(_word(self, attributes, "group", 1))
    return (operators.conv_transpose(x, weight, bias, strides, pads, dilations, more, groups),)


def _max_pool(self: Any, x: Any, **attributes: Any) -> tuple[Any]:
    kernel = _word(self, attributes, "kernel_shape", None)
    strides, dilations, pads = _geometry(self, attributes, x, kernel)
    up = bool(_word(self, attributes, "ceil_mode", 0))
    axes = len(kernel)
    sizes = []
    for i, (k, d, s) in enumerate(zip(kernel, dilations, strides, strict=True)):
        free = x.shape[2 + i] + pads[i] + pads[axes + i] - (k - 1) * d - 1
        count = -(-free // s) + 1 if up else free // s + 1
        last_starts_beside = up and (count - 1) * s >= x.shape[2 + i] + pads[i]
        sizes.append(count - last_starts_beside)
    return (operators.max_pool(x, kernel, strides, pads, dilations, sizes),)


def _geometry(op: Any, attributes: dict[str, Any], x: Any, kernel: Any) -> tuple[Any, Any, Any]:
    axes = len(kernel)
    strides = _word(op, attributes, "strides", None) or [1] * axes
    dilations = _word(op, attributes, "dilations", None) or [1] * axes
    pads = _word(op, attributes, "pads", None) or [0] * 2 * axes
    auto = str(_word(op, attributes, "auto_pad", "NOTSET") or "NOTSET")
    if auto.startswith("SAME"):
        rows = zip(x.shape[2:], kernel, strides, dilations, strict=True)
        totals = [max((int(np.ceil(n / s)) - 1) * s + (k - 1) * d + 1 - n, 0) for n, k, s, d in rows]
        small, large = [t // 2 for t in totals], [t - t // 2 for t in totals]
        pads = small + large if auto == "SAME_UPPER" else large + small
    return strides, dilations, [0] * 2 * axes if auto == "VALID" else pads


def _quantize_linear(self: Any, x: Any, scale: Any, zero: Any = None, **attributes: Any) -> tuple[Any]:
    zero = np.zeros((), dtype=np.uint8) if zero is None else zero
    info = np.iinfo(zero.dtype)
    scale, shift = (_along(self, attributes, v, x.ndim) for v in (scale, zero.astype(np.float64)))
    codes = np.clip(np.rint(x / scale) + shift, info.min, info.max)
    return (codes.astype(zero.dtype),)


def _dequantize_linear(self: Any, x: Any, scale: Any, zero: Any = None, **attributes: Any) -> tuple[Any]:
    zero = np.zeros(()) if zero is None else zero
    scale, shift = (_along(self, attributes, np.asarray(v, np.float64), x.ndim) for v in (scale, zero))
    return ((x.astype(np.float64) - shift) * scale,)


def _along(op: Any, attributes: dict[str, Any], values: Any, axes: int) -> Any:
    """Numbers along the operator's axis."""
    if np.size(values) == 1:
        return np.reshape(values, ())
    shape = [1] * axes
    shape[int(_word(op, attributes, "axis", 1))] = -1
    return np.reshape(values, shape)


def _gather(self: Any, x: Any, indices: Any, **attributes: Any) -> tuple[Any]:
    """The evaluator's own fails for indices that do not lie in memory one after the other."""
    return (np.take(x, indices, axis=int(_word(self, attributes, "axis", 0))),)


def _resize(
    self: Any, x: Any, roi: Any = None, scales: Any = None, sizes: Any = None, **attributes: Any
) -> tuple[Any]:
    """Nearest values; onnx's own takes minutes, stumbles over an empty region, and resizes the batch."""
    start = str(_word(self, attributes, "coordinate_transformation_mode", "half_pixel"))
    nearest = str(_word(self, attributes, "nearest_mode", "round_prefer_floor"))
    if scales is None and sizes is None:
        scales, start, nearest = roi, "asymmetric", "floor"  # opset 10 has no region
    mode = _word(self, attributes, "mode", "nearest")
    if mode != "nearest":
        raise ExportError(f"Resize ({mode}) is not executed")
    for axis in range(1, x.ndim):
        length = x.shape[axis]
        if scales is not None and np.size(scales):
            factor = float(scales[axis])
            size = int(np.floor(length * factor))
        else:
            size = int(sizes[axis])
            factor = size / length
        places = [operators.nearest(i, length, size, factor, start, nearest) for i in range(size)]
        x = np.take(x, places, axis=axis)
    return (x,)


def _cast(self: Any, x: Any, **attributes: Any) -> tuple[Any]:
    """Another type; the float types that hold all of ours stay float64."""
    from onnx import TensorProto, helper

    to = int(_word(self, attributes, "to", TensorProto.FLOAT))
    if to in (TensorProto.FLOAT, TensorProto.DOUBLE):
        return (np.asarray(x).astype(np.float64),)
    return (np.asarray(x).astype(helper.tensor_dtype_to_np_dtype(to)),)


_TABLES = (
    "Elu",
    "Erf",
    "Gelu",
    "HardSigmoid",
    "HardSwish",
    "LeakyRelu",
    "Mish",
    "Sigmoid",
    "Softplus",
    "Softsign",
)
"""Operators that the reading of tables and this one share, to the last bit."""


def _elementwise(kind: str) -> Callable[..., tuple[Any]]:
    """A function of one value, with its numbers."""

    def run(self: Any, *parts: Any, **attributes: Any) -> tuple[Any]:
        names = FUNCTIONS[kind][1]
        given = {name: _word(self, attributes, name, value) for name, value in names.items()}
        return (computed(kind, given, list(parts)),)

    return run


def _channels_last(run: Callable[..., tuple[Any]]) -> Callable[..., tuple[Any]]:
    """An operator whose first input and output have their channels behind the sizes."""

    def turned(self: Any, x: Any, *rest: Any, **attributes: Any) -> tuple[Any]:
        (y,) = run(self, np.moveaxis(x, -1, 1), *rest, **attributes)
        return (np.moveaxis(y, 1, -1),)

    return turned


_QUANTS: dict[str, Callable[..., tuple[Any]]] = {
    "Quant": _quant,
    "IntQuant": _quant,
    "BipolarQuant": _bipolar,
    "Trunc": _trunc,
}
_STANDARD: dict[str, Callable[..., tuple[Any]]] = {
    "BatchNormalization": _batch_norm,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "DequantizeLinear": _dequantize_linear,
    "Gather": _gather,
    "MaxPool": _max_pool,
    "QuantizeLinear": _quantize_linear,
    "Resize": _resize,
    "Cast": _cast,
    **{kind: _elementwise(kind) for kind in _TABLES},
}
_CHANNELS_LAST = ("BatchNormalization", "Conv", "MaxPool")
