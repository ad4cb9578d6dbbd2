"""Steps that make no new values: reshape, transpose, slice, one of several tensors; relu and quantizers."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hls_export.qonnx.builder import Builder
from hls_export.qonnx.layers import writes
from torchq.errors import ExportError

if TYPE_CHECKING:
    from torchq.graph import Node as TorchNode

_MOST_AXES = 6


@writes("identity")
def _identity(build: Builder, node: TorchNode, sources: list[str]) -> str:  # noqa: ARG001
    return sources[0]


@writes("quantize")
def _quantize(build: Builder, node: TorchNode, sources: list[str]) -> str:
    layer: Any = node.module
    return build.quantizer(sources[0], layer.output_quantizer, node.name, node.name, node.name)


@writes("relu")
def _relu(build: Builder, node: TorchNode, sources: list[str]) -> str:
    layer: Any = node.module
    quantizer = getattr(layer, "output_quantizer", None)
    output = node.name if quantizer is None else f"{node.name}.relu"
    made = build.relu(sources[0], node.name, output)
    if quantizer is None:
        return made
    return build.quantizer(made, quantizer, node.name, f"{node.name}.quant", node.name, relu=layer)


@writes("reshape")
def _reshape(build: Builder, node: TorchNode, sources: list[str]) -> str:
    return build.reshape(sources[0], node.shape, node.name)


@writes("transpose")
def _moved(build: Builder, node: TorchNode, sources: list[str]) -> str:
    """A permutation of axes, or any values picked from the sample."""
    (source,) = sources
    places = _places(node, build.shapes[source])
    axes = _permutation(places, build.shapes[source])
    if axes is not None:
        return build.transpose(source, axes, node.name)
    return build.select(source, places, node.name, node.name)


@writes("item")
def _item(build: Builder, node: TorchNode, sources: list[Any]) -> Any:  # noqa: ARG001
    step = node.step
    assert step is not None, "only the input has none"  # noqa: S101
    items = sources[0]
    made = items[int(step.call.args[1])]
    if made is None:
        raise ExportError(f"{node.name} is a result of {node.inputs[0]} that has no fixed-point form")
    return made() if callable(made) else made


def _places(node: TorchNode, shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """Where in the flat sample each value comes from."""
    from torchq.graph.moves import origins

    step = node.step
    assert step is not None, "only the input has none"  # noqa: S101
    return origins(node.name, lambda x: step.compute(node.module, [x], 3), shape, 0, node.batch_axis)


def _permutation(places: npt.NDArray[np.int64], shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """The order of axes that moves all values to these places; None if there is none."""
    if len(places.shape) != len(shape) or len(shape) > _MOST_AXES:
        return None
    flat = np.arange(math.prod(shape)).reshape(shape)
    for axes in itertools.permutations(range(len(shape))):
        turned = flat.transpose(axes)
        if turned.shape == places.shape and np.array_equal(turned, places):
            return axes
    return None
