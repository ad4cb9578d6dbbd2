"""Recurrent cells and layer normalisation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from hls_export.qonnx.load import Op
from hls_export.qonnx.pricing.constants import Constant, moved
from hls_export.qonnx.pricing.products import with_parameters
from hls_export.qonnx.pricing.stated import Stated
from hls_export.qonnx.pricing.walk import MOVES, Walk
from torchq.errors import ExportError
from torchq.formats import Format
from torchq.nn import LAYERS
from torchq.nn.base import QLayer

_LAYERS = {"LSTM": ("QLSTM", (0, 2, 3, 1)), "GRU": ("QGRU", (1, 0, 2)), "RNN": ("QRNN", (0,))}
"""Ours, and where torch's gates stand in ONNX's order: i o f c there is i f g o here, z r h is r z n."""
_SLOTS = {"W": "weight_ih", "R": "weight_hh"}


def _recurrent(walk: Walk, op: Op) -> None:
    kind, order = _LAYERS[op.kind]
    hidden = int(op.attributes.get("hidden_size", 0))
    weight, recurrent = walk.parameter(op, 1, "weight W"), walk.parameter(op, 2, "weight R")
    bias = walk.parameter(op, 3, "bias B")
    source = walk.from_quantizer(op)
    if weight is None or recurrent is None or weight.array.ndim != 3 or hidden < 1:
        raise ExportError(f"{op} has no weights, or no hidden_size")
    directions, _, inputs = weight.array.shape
    made: Any = LAYERS.get(kind)
    layer = made(inputs, hidden, bias=bias is not None, bidirectional=directions == 2, device="meta")
    for slot in layer.slots:
        layer.set_quantizer(slot, None)
    for direction in range(directions):
        ending = "_l0" if direction == 0 else "_l0_reverse"
        for constant, name in ((weight, f"weight_ih{ending}"), (recurrent, f"weight_hh{ending}")):
            _put(layer, name, _gates(constant, direction, order, hidden))
        if bias is not None:
            for half, name in enumerate((f"bias_ih{ending}", f"bias_hh{ending}")):
                part = moved(bias, lambda v, h=half: np.split(v, 2, axis=1)[h])  # type: ignore[misc]
                _put(layer, name, _gates(part, direction, order, hidden))
    tensor = next(name for name in op.outputs if name in walk.sizes)
    state = _state(walk, op, tensor)
    if state is not None:
        layer.set_quantizer("state", Stated(state))
    name = walk.name(op)
    for made_here in op.outputs:
        if made_here in walk.sizes:
            walk.put(made_here, name, state, quantized=state is not None)
    spec = walk.flows[tensor].spec
    walk.works += layer.workloads(name, (source.spec,), spec)
    walk.note(f"{op}: an ONNX cell states no formats inside; its gates count as floats where they count")


def _gates(constant: Constant, direction: int, order: tuple[int, ...], hidden: int) -> Constant:
    """One direction, its gates in torch's order."""

    def pick(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        gates = values[direction].reshape(len(order), hidden, *values.shape[2:])
        return np.asarray(gates[list(order)].reshape(len(order) * hidden, *values.shape[2:]))

    return moved(constant, pick)


def _put(layer: Any, name: str, constant: Constant) -> None:
    numbers = torch.from_numpy(np.array(constant.values, dtype=np.float64))
    setattr(layer, name, nn.Parameter(numbers, requires_grad=False))
    if constant.format is not None:
        layer.baked[name] = constant.format


def _state(walk: Walk, op: Op, tensor: str) -> Format | None:
    """The format of the state: that of the first quantizer behind it, moves aside."""
    here: str | None = tensor
    while here is not None:
        reader = walk.only_reader(here)
        if reader is None:
            return None
        found = walk.quantizer(reader, None)
        if found is not None:
            walk.note(f"{op}: the state counts as {found.grid.format}, as the quantizer behind it makes it")
            return found.grid.format
        here = reader.outputs[0] if reader.kind in MOVES else None
    return None


def _layer_norm(walk: Walk, op: Op) -> None:
    weight, bias = walk.parameter(op, 1, "scale"), walk.parameter(op, 2, "shift")
    source = walk.flow(op)
    if weight is None:
        raise ExportError(f"{op} has no scale")
    axis = int(op.attributes.get("axis", -1))
    axes = len(source.spec.shape) + 1
    shape = source.spec.shape[(axis % axes) - 1 :]
    made: Any = LAYERS.get("QLayerNorm")
    layer = cast("QLayer", made(list(shape), device="meta"))
    for slot in layer.slots:
        layer.set_quantizer(slot, None)
    weight = replace(weight, values=np.broadcast_to(weight.array, shape))
    walk.add(op, with_parameters(layer, weight, bias), [source], op.outputs[0])


SEQUENCES: Mapping[str, Callable[[Walk, Op], None]] = {
    "GRU": _recurrent,
    "LSTM": _recurrent,
    "LayerNormalization": _layer_norm,
    "RNN": _recurrent,
}
