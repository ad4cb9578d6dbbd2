"""Matrix products: with a constant weight, or of two activations."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from hls_export.qonnx.channels import believed
from hls_export.qonnx.load import Op
from hls_export.qonnx.pricing.constants import Constant, moved
from hls_export.qonnx.pricing.flows import Flow
from hls_export.qonnx.pricing.stated import Stated
from hls_export.qonnx.pricing.walk import Walk
from torchq.errors import ExportError
from torchq.nn import LAYERS
from torchq.nn.base import QLayer
from torchq.nn.types import multiplied, summed_products
from torchq.workload import Workload


def with_parameters(layer: QLayer, weight: Constant, bias: Constant | None) -> QLayer:
    """A layer with these numbers, which stand on their grids already."""
    for slot, constant in (("weight", weight), ("bias", bias)):
        if constant is None or constant.values is None:
            layer.register_parameter(slot, None)
            continue
        numbers = np.array(constant.values, dtype=np.float64)
        layer.register_parameter(slot, nn.Parameter(torch.from_numpy(numbers), requires_grad=False))
        format = believed(constant.format, constant.channels, numbers)
        layer.set_quantizer(slot, None if format is None else Stated(format))
    return layer


def bias_behind(
    walk: Walk, layer: str, tensor: str, count: int, *, one_for_all: bool = False
) -> tuple[Constant | None, str]:
    """The bias that the only reader of a sum adds, and the tensor behind it.

    Args:
        walk: the file.
        layer: the layer's name.
        tensor: the sum.
        count: how many outputs (or channels) the layer has.
        one_for_all: whether one number may stand for all of them.
    """
    reader = walk.only_reader(tensor)
    if reader is None or reader.kind != "Add" or tensor == layer:
        return None, tensor
    place = 1 if reader.inputs[0] == tensor else 0
    found = walk.constants.get(reader.inputs[place])
    if found is None or found.values is None or found.values.size not in (1, count):
        return None, tensor
    if not _along_channels(found.values.shape, len(walk.sizes[tensor].shape) + 1, count, walk, tensor):
        return None, tensor
    walk.take(reader)
    bias = walk.parameter(reader, place, "bias")
    wanted = 1 if one_for_all and found.values.size == 1 else count
    return None if bias is None else flat(bias, wanted), reader.outputs[0]


def _along_channels(shape: tuple[int, ...], axes: int, count: int, walk: Walk, tensor: str) -> bool:
    """Whether an addend has one number for each channel, and the channels are counted by it."""
    if math.prod(shape) == 1:
        return True
    spread = (1,) * (axes - len(shape)) + shape
    sample = walk.sizes[tensor].shape
    where = [i for i, n in enumerate(spread) if n == count]
    return bool(where) and (sample[where[0] - 1] == count if where[0] else False)


def flat(constant: Constant, count: int) -> Constant:
    """A bias as one number for each output."""

    def spread(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.broadcast_to(values.reshape(-1), (count,))

    return moved(constant, spread)


def _put(walk: Walk, op: Op, weight: Constant, bias: Constant | None, source: Flow, tensor: str) -> None:
    """A linear layer; one that was there before, with the same constants, reads one position more."""
    said = (weight.where, "" if bias is None else bias.where, source.spec.shape, source.spec.format)
    if walk.repeated(said, op, tensor):
        return
    made: Any = LAYERS.get("QLinear")
    outputs, inputs = weight.array.shape
    layer = with_parameters(made(inputs, outputs, device="meta"), weight, bias)
    walk.remember(said, walk.add(op, layer, [source], tensor))


def _matmul(walk: Walk, op: Op) -> None:
    if walk.is_flow(op, 0) and walk.is_flow(op, 1):
        _of_two(walk, op)
        return
    place = 1 if walk.is_flow(op, 0) else 0
    weight = walk.parameter(op, place, "weight")
    source = walk.from_quantizer(op, 1 - place)
    if weight is None or weight.values is None or weight.values.ndim != 2:
        dims = () if weight is None or weight.values is None else weight.values.shape
        raise ExportError(f"{op} has a constant of shape {dims}, a matrix is needed")
    if place == 1:
        weight = moved(weight, np.transpose)
    outputs, _ = weight.array.shape
    bias, tensor = (None, op.outputs[0])
    if place == 1:
        bias, tensor = bias_behind(walk, op.name, op.outputs[0], outputs)
    _put(walk, op, weight, bias, source, tensor)


def _of_two(walk: Walk, op: Op) -> None:
    """Products of two tensors that both flow, as in attention."""
    sources = [walk.from_quantizer(op, place) for place in (0, 1)]
    name = walk.name(op)
    a, b = (source.spec for source in sources)
    product = multiplied(a.format, b.format)
    fan_in = a.shape[-1]
    total = summed_products(product, fan_in)
    behind = walk.quantizer_behind(name, op.outputs[0])
    tensor, format = op.outputs[0], cast("Any", total)
    if behind is not None:
        walk.settle(behind)
        tensor, format = behind.tensor, behind.grid.format
    made = walk.put(tensor, name, format, quantized=behind is not None)
    walk.works.append(Workload(name, "matmul", (a, b), made, made.count * fan_in, fan_in, product, total))


def _gemm(walk: Walk, op: Op) -> None:
    alpha, beta = float(op.attributes.get("alpha", 1)), float(op.attributes.get("beta", 1))
    if alpha != 1 or beta != 1 or op.attributes.get("transA", 0):
        raise ExportError(
            f"{op} has alpha {alpha:g}, beta {beta:g} and transA {op.attributes.get('transA', 0)}",
            hint="1, 1 and 0 are needed",
        )
    weight, bias = walk.parameter(op, 1, "weight"), walk.parameter(op, 2, "bias")
    source = walk.from_quantizer(op)
    if weight is None or weight.values is None or weight.values.ndim != 2:
        raise ExportError(f"{op} has a weight that is no matrix")
    if not op.attributes.get("transB", 0):
        weight = moved(weight, np.transpose)
    outputs, _ = weight.array.shape
    tensor = op.outputs[0]
    if bias is None:
        bias, tensor = bias_behind(walk, op.name, tensor, outputs)
    else:
        bias = flat(bias, outputs)
    _put(walk, op, weight, bias, source, tensor)


PRODUCTS: Mapping[str, Callable[[Walk, Op], None]] = {
    "Gemm": _gemm,
    "MatMul": _matmul,
}
