"""Constants beside samples: shapes without the batch axis."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from hls_export.qonnx.load import Op
from torchq.errors import ExportError
from torchq.formats import FixedPoint


def against(op: Op, what: str, values: npt.NDArray[Any], shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Numbers that broadcast against a batch, for one sample.

    Args:
        op: the operator, for messages.
        what: they are, for messages.
        values: with or without a batch axis of length 1.
        shape: of one sample.

    Returns:
        As many axes as the sample has, or fewer; at least one.

    Raises:
        ExportError: they do not broadcast.
    """
    found = np.asarray(values, dtype=np.float64)
    found = found.reshape((1,)) if found.ndim == 0 else found
    if found.ndim == len(shape) + 1 and found.shape[0] == 1:
        found = found[0]
    try:
        np.broadcast_shapes(found.shape, shape)
        fits = found.ndim <= len(shape)
    except ValueError:
        fits = False
    if not fits:
        raise ExportError(f"{op} has {what} of shape {found.shape} for samples of shape {shape}")
    return found


def formats_like(grid: FixedPoint, old: tuple[int, ...], new: tuple[int, ...]) -> FixedPoint:
    """A format that differs by element, after its values were reshaped."""
    if grid.is_scalar:
        return grid
    fields = (grid.width, grid.integer, grid.signed)
    width, integer, signed = (np.broadcast_to(np.asarray(f), old).reshape(new) for f in fields)
    return replace(grid, width=width, integer=integer, signed=signed)
