"""Constants in units of their own: weights keep their codes, and lose the rest of their scale."""

from __future__ import annotations

from typing import Any

import numpy as np

from hls_export.qonnx import operators
from hls_export.qonnx.constants import RULES, Constant, along, foldable, type_range
from hls_export.qonnx.load import Op
from hls_export.qonnx.quant import read_words
from hls_export.qonnx.rescale.plan import Plan, powers
from torchq.errors import ExportError
from torchq.formats import FixedPoint

_MOVES = (
    "Expand",
    "Flatten",
    "Gather",
    "Identity",
    "Reshape",
    "Slice",
    "Squeeze",
    "Tile",
    "Transpose",
    "Unsqueeze",
)


def fold(plan: Plan, op: Op) -> bool:
    """Whether an operator makes a constant; it is added, as it is held, and its factor."""
    if not foldable(op, plan.constants):
        return False
    if op.kind in ("Quant", "IntQuant"):
        _quant(plan, op)
    elif op.kind == "BipolarQuant":
        scale = plan.true(op.inputs[1])
        _hold(plan, op, operators.bipolar(plan.true(op.inputs[0]), scale), scale, 2, 2, signed=True)
    elif op.kind == "DequantizeLinear":
        _dequantized(plan, op)
    else:
        _computed(plan, op)
    return True


def _quant(plan: Plan, op: Op) -> None:
    values, scale, zeropt, bits = (plan.true(name) for name in op.inputs)
    if np.any(zeropt != 0):
        raise ExportError(
            f"{op} has a zero-point, and fixed-point numbers have none", hint="quantize symmetrically"
        )
    word = read_words(str(op), bits, dict(op.attributes))
    found = operators.quant(values, scale, zeropt, bits, word.signed, word.narrow, word.rounding)
    width = max(word.bits, 2) if word.signed else word.bits
    _hold(plan, op, found, scale, width, width, signed=word.signed)


def _dequantized(plan: Plan, op: Op) -> None:
    codes = plan.constants[op.inputs[0]]
    low, high = type_range(op, codes.type)
    zeros = plan.true(op.inputs[2]) if len(op.inputs) > 2 and op.inputs[2] else np.zeros(())
    scale = along(op, plan.true(op.inputs[1]), codes.values.ndim)
    shifted = np.asarray(codes.values, dtype=np.float64) - along(op, zeros, codes.values.ndim)
    width = (high - low).bit_length() + int(bool(np.any(zeros != 0)))
    _hold(plan, op, shifted * scale, scale, width, width, signed=low < 0 or bool(np.any(zeros != 0)))


def _hold(plan: Plan, op: Op, values: Any, scale: Any, width: int, bits: int, *, signed: bool) -> None:
    """A quantized constant: its codes times a power of two are written; the rest is its factor."""
    rest, power = powers(op, scale)
    codes = np.rint(np.asarray(values) / scale)
    held = codes * np.exp2(power)
    single = np.ndim(power) == 0 or np.size(power) == 1
    exact = np.asarray(power).reshape(()) if single else np.asarray(power)
    integer: Any = int(exact) + width if single else exact + width
    grid = FixedPoint(
        width if single else np.full(exact.shape, width),
        integer,
        signed if single else np.full(exact.shape, signed),
    )
    output = op.outputs[0]
    words = {"signed": int(signed), "narrow": 0, "rounding_mode": "ROUND"}
    plan.quant(plan.number(held, op.name), exact, bits, output, op.name, words)
    plan.constants[output] = Constant(held, grid)
    if not np.all(rest == 1.0):
        plan.constant_factors[output] = np.broadcast_to(rest, held.shape)


def _computed(plan: Plan, op: Op) -> None:
    sources = [plan.constants[name] if name else None for name in op.inputs]
    name, output = op.inputs[0] if op.inputs else "", op.outputs[0]
    factors = plan.constant_factors.get(name)
    if factors is not None and op.kind in _MOVES:
        plan.constants[output] = RULES[op.kind](op, sources)
        plan.constant_factors[output] = RULES[op.kind](op, [Constant(factors), *sources[1:]]).values
        plan.copy(op)
        return
    true = [
        Constant(plan.true(n), type=plan.constants[n].type) if n in plan.constant_factors else s
        for n, s in zip(op.inputs, sources, strict=True)
    ]
    made = RULES[op.kind](op, true)
    plan.constants[output] = Constant(made.values, made.grid, made.type or plan.file.types.get(output, ""))
    plan.literal(output)
