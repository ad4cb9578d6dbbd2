"""Which values of its input a weight is multiplied with: sums over the products of every weight."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from torchq.errors import CostError
from torchq.formats import FixedPoint, Format, ScaledSigns
from torchq.workload import UNQUANTIZED_BITS, Geometry, TensorSpec, Workload

Array = npt.NDArray[Any]

_PADS = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
"""numpy's names of torch's padding modes."""


def widths(format: Format | None, shape: tuple[int, ...]) -> int | Array:
    """The bits of each value of a tensor, the sign included: one number, or an array of the tensor's shape.

    A tensor without a format counts 32 bits a value, as the ``bits`` target counts it.

    Example:
        >>> widths(FixedPoint(6, 1), (2, 3)), widths(None, (2,))
        (6, 32)
        >>> widths(FixedPoint(np.array([[4], [5]]), 1), (2, 2)).tolist()
        [[4, 4], [5, 5]]
    """
    if format is None:
        return UNQUANTIZED_BITS
    if isinstance(format, ScaledSigns):
        return format.signs.width
    if isinstance(format, FixedPoint) and not format.is_scalar:
        return np.broadcast_to(np.asarray(format.width), shape)
    return int(format.width)


def mean_width(format: Format | None) -> float:
    """The mean bits of a value, the sign included."""
    if isinstance(format, FixedPoint) and not (format.is_scalar or isinstance(format, ScaledSigns)):
        return float(np.mean(np.broadcast_to(np.asarray(format.width), format.shape)))
    return float(widths(format, ()))


def sums(work: Workload, values: float | Array) -> float | Array:
    """For each weight of a layer: ``values`` summed over all inputs that it is multiplied with.

    What is padded with zeros is multiplied with nothing; what is padded with the input's own values is. The
    sum of ``bits of the weight * sums(work, bits of the input)`` over all weights is the number of bit
    operations.

    Args:
        work: a layer with a weight.
        values: a number for each value of one sample of the input, or one number for all.

    Returns:
        Numbers that broadcast against the weight's shape; exact where :func:`is_exact`.

    Example:
        >>> from torchq.workload import ParamSpec
        >>> x, y = TensorSpec("x", (1, 4), None), TensorSpec("conv", (1, 4), None)
        >>> same = Geometry(stride=(1,), dilation=(1,), padding=((1, 1),))
        >>> weight = ParamSpec("weight", (1, 1, 3), None)
        >>> work = Workload("conv", "conv1d", (x,), y, macs=12, fan_in=3, weight=weight, geometry=same)
        >>> sums(work, 1).tolist()
        [[[3.0, 4.0, 3.0]]]
    """
    weight, x = work.weight, work.inputs[0]
    assert weight is not None  # noqa: S101 - told to the type checker
    if work.geometry is not None:
        return _of_convolution(work.geometry, weight.shape, x.shape, work.output.shape, values)
    if np.ndim(values) == 0:
        return float(values) * _uses(work)
    each = np.broadcast_to(np.asarray(values, dtype=np.float64), x.shape)
    if _is_linear(work):
        return np.asarray(each.reshape(-1, x.shape[-1]).sum(axis=0))
    if _is_by_channel(work):
        return np.asarray(each.reshape(weight.count, -1).sum(axis=1))
    return float(each.mean()) * _uses(work)


def mean_sums(work: Workload, values: float | Array) -> float | Array:
    """As :func:`sums`, with all products that ``macs`` counts: padding has the mean of its channel."""
    if np.ndim(values) == 0 or work.geometry is None:
        return float(values) * _uses(work) if np.ndim(values) == 0 else sums(work, values)
    x, geometry = work.inputs[0], work.geometry
    each = np.broadcast_to(np.asarray(values, dtype=np.float64), x.shape).reshape(x.shape[0], -1)
    means = each.mean(axis=1).reshape(-1, *[1] * len(geometry.stride))
    return _uses(work) * _grouped(geometry, _weight_shape(work), means)


def factors(work: Workload, figure: str) -> tuple[TensorSpec, TensorSpec]:
    """The two tensors that a layer without a weight multiplies.

    Raises:
        CostError: it reads one tensor only, so that nothing says what it is multiplied with.
    """
    if len(work.inputs) < 2:
        raise CostError(
            f"{work.layer}: {figure} needs both factors of its {work.macs} multiplications, got one input",
            hint="give the workload a weight, or the products as operations",
        )
    return work.inputs[0], work.inputs[1]


def is_exact(work: Workload) -> bool:
    """Whether :func:`sums` says of every product which input it takes, and not only how many there are."""
    if work.weight is None or work.geometry is not None or _is_linear(work) or _is_by_channel(work):
        return True
    uniform = not work.kind.startswith("conv")
    return uniform and np.ndim(widths(work.inputs[0].format, work.inputs[0].shape)) == 0


def _uses(work: Workload) -> float:
    """How many products each weight takes part in, those with padded zeros included."""
    count = math.prod(_weight_shape(work))
    return work.macs / count if count else 0.0


def _weight_shape(work: Workload) -> tuple[int, ...]:
    assert work.weight is not None  # noqa: S101 - told to the type checker
    return work.weight.shape


def _is_linear(work: Workload) -> bool:
    shape, x = _weight_shape(work), work.inputs[0]
    return len(shape) == 2 and x.shape[-1:] == shape[1:]


def _is_by_channel(work: Workload) -> bool:
    shape, x = _weight_shape(work), work.inputs[0]
    return len(shape) == 1 and work.kind == "scale_shift" and shape[0] in (1, *x.shape[:1])


def _of_convolution(
    geometry: Geometry,
    weight: tuple[int, ...],
    x: tuple[int, ...],
    y: tuple[int, ...],
    values: float | Array,
) -> Array:
    axes = incidences(geometry, weight[2:], x[1:], y[1:])
    if np.ndim(values) == 0:
        counts = np.asarray(float(values))
        for axis in axes:
            counts = np.multiply.outer(counts, axis.sum(axis=1))
        return counts[None, None]
    each = np.broadcast_to(np.asarray(values, dtype=np.float64), x)
    for axis in axes:  # the first position axis goes, its points of the kernel come last
        each = np.tensordot(each, axis, axes=([1], [1]))
    return _grouped(geometry, weight, each)


def _grouped(geometry: Geometry, weight: tuple[int, ...], channels: Array) -> Array:
    """``[in channels, *rest]`` as the weight has it: ``[out, in / groups, *rest]``, or transposed."""
    if geometry.transposed:
        return channels[:, None]
    groups = channels.reshape(geometry.groups, -1, *channels.shape[1:])
    return np.repeat(groups, weight[0] // geometry.groups, axis=0)


def positions(geometry: Geometry, kernel: Sequence[int], source: Sequence[int]) -> tuple[int, ...]:
    """How many positions of the output there are along each axis.

    Args:
        geometry: of the convolution.
        kernel: points along each axis.
        source: positions of the input.

    Example:
        >>> positions(Geometry((2,), (1,), ((1, 1),)), (3,), (8,))
        (4,)
    """
    made = []
    for k, n, stride, dilation, pads in zip(
        kernel, source, geometry.stride, geometry.dilation, geometry.padding, strict=True
    ):
        reach = dilation * (k - 1) + 1
        if geometry.transposed:
            made.append((n - 1) * stride + reach - sum(pads))
        else:
            made.append((n + sum(pads) - reach) // stride + 1)
    return tuple(made)


def incidences(
    geometry: Geometry, kernel: tuple[int, ...], source: tuple[int, ...], made: tuple[int, ...]
) -> tuple[Array, ...]:
    """For each axis: how often each point of the kernel meets each position of the input.

    Args:
        geometry: of the convolution.
        kernel: points along each axis.
        source: positions of the input.
        made: positions of the output.

    Returns:
        Arrays ``[points of the kernel, positions of the input]``.
    """
    return tuple(
        _incidence(k, n, m, stride, dilation, pads, geometry.mode, geometry.transposed)
        for k, n, m, stride, dilation, pads in zip(
            kernel, source, made, geometry.stride, geometry.dilation, geometry.padding, strict=True
        )
    )


@lru_cache(maxsize=1024)
def _incidence(
    kernel: int,
    source: int,
    made: int,
    stride: int,
    dilation: int,
    pads: tuple[int, int],
    mode: str,
    transposed: bool,
) -> Array:
    found = np.zeros((kernel, source))
    points = dilation * np.arange(kernel)[:, None] - pads[0]
    if transposed:
        target = stride * np.arange(source)[None, :] + points
        found += (target >= 0) & (target < made)
    else:
        read = stride * np.arange(made)[None, :] + points
        places = np.arange(source)
        if mode != "zeros":
            places, read = np.pad(places, pads, _PADS[mode]), read + pads[0]  # type: ignore[call-overload]
        for point in range(kernel):
            inside = read[point][(read[point] >= 0) & (read[point] < len(places))]
            np.add.at(found[point], places[inside], 1.0)
    found.setflags(write=False)
    return found
