"""What flows in a file, and which of its nodes matter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hls_export.qonnx.load import OnnxFile, Op
from hls_export.qonnx.pricing.grids import Grid
from torchq.errors import ExportError
from torchq.formats import FixedPoint, Format
from torchq.workload import TensorSpec


@dataclass(frozen=True)
class Flow:
    """A tensor that depends on the input.

    Args:
        spec: the layer that made its values, the shape of one sample, and the format.
        quantized: whether a quantizer made the values.
        axis: the axis that counts the samples.
    """

    spec: TensorSpec
    quantized: bool = False
    axis: int = 0


@dataclass(frozen=True)
class Behind:
    """A quantizer behind a tensor.

    Args:
        grid: what it makes.
        tensor: what leaves it.
        ops: its nodes.
    """

    grid: Grid
    tensor: str
    ops: tuple[Op, ...]


def live(file: OnnxFile) -> list[Op]:
    """The nodes that the output depends on, in order."""
    needed, kept = {file.output}, []
    for op in reversed(file.ops):
        if needed.intersection(op.outputs):
            needed.update(name for name in op.inputs if name)
            kept.append(op)
    return kept[::-1]


def without_batch(op: Op, values: npt.NDArray[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """One number, or an array for one sample.

    Raises:
        ExportError: it does not fit the samples.
    """
    if values.size == 1:
        return values.reshape(())
    if values.ndim == len(shape) + 1 and values.shape[0] == 1:
        values = values[0]
    try:
        np.broadcast_to(values, shape)
    except ValueError:
        raise ExportError(f"{op} has numbers of shape {values.shape} for samples of shape {shape}") from None
    return values


def is_uniform(format: Format | None) -> bool:
    """Whether one format holds for the whole tensor."""
    return not isinstance(format, FixedPoint) or format.is_scalar
