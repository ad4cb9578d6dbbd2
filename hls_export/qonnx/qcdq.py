"""``QuantizeLinear``, perhaps ``Clip``, ``DequantizeLinear``: a quantizer that is said in three operators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from hls_export.qonnx.constants import Constant, type_range
from hls_export.qonnx.load import Op
from hls_export.qonnx.quant import DOMAIN
from torchq.errors import ExportError


def merge_qcdq(ops: list[Op], constants: dict[str, Constant]) -> list[Op]:
    """The operators with one ``Quant`` in the place of every such group; its constants are added.

    Args:
        ops: in order.
        constants: what is known; grows.

    Raises:
        ExportError: a zero-point, codes that no fixed-point format has, or one of the operators alone.
    """
    makers = {op.outputs[0]: op for op in ops if op.outputs}
    gone: set[str] = set()
    merged: dict[str, Op] = {}
    for op in ops:
        if op.kind != "DequantizeLinear":
            continue
        clip = makers.get(op.inputs[0])
        first = makers.get(clip.inputs[0]) if clip is not None and clip.kind == "Clip" else clip
        if clip is None or first is None or first.kind != "QuantizeLinear":
            raise ExportError(f"{op} has no QuantizeLinear in front of it")
        merged[op.outputs[0]] = _quant(first, clip if clip is not first else None, op, constants)
        gone |= {first.outputs[0], clip.outputs[0]}
    return [merged.get(op.outputs[0], op) for op in ops if op.outputs[0] not in gone]


def _quant(first: Op, clip: Op | None, last: Op, constants: dict[str, Constant]) -> Op:
    scale, back = (_constant(op, 1, constants) for op in (first, last))
    zeros = [_constant(op, 2, constants) for op in (first, last) if len(op.inputs) > 2 and op.inputs[2]]
    shifts = {int(v) for zero in zeros for v in np.ravel(zero.values)} or {0}
    if len(zeros) == 1:
        shifts.add(0)
    if len(shifts) > 1:
        raise ExportError(f"{first} and {last} have different zero-points", hint="use one for the tensor")
    (zero,) = shifts
    if not np.array_equal(scale.values, back.values):
        raise ExportError(f"{first} and {last} have different scales")
    low, high = type_range(first, zeros[0].type if zeros else "uint8")
    if clip is not None:
        ends = [
            _constant(clip, i, constants).values for i in (1, 2) if len(clip.inputs) > i and clip.inputs[i]
        ]
        low, high = max(low, int(np.ravel(ends[0])[0])), min(high, int(np.ravel(ends[-1])[0]))
    low, high = low - zero, high - zero
    bits = (high + 1).bit_length() - 1 + (low < 0)
    if (1 << (bits - (low < 0))) != high + 1 or low not in (0, -high, -high - 1):
        what = f"{first} has codes from {low} to {high}" + (f" around its zero-point {zero}" if zero else "")
        raise ExportError(f"{what}, which no fixed-point format has", hint="quantize symmetrically")
    name = last.outputs[0]
    factors = scale.values if scale.values.size == 1 else _batched(first, scale)
    attributes: dict[str, object] = {}
    if scale.values.size > 1:
        attributes["qcdq_axis"] = int(first.attributes.get("axis", 1))
    for part, values in (("scale", factors), ("zeropt", 0.0), ("bits", float(bits))):
        constants[f"{name}.{part}"] = Constant(np.asarray(values, dtype=np.float64))
    attributes |= {
        "signed": int(low < 0),
        "narrow": int(low == -high and low < 0),
        "rounding_mode": "ROUND",
    }
    inputs = (first.inputs[0], f"{name}.scale", f"{name}.zeropt", f"{name}.bits")
    return replace(first, kind="Quant", domain=DOMAIN, inputs=inputs, outputs=(name,), attributes=attributes)


def _batched(op: Op, scale: Constant) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """One scale a place of an axis, in the shape of a batch of as many axes as are behind it."""
    axis = int(op.attributes.get("axis", 1))
    if axis == 0:
        raise ExportError(f"{op} has scales along the batch axis")
    values = np.asarray(scale.values, dtype=np.float64)
    return values.reshape(-1, *(1,) * (-axis - 1)) if axis < 0 else values.reshape((1,) * axis + (-1,))


def _constant(op: Op, place: int, constants: Mapping[str, Constant]) -> Constant:
    if len(op.inputs) <= place or op.inputs[place] not in constants:
        if len(op.inputs) <= place:
            raise ExportError(f"{op} has no bound at both ends", hint="clip to the codes of a format")
        raise ExportError(f"{op} takes {op.inputs[place]!r}, which is no constant")
    return constants[op.inputs[place]]
