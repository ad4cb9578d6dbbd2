"""Batch norm behind a matrix product, folded into weight and bias where that is exact."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from hls_export.hardware import Conv, Dense
from hls_export.qonnx.constants import Constant
from torchq.errors import ExportError


def fold_batch_norm(
    where: str,
    dense: Dense | Conv,
    scale: npt.NDArray[Any],
    shift: npt.NDArray[Any],
    mean: npt.NDArray[Any],
    variance: npt.NDArray[Any],
    *,
    epsilon: float,
) -> Dense | Conv:
    """The product with ``factor = scale / sqrt(variance + epsilon)`` in its weight.

    The weight becomes ``weight * factor`` and the bias ``(bias - mean) * factor + shift``. Both must stand on
    a grid of at most 16 bits; a factor such as 0.7 would need new rounding, which changes the network.

    Args:
        where: the node in messages.
        dense: the product in front.
        scale: gamma, ``[n_out]``.
        shift: beta.
        mean: of the training data.
        variance: likewise.
        epsilon: what is added to it.

    Raises:
        ExportError: the result stands on no such grid, or the sizes do not fit.
    """
    sizes = {np.asarray(v).shape for v in (scale, shift, mean, variance)}
    if sizes != {(dense.n_out,)}:
        raise ExportError(f"{where} has statistics of shapes {sorted(sizes)} for {dense.n_out} outputs")
    root = np.sqrt(variance + epsilon)
    bias = np.zeros(dense.n_out) if dense.bias is None else dense.bias
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = scale / root
        along = factor.reshape(-1, *(1,) * (dense.weight.ndim - 1)) if isinstance(dense, Conv) else factor
        weight, moved = dense.weight * along, (bias - mean) * factor + shift
    exact = np.array_equal(root * root, variance + epsilon) and np.array_equal(factor * root, scale)
    try:
        if not exact:
            raise ExportError(where)
        weight_format = Constant(weight).stands_on(where)
        bias_format = Constant(moved).stands_on(where)
    except ExportError:
        raise ExportError(
            f"{where} cannot be folded into {dense.name} without rounding its weights again",
            hint="fold it before the weights are quantized, as torchq.convert.quantize does",
        ) from None
    return replace(dense, weight=weight, bias=moved, weight_format=weight_format, bias_format=bias_format)


def scale_and_shift(
    where: str,
    scale: npt.NDArray[Any],
    shift: npt.NDArray[Any],
    mean: npt.NDArray[Any],
    variance: npt.NDArray[Any],
    *,
    epsilon: float,
    channels: int,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """A batch norm by itself: what each channel is multiplied with, and what is added.

    Args:
        where: the node in messages.
        scale: gamma, ``[channels]``.
        shift: beta.
        mean: of the training data.
        variance: likewise.
        epsilon: what is added to it.
        channels: of what it reads.

    Raises:
        ExportError: the factors need more than 16 bits, or are no binary fractions, or the sizes do not fit.
    """
    sizes = {np.asarray(v).shape for v in (scale, shift, mean, variance)}
    if sizes != {(channels,)}:
        raise ExportError(f"{where} has statistics of shapes {sorted(sizes)} for {channels} channels")
    root = np.sqrt(variance + epsilon)
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = scale / root
        added = shift - mean * factor
    exact = np.array_equal(root * root, variance + epsilon) and np.array_equal(factor * root, scale)
    try:
        if not exact:
            raise ExportError(where)
        Constant(factor).stands_on(where)
        Constant(added).stands_on(where)
    except ExportError:
        raise ExportError(
            f"{where} multiplies with numbers of more than 16 bits, which would have to be rounded",
            hint="fold it before the weights are quantized, or quantize its scale and shift",
        ) from None
    return factor, added
