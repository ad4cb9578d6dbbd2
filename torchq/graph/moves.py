"""Steps that only move values (reshape, transpose, slice): where each value comes from, and its format."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from torchq.errors import GraphError
from torchq.formats import FixedPoint, Format
from torchq.formats.arithmetic import widest
from torchq.nn.concat import thin

Indices = npt.NDArray[np.int64]


def origins(
    name: str, move: Callable[[Tensor], Tensor], shape: tuple[int, ...], source_axis: int, result_axis: int
) -> Indices:
    """The flat position in the source's sample of every value that a step writes.

    Args:
        name: of the step, for messages.
        move: the step.
        shape: of one sample that it reads.
        source_axis: the axis of the source that counts the samples.
        result_axis: that of the result.

    Returns:
        Whole numbers of the shape of one sample of the result.

    Raises:
        GraphError: values of one sample get into another.
    """
    count = int(np.prod(shape, dtype=np.int64))
    numbers = torch.arange(3 * count).reshape(3, *shape).movedim(0, source_axis)
    moved = move(numbers).movedim(result_axis, 0).numpy()
    first: Indices = moved[0]
    for sample in range(3):
        if not np.array_equal(moved[sample], first + sample * count) or (first.size and first.max() >= count):
            raise GraphError(
                f"{name} moves values from one sample of a batch to another",
                hint="keep the batch an axis of its own",
            )
    return first


def moved_format(format: Format | None, shape: tuple[int, ...], indices: Indices) -> Format | None:
    """The format after a move: formats per channel or element go where their values go.

    Args:
        format: before the move; one that does not fit the samples becomes the widest of its elements.
        shape: of one sample before the move.
        indices: from :func:`origins`.

    Example:
        >>> f = FixedPoint(np.array([[4], [6]]), 1)
        >>> str(moved_format(f, (2, 2), np.arange(4)))
        'ap_fixed<4..6,1,RND_CONV,SAT>'
        >>> moved_format(f, (2, 2), np.arange(4)).width.tolist()
        [4, 4, 6, 6]
    """
    if not isinstance(format, FixedPoint) or format.is_scalar:
        return format
    try:
        np.broadcast_shapes(format.shape, shape)
    except ValueError:
        return widest(format)

    def carried(field: Any) -> Any:
        values = np.asarray(field)
        return field if values.ndim == 0 else thin(np.broadcast_to(values, shape).reshape(-1)[indices])

    return replace(
        format,
        width=carried(format.width),
        integer=carried(format.integer),
        signed=carried(format.signed),
    )


def order_is_kept(indices: Indices) -> bool:
    """Whether all values are there in the order in which they were."""
    return bool(np.array_equal(indices.ravel(), np.arange(indices.size)))
