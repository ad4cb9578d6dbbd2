"""Convolutions, transposed ones, and those whose kernel of ones only sums."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from hls_export.qonnx.load import Op
from hls_export.qonnx.pricing.constants import Constant
from hls_export.qonnx.pricing.flows import Flow
from hls_export.qonnx.pricing.products import bias_behind, flat, with_parameters
from hls_export.qonnx.pricing.stated import Stated
from hls_export.qonnx.pricing.walk import Walk
from torchq.errors import ExportError
from torchq.nn import LAYERS
from torchq.workload import Geometry

_MODES = {"constant": "zeros", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}
"""Torch's words for what a ``Pad`` adds."""


def _convolution(walk: Walk, op: Op) -> None:
    transposed = op.kind == "ConvTranspose"
    weight, bias = walk.parameter(op, 1, "weight"), walk.parameter(op, 2, "bias")
    source = walk.from_quantizer(op)
    if weight is None or weight.array.ndim not in (3, 4):
        axes = 0 if weight is None else weight.array.ndim - 2
        raise ExportError(f"{op} has {axes} spatial axes, 1 or 2 can be priced")
    shape, groups = weight.array.shape, int(op.attributes.get("group", 1))
    if not transposed and bias is None and shape[1] == 1 and groups == shape[0] and np.all(weight.array == 1):
        _sums(walk, op, math.prod(shape[2:]))
        return
    spatial = len(shape) - 2
    ends = (shape[0], shape[1] * groups)
    channels, outputs = ends if transposed else ends[::-1]
    tensor = op.outputs[0]
    if bias is None:
        bias, tensor = bias_behind(walk, op.name, tensor, outputs)
    else:
        bias = flat(bias, outputs)
    strides, dilations = (
        tuple(int(n) for n in op.attributes.get(name, (1,) * spatial)) for name in ("strides", "dilations")
    )
    made: Any = LAYERS.get(f"Q{op.kind}{spatial}d")
    layer = made(
        channels,
        outputs,
        tuple(shape[2:]),
        strides,
        dilation=dilations,
        groups=groups,
        bias=bias is not None,
        device="meta",
    )
    pads = _pads(
        op, source.spec.shape[1:], walk.sizes[op.outputs[0]].shape[1:], shape[2:], strides, dilations
    )
    mode = "zeros"
    if not transposed:
        source, around, mode = _unpadded(walk, op, source)
        pads = tuple((a + c, b + d) for (a, b), (c, d) in zip(pads, around, strict=True)) if around else pads
    walk.add(op, with_parameters(layer, weight, bias), [source], tensor)
    geometry = Geometry(strides, dilations, pads, groups, mode, transposed)
    walk.works[-1] = replace(walk.works[-1], geometry=geometry)


def _pads(
    op: Op,
    read: tuple[int, ...],
    made: tuple[int, ...],
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
) -> tuple[tuple[int, int], ...]:
    """What is added before and after each axis; of a transposed convolution, what is cut off."""
    transposed, auto = op.kind == "ConvTranspose", str(op.attributes.get("auto_pad", "NOTSET"))
    given = [int(n) for n in op.attributes.get("pads", (0,) * (2 * len(kernel)))]
    found = []
    for i, (k, s, d) in enumerate(zip(kernel, strides, dilations, strict=True)):
        reach = d * (k - 1) + 1
        before, after = given[i], given[i + len(kernel)]
        if transposed:
            whole = (read[i] - 1) * s + reach - made[i]
            before = _share(whole, auto) if auto.startswith("SAME") else before
            after = whole - before
        elif auto.startswith("SAME"):
            whole = max((made[i] - 1) * s + reach - read[i], 0)
            before = _share(whole, auto)
            after = whole - before
        found.append((before, after))
    return tuple(found)


def _share(whole: int, auto: str) -> int:
    return whole // 2 if auto == "SAME_UPPER" else whole - whole // 2


def _unpadded(walk: Walk, op: Op, source: Flow) -> tuple[Flow, tuple[tuple[int, int], ...], str]:
    """What stands before a ``Pad`` that only this node reads, how much it adds, and what."""
    pad = next((other for other in walk.ops if other.outputs[0] == op.inputs[0]), None)
    if pad is None or pad.kind != "Pad" or walk.only_reader(pad.outputs[0]) is not op:
        return source, (), "zeros"
    mode = _MODES.get(str(pad.attributes.get("mode", "constant")))
    before = walk.flow(pad)
    axes = len(before.spec.shape) + 1
    if "pads" in pad.attributes:
        given = [int(n) for n in pad.attributes["pads"]]
    else:
        given = [int(n) for n in walk.values(pad, 1, "pads").ravel()]
    if (
        mode is None
        or len(pad.inputs) > 3
        or len(given) != 2 * axes
        or any((*given[:2], *given[axes : axes + 2]))
    ):
        return source, (), "zeros"
    around = tuple((given[i], given[i + axes]) for i in range(2, axes))
    return replace(source, spec=before.spec), around, mode


def _sums(walk: Walk, op: Op, area: int) -> None:
    """A kernel of ones for each channel: the sums of an average pool, perhaps times a constant behind."""
    source = walk.on_grid(op)
    made: Any = LAYERS.get("QAvgPool1d")
    pool, tensor = made(area), op.outputs[0]
    reader = walk.only_reader(tensor)
    factor = None if reader is None or reader.kind != "Mul" else _factor(walk, reader)
    if reader is None or factor is None:
        raise ExportError(f"{op} sums windows, and no constant that is multiplied makes averages of the sums")
    walk.take(reader)
    if area & (area - 1) or float(factor.array.flat[0]) != 1 / area:
        pool.set_quantizer("average", Stated(factor.format)) if factor.format is not None else None
    walk.add(op, pool, [source], reader.outputs[0])


def _factor(walk: Walk, reader: Op) -> Constant | None:
    constants = [walk.constants[name] for name in reader.inputs if name in walk.constants]
    if len(constants) != 1 or constants[0].values is None or constants[0].array.size != 1:
        return None
    return walk.formatted(reader, constants[0], "factor")


CONVOLUTIONS: Mapping[str, Callable[[Walk, Op], None]] = {
    "Conv": _convolution,
    "ConvTranspose": _convolution,
}
