"""What becomes of each operator when its tensors are held in units of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hls_export.qonnx.batch_norm import scale_and_shift
from hls_export.qonnx.elementwise import FUNCTIONS
from hls_export.qonnx.load import Op
from hls_export.qonnx.rescale import moves
from hls_export.qonnx.rescale.plan import Plan, Rounded, powers
from hls_export.qonnx.rescale.tracked import Array, one, rounded, split
from torchq.errors import ExportError

Rule = Callable[[Plan, Op], None]

_GUARD = 6
"""The raw input is rounded to so many bits fewer than multipliers have, behind those of its quantizer."""


def rewrite(plan: Plan, op: Op) -> None:
    """Write one operator of the file on held values.

    Raises:
        ExportError: its factors cannot be taken out.
    """
    rule = _RULES.get(op.kind) or (moves.function if op.kind in FUNCTIONS else None)
    if rule is not None and op.outputs[0] in plan.shapes:
        rule(plan, op)
        return
    if any(not one(plan.factors.get(name, np.ones(()))) for name in op.inputs) and op.kind != "Shape":
        raise ExportError(
            f"{op} reads numbers whose scale is no power of two",
            hint="put a Quant of such a scale in front of it",
        )
    plan.copy(op)
    plan.factors.update({name: np.ones(()) for name in op.outputs if name})


# ---------------------------------------------------------------------- quantizers


def _quant(plan: Plan, op: Op) -> None:
    scale, zeropt, bits = (plan.true(name) for name in op.inputs[1:4])
    if np.any(zeropt != 0):
        raise ExportError(
            f"{op} has a zero-point, and fixed-point numbers have none", hint="quantize symmetrically"
        )
    rank = len(plan.shape(op.outputs[0]))
    if op.attributes.get("qcdq_axis", 0) > 0:
        scale = scale.reshape(scale.shape[1:] + (1,) * (rank + 1 - scale.ndim))
    rest, power = powers(op, plan.per_channel(op, scale, rank))
    factor, name = plan.factor(op), plan.held(op)
    words = {"signed": 1, "narrow": 0, "rounding_mode": "ROUND", **op.attributes}
    words.pop("qcdq_axis", None)
    if not one(factor / rest):
        if name in plan.raw:
            name = _fine(plan, op, np.asarray(power), float(bits.flat[0]), bool(words["signed"]))
        name = plan.scaled(name, np.asarray(factor / rest), op, "units")
    power = power[None] if np.ndim(power) else power
    plan.quant(name, power, float(bits.flat[0]), op.outputs[0], op.name, words)
    plan.factors[op.outputs[0]] = np.asarray(rest)


def _fine(plan: Plan, op: Op, power: Any, bits: float, signed: bool) -> str:
    """The raw input on a grid that is finer and wider than the one of its quantizer."""
    more = max(plan.bits - _GUARD, 2)
    name = plan.fresh(f"{op.name}.input")
    words = {"signed": int(signed), "narrow": 0, "rounding_mode": "ROUND"}
    finer = power - more
    return plan.quant(plan.held(op), finer[None] if finer.ndim else finer, bits + 1 + more, name, name, words)


def _bipolar(plan: Plan, op: Op) -> None:
    plan.factor(op)
    scale = plan.per_channel(op, plan.true(op.inputs[1]), len(plan.shape(op.outputs[0])))
    rest, power = powers(op, scale)
    step = plan.number(np.exp2(power[None] if power.ndim else power), f"{op.name}.scale")
    plan.add("BipolarQuant", [plan.held(op), step], op.outputs[0], op.name, op.domain)
    plan.factors[op.outputs[0]] = rest


def _trunc(plan: Plan, op: Op) -> None:
    scale = plan.true(op.inputs[1])
    if scale.size != 1:
        raise ExportError(f"{op} has numbers that differ by channel", hint="use one for the tensor")
    rest, power = powers(op, scale.reshape(()))
    name, factor = plan.uniform(op)
    if not one(factor / rest):
        name = plan.scaled(name, factor / rest, op, "units")
    inputs = [name, plan.number(np.exp2(power), f"{op.name}.scale"), *op.inputs[2:]]
    if len(op.inputs) == 6:
        shift = np.rint(np.log2(plan.true(op.inputs[4]).reshape(()) / scale.reshape(())))
        inputs[4] = plan.number(np.exp2(power + shift), f"{op.name}.back")
        rest = plan.true(op.inputs[4]).reshape(()) / np.exp2(power + shift)
    plan.copy(op, inputs)
    plan.factors[op.outputs[0]] = np.asarray(rest)


# ---------------------------------------------------------------------- products with weights


def _weighted(plan: Plan, op: Op) -> None:
    """A matrix product or convolution: the factors of its outputs are those of input and weight."""
    transposed = op.kind == "ConvTranspose"
    if not plan.is_constant(op, 1):
        if op.kind != "MatMul" or plan.is_constant(op, 0):
            raise ExportError(f"{op} takes its weight from {op.inputs[1]!r}, which is no constant")
        names, made = _both(plan, op)
        plan.copy(op, names)
        plan.factors[op.outputs[0]] = made
        return
    groups = int(op.attributes.get("group", 1))
    weight = plan.constants[op.inputs[1]].values
    depthwise = op.kind == "Conv" and groups == weight.shape[0] and weight.shape[1] == 1
    if depthwise and plan.factor(op).ndim:
        name, factor = plan.held(op), plan.factor(op)
    else:
        name, factor = plan.uniform(op)
    gemm = op.kind == "Gemm" and bool(op.attributes.get("transB", 0))
    axis = {"MatMul": -1, "Gemm": 0 if gemm else -1, "Conv": 0, "ConvTranspose": 1}[op.kind]
    its = moves.outputs_of(op, plan.constant_factors.get(op.inputs[1], np.ones(())), np.shape(weight), axis)
    if transposed and groups > 1:
        its = np.tile(its, groups) if its.ndim else its
    rank = len(plan.shape(op.outputs[0]))
    along = (-1, *(1,) * (rank - 1)) if op.kind.startswith("Conv") else (*(1,) * (rank - 1), -1)
    made = np.asarray(factor * (its.reshape(along) if its.ndim else its))
    inputs = [name, *op.inputs[1:]]
    if len(op.inputs) > 2 and op.inputs[2]:
        flat = made.reshape(-1) if made.ndim else made
        values = plan.true(op.inputs[2])
        inputs[2] = _addend(plan, op, op.inputs[2], values if values.ndim == 0 else values.reshape(-1), flat)
    plan.copy(op, inputs)
    plan.factors[op.outputs[0]] = made


def _both(plan: Plan, op: Op) -> tuple[list[str], Array]:
    (a, fa), (b, fb) = plan.uniform(op, 0), plan.uniform(op, 1)
    return [a, b], np.asarray(fa * fb)


def _addend(plan: Plan, op: Op, name: str, values: Array, factor: Array) -> str:
    """A constant in units of a factor: as it is, on its own grid, or rounded."""
    its = plan.constant_factors.get(name)
    if one(factor) and its is None:
        return name
    wanted = np.asarray(values / factor)
    grid = plan.constants[name].grid
    if grid is not None and its is not None:
        ratio = (
            np.broadcast_to(its.reshape(values.shape) if its.size == values.size else its, wanted.shape)
            / factor
        )
        rest, shift = split(ratio)
        up = np.abs(rest - 2.0) < 1e-6
        rest, shift = np.where(up, rest / 2, rest), shift + up
        if one(rest):
            held = plan.constants[name].values
            held = held.reshape(values.shape) if np.size(held) == values.size else held
            lsb = np.broadcast_to(np.asarray(grid.lsb), np.shape(plan.constants[name].values)).reshape(
                held.shape
            )
            power = np.asarray(np.rint(np.log2(lsb)) + shift, dtype=np.int64)
            exact = np.asarray(held * np.exp2(shift))
            width = int(np.max(np.asarray(grid.width))) + int(not np.all(grid.signed))
            return plan.constant(exact, power, width, f"{op.name}.addend", signed=True)
    return _rounded_addend(plan, op, wanted)


def _rounded_addend(plan: Plan, op: Op, wanted: Array) -> str:
    """An addend in few bits; the rounding is written down."""
    found, step = rounded(wanted, plan.bits)
    most = float(np.max(np.abs(wanted), initial=0.0))
    if most and not np.array_equal(found, wanted):
        plan.rounded.append(Rounded(str(op), "addend", float(np.max(np.abs(found - wanted)) / most)))
    return plan.constant(found, step, plan.bits, f"{op.name}.addend", signed=True)


def _batch_norm(plan: Plan, op: Op) -> None:
    if op.attributes.get("training_mode", 0):
        raise ExportError(f"{op} is in training mode", hint="export the model in evaluation mode")
    statistics = [plan.true(name) for name in op.inputs[1:5]]
    epsilon = float(op.attributes.get("epsilon", 1e-5))
    shape = plan.shape(op.inputs[0])
    if one(plan.factor(op)):
        try:
            scale_and_shift(str(op), *statistics, epsilon=epsilon, channels=shape[0])
        except ExportError:
            pass
        else:
            plan.copy(op, [plan.held(op), *op.inputs[1:]])
            plan.factors[op.outputs[0]] = plan.factor(op)
            return
    scale, shift, mean, variance = statistics
    gain = scale / np.sqrt(variance + epsilon)
    along = (-1, *(1,) * (len(shape) - 1))
    made = _multiplied(plan, op, plan.held(op), gain.reshape(along), plan.factor(op))
    shift = (shift - mean * gain).reshape(along) / plan.factors[op.outputs[0]]
    plan.add("Add", [made, _rounded_addend(plan, op, shift[None])], op.outputs[0], op.name)


def _multiplied(plan: Plan, op: Op, name: str, gain: Array, factor: Array, output: str = "") -> str:
    """A tensor times numbers: signs and one power of two are multiplied, the rest is its new factor."""
    zero = gain == 0
    _, power = split(np.where(zero, 1.0, np.abs(gain)))
    shift = np.max(power)
    plan.factors[op.outputs[0]] = np.asarray(factor * np.where(zero, 1.0, np.abs(gain) * np.exp2(-shift)))
    values = np.asarray(np.sign(gain) * np.exp2(shift))
    made = output or plan.fresh(f"{op.name}.sign")
    sign = plan.number(values[None] if values.ndim else values, f"{op.name}.sign")
    return plan.add("Mul", [name, sign], made, op.name if output else made)


# ---------------------------------------------------------------------- sums and products of two


def _add(plan: Plan, op: Op) -> None:
    fixed = [place for place in range(len(op.inputs)) if plan.is_constant(op, place)]
    if not fixed:
        names, factor = plan.together(op)
        plan.copy(op, names)
        plan.factors[op.outputs[0]] = factor
        return
    place, other = fixed[0], 1 - fixed[0]
    rank = len(plan.shape(op.outputs[0]))
    values, factor = plan.true(op.inputs[place]), plan.factor(op, other)
    inputs = [plan.held(op, 0), plan.held(op, 1)]
    inputs[place] = _addend(
        plan, op, op.inputs[place], values, factor[None] if factor.ndim == rank else factor
    )
    plan.copy(op, inputs)
    plan.factors[op.outputs[0]] = factor


def _mul(plan: Plan, op: Op) -> None:
    fixed = [place for place in range(2) if plan.is_constant(op, place)]
    if not fixed:
        names, factor = _both(plan, op)
        plan.copy(op, names)
        plan.factors[op.outputs[0]] = factor
        return
    place = fixed[0]
    if op.kind == "Div" and place == 0:
        moves.function(plan, op)
        return
    rank = len(plan.shape(op.outputs[0]))
    values = plan.true(op.inputs[place])
    gain = np.asarray(1.0 / values if op.kind == "Div" else values)
    if not np.isfinite(gain).all():
        raise ExportError(f"{op} multiplies with numbers that are not finite")
    gain = plan.per_channel(op, gain, rank)
    _multiplied(plan, op, plan.held(op, 1 - place), gain, plan.factor(op, 1 - place), op.outputs[0])


_RULES: dict[str, Rule] = {
    "Quant": _quant,
    "IntQuant": _quant,
    "BipolarQuant": _bipolar,
    "Trunc": _trunc,
    **dict.fromkeys(("MatMul", "Gemm", "Conv", "ConvTranspose"), _weighted),
    "BatchNormalization": _batch_norm,
    **dict.fromkeys(("Add", "Sub", "Sum"), _add),
    **dict.fromkeys(("Mul", "Div"), _mul),
    "Clip": moves.clip,
    **dict.fromkeys(
        ("Relu", "LeakyRelu", "PRelu", "Identity", "Dropout", "MaxPool", "GlobalMaxPool", "Neg", "Cast"),
        moves.same,
    ),
    **dict.fromkeys(("AveragePool", "GlobalAveragePool"), moves.average),
    **dict.fromkeys(("ReduceMean", "ReduceSum", "ReduceMax"), moves.reduced),
    **dict.fromkeys(
        (
            "Reshape",
            "Flatten",
            "Transpose",
            "Squeeze",
            "Unsqueeze",
            "Slice",
            "Split",
            "Pad",
            "Resize",
            "Upsample",
            "DepthToSpace",
            "SpaceToDepth",
        ),
        moves.moved,
    ),
    "Concat": moves.joined,
    "Gather": moves.gather,
}
