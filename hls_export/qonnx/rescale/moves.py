"""Functions, pools and moves on tensors that are held in units of their own."""

from __future__ import annotations

import math

import numpy as np

from hls_export.qonnx.load import Op
from hls_export.qonnx.rescale.plan import Plan, Rounded
from hls_export.qonnx.rescale.tracked import Array, one, rounded
from torchq.errors import ExportError


def outputs_of(op: Op, factors: Array, shape: tuple[int, ...], axis: int) -> Array:
    """One factor an output of a weight's factors, or one number."""
    if factors.size == 1 or np.all(factors == factors.flat[0]):
        return np.asarray(factors.flat[0])
    rows = np.moveaxis(np.broadcast_to(factors, shape), axis, 0).reshape(shape[axis], -1)
    if np.any(rows != rows[:, :1]):
        raise ExportError(
            f"{op} has a weight whose scales differ along its inputs, and sums need one unit",
            hint="use one scale for the tensor, or one an output",
        )
    return np.array(rows[:, 0])


def function(plan: Plan, op: Op) -> None:
    """A function of true numbers: tables hold it, and the factor goes into the table."""
    inputs = []
    for place, given in enumerate(op.inputs):
        if not given or plan.is_constant(op, place):
            inputs.append(given)
            continue
        name, factor = plan.uniform(op, place)
        if not one(factor):
            true = plan.fresh(f"{op.name}.true")
            name = plan.add("Mul", [name, plan.number(np.float32(factor), true)], true, true)
        inputs.append(name)
    plan.copy(op, inputs)
    plan.factors[op.outputs[0]] = np.ones(())


def clip(plan: Plan, op: Op) -> None:
    """Bounds in units of the tensor."""
    name, factor = plan.uniform(op)
    if one(factor):
        plan.copy(op, [name, *op.inputs[1:]])
    else:
        ends = [
            np.asarray(float(op.attributes[word]))
            if word in op.attributes
            else plan.true(op.inputs[place]).reshape(())
            if len(op.inputs) > place and op.inputs[place]
            else None
            for place, word in ((1, "min"), (2, "max"))
        ]
        inputs = [name]
        for end in ends:
            if end is None or not np.isfinite(end) or abs(end) > 1e30:
                inputs.append("")
                continue
            found, _ = rounded(end / factor, min(plan.bits, 16))
            if float(found) != float(end / factor):
                plan.rounded.append(Rounded(str(op), "addend", abs(float(found * factor / end) - 1)))
            inputs.append(plan.number(found, f"{op.name}.bound"))
        plan.add("Clip", inputs, op.outputs[0], op.name)
    plan.factors[op.outputs[0]] = factor


def same(plan: Plan, op: Op) -> None:
    """What multiplies through, channel by channel."""
    plan.copy(op, [plan.held(op), *op.inputs[1:]])
    plan.factors[op.outputs[0]] = plan.factor(op)


def moved(plan: Plan, op: Op) -> None:
    """What moves values needs one factor for all of them."""
    name, factor = plan.uniform(op)
    plan.copy(op, [name, *op.inputs[1:]])
    plan.factors.update({output: factor for output in op.outputs if output})
    if op.inputs[0] in plan.raw:
        plan.raw.update(op.outputs)


def gather(plan: Plan, op: Op) -> None:
    """Rows of a constant, or places of a tensor."""
    if not plan.is_constant(op, 0):
        moved(plan, op)
        return
    factors = plan.constant_factors.get(op.inputs[0], np.ones(()))
    plan.copy(op)
    plan.factors[op.outputs[0]] = outputs_of(op, factors, np.shape(plan.constants[op.inputs[0]].values), -1)


def joined(plan: Plan, op: Op) -> None:
    """Tensors beside each other need one factor."""
    names, factor = plan.together(op)
    plan.copy(op, names)
    plan.factors[op.outputs[0]] = factor


def average(plan: Plan, op: Op) -> None:
    """A sum of windows; the division goes into the factor."""
    shape = plan.shape(op.inputs[0])
    factor = plan.factor(op)
    if op.kind == "AveragePool":
        kernel = [int(n) for n in op.attributes.get("kernel_shape", ())]
        area = math.prod(kernel)
    else:
        area = math.prod(shape[1:])
    if area & (area - 1) == 0 or area == 0:
        same(plan, op)
        return
    if op.kind == "GlobalAveragePool":
        plan.total(op, plan.held(op), range(2, len(shape) + 1), op.outputs[0], 1)
    else:
        padded = any(op.attributes.get("pads", ())) and not op.attributes.get("count_include_pad", 0)
        around = str(op.attributes.get("auto_pad", "NOTSET")).startswith("SAME")
        if padded or around or op.attributes.get("ceil_mode", 0):
            raise ExportError(
                f"{op} has windows of different areas in samples of shape {shape}",
                hint="count the padding, or leave it out",
            )
        ones = plan.number(np.ones((shape[0], 1, *kernel)), f"{op.name}.ones")
        words = {k: v for k, v in op.attributes.items() if k in ("strides", "pads", "dilations", "auto_pad")}
        plan.add(
            "Conv",
            [plan.held(op), ones],
            op.outputs[0],
            op.name,
            group=shape[0],
            kernel_shape=kernel,
            **words,
        )
    plan.factors[op.outputs[0]] = np.asarray(factor / area)


def reduced(plan: Plan, op: Op) -> None:
    """Sums and means along axes."""
    name, factor = plan.uniform(op)
    given = op.attributes.get("axes") or (plan.true(op.inputs[1]).ravel() if len(op.inputs) > 1 else ())
    axes = [int(axis) for axis in given]
    shape = plan.shape(op.inputs[0])
    area = math.prod(shape[(axis + len(shape) + 1 if axis < 0 else axis) - 1] for axis in axes)
    plan.factors[op.outputs[0]] = factor
    if op.kind != "ReduceMean" or area & (area - 1) == 0:
        plan.copy(op, [name, *op.inputs[1:]])
        return
    keeps = int(op.attributes.get("keepdims", 1))
    plan.total(op, name, axes, op.outputs[0], keeps)
    plan.factors[op.outputs[0]] = np.asarray(factor / area)
