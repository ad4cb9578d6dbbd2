"""Layers that our own files say step by step, found by the names of their steps."""

from __future__ import annotations

from typing import Any

import numpy as np

from hls_export.qonnx.load import Op
from hls_export.qonnx.pricing.constants import narrow_grid
from hls_export.qonnx.pricing.own import TABLE
from hls_export.qonnx.pricing.stated import Stated
from hls_export.qonnx.pricing.walk import Walk
from torchq.formats import Format
from torchq.nn import LAYERS

_SOFTMAX = {
    "max": "ReduceMax",
    "distance": "Sub",
    "distance.quant": "Quant",
    "exp": TABLE,
    "sum": "ReduceSum",
    "sum.quant": "Quant",
    "inverse": TABLE,
}
"""The steps between a softmax's input quantizer and its last product, which has the layer's name."""


def softmax(walk: Walk, op: Op) -> bool:
    """Price a softmax as one layer, if this quantizer is the first step of one; whether it is."""
    layer = op.name.removesuffix(".input")
    last = walk.named.get(layer)
    if layer == op.name or last is None or last.kind != "Mul":
        return False
    steps: dict[str, Op] = {}
    for step, kind in _SOFTMAX.items():
        found = walk.named.get(f"{layer}.{step}")
        if found is None or (found.kind != kind and not _rounds(found, kind)):
            return False
        steps[step] = found
    if set(last.inputs) != {steps["exp"].outputs[0], steps["inverse"].outputs[0]}:
        return False
    source, first = walk.flow(op), walk.quantizer(op, None)
    total = walk.quantizer(steps["sum.quant"], None)
    axes = steps["max"].attributes.get("axes", [-1])
    if first is None or total is None or len(axes) != 1:
        return False
    made: Any = LAYERS.get("QSoftmax")
    formats = {
        "input": first.grid.format,
        "exp": _content(walk, steps["exp"]),
        "sum": total.grid.format,
        "inverse": _content(walk, steps["inverse"]),
    }
    quantizers = {f"{slot}_quantizer": None if f is None else Stated(f) for slot, f in formats.items()}
    for taken in (op, *steps.values(), last):
        walk.take(taken)
    walk.add(last, made(int(axes[0]), **quantizers), [source], last.outputs[0])
    return True


def _rounds(op: Op, kind: str) -> bool:
    return kind == "Quant" and op.kind.startswith("Fixed_")


def _content(walk: Walk, op: Op) -> Format | None:
    values = np.asarray(walk.values(op, 1, "values"), dtype=np.float64)
    return walk.said(op.outputs[0]) or narrow_grid(values)
