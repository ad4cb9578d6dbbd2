"""Sums, products and joins: of two activations, or of one and a constant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

import numpy as np

from hls_export.qonnx.load import Op
from hls_export.qonnx.pricing.constants import Constant
from hls_export.qonnx.pricing.flows import Flow
from hls_export.qonnx.pricing.scales import scaled_by, shifted_by
from hls_export.qonnx.pricing.walk import Walk
from torchq.errors import ExportError
from torchq.formats import FixedPoint
from torchq.nn import LAYERS
from torchq.nn.base import QLayer
from torchq.nn.types import fixed
from torchq.workload import TensorSpec


def _two(walk: Walk, op: Op) -> tuple[Flow, Constant] | None:
    """The activation and the constant of a node that has one of each."""
    flows = [place for place in (0, 1) if walk.is_flow(op, place)]
    if len(flows) == 2:
        return None
    constant = walk.constant(op, 1 - flows[0], "constant")
    if constant is None:
        raise ExportError(f"{op} reads one tensor, two are needed")
    return walk.flow(op, flows[0]), constant


def _add(walk: Walk, op: Op) -> None:
    pair = _two(walk, op)
    if pair is None:
        walk.add(op, _layer("QAdd"), [walk.on_grid(op, 0), walk.on_grid(op, 1)], op.outputs[0])
    elif pair[1].values is not None and not np.any(pair[1].values):
        _same(walk, op, pair[0])
    else:
        shifted_by(walk, op, *pair)


def _sum(walk: Walk, op: Op) -> None:
    """Any number of activations."""
    if len(op.inputs) == 1:
        _same(walk, op, walk.flow(op))
        return
    sources = [walk.on_grid(op, place) for place in range(len(op.inputs))]
    walk.add(op, _layer("QAdd"), sources, op.outputs[0])


def _sub(walk: Walk, op: Op) -> None:
    pair = _two(walk, op)
    if pair is not None:
        shifted_by(walk, op, *pair)
        return
    a, b = walk.on_grid(op, 0), walk.on_grid(op, 1)
    difference = _layer("QAdd")
    made = cast("Any", difference)
    exact = made.format_of
    made.format_of = lambda specs: exact([specs[0], _negative(specs[1])])
    walk.add(op, difference, [a, b], op.outputs[0])


def _negative(spec: TensorSpec) -> TensorSpec:
    """With a format that holds every value and its negative."""
    grid = fixed(spec.format)
    if grid is None or grid.signed:
        return spec
    return replace(spec, format=FixedPoint(grid.width + 1, grid.integer + 1, True))


def _mul(walk: Walk, op: Op) -> None:
    pair = _two(walk, op)
    if pair is None:
        walk.add(op, _layer("QMul"), [walk.on_grid(op, 0), walk.on_grid(op, 1)], op.outputs[0])
    else:
        scaled_by(walk, op, *pair)


def _div(walk: Walk, op: Op) -> None:
    pair = _two(walk, op)
    if pair is None or not walk.is_flow(op, 0):
        raise ExportError(f"{op} divides by an activation, which no layer does", hint="multiply by a table")
    source, constant = pair
    values = np.asarray(constant.values, dtype=np.float64)
    if not np.all(values):
        raise ExportError(f"{op} divides by zero")
    scaled_by(walk, op, source, Constant(1 / values, where=str(op)))


def _concat(walk: Walk, op: Op) -> None:
    sources = []
    for place in range(len(op.inputs)):
        if walk.is_flow(op, place):
            sources.append(walk.on_grid(op, place))
            continue
        constant = walk.constant(op, place, "part")
        found = walk.formatted(op, cast("Constant", constant), "constant part")
        shape = found.array.shape[1:]
        sources.append(Flow(TensorSpec(op.inputs[place], shape, found.format), quantized=True))
    axes = len(walk.sizes[op.outputs[0]].shape) + 1
    axis, batch = int(op.attributes.get("axis", 1)) % axes, sources[0].axis
    if axis == batch:
        raise ExportError(f"{op} joins tensors along the batch axis")
    dim = axis if axis > batch else axis + 1
    walk.add(op, cast("Any", LAYERS.get("QConcat"))(dim), sources, op.outputs[0])


def _same(walk: Walk, op: Op, source: Flow) -> None:
    walk.put(op.outputs[0], source.spec.name, source.spec.format, quantized=source.quantized)


def _layer(name: str) -> QLayer:
    made: Any = LAYERS.get(name)
    return cast("QLayer", made())


MERGES: Mapping[str, Callable[[Walk, Op], None]] = {
    "Add": _add,
    "Concat": _concat,
    "Div": _div,
    "Mul": _mul,
    "Sub": _sub,
    "Sum": _sum,
}
