"""The range of sums of products with known weights: the weights are split by sign.

``w x`` is largest where ``x`` is at its upper end for ``w > 0`` and at its lower end for ``w < 0``. The sums
themselves are done by the layer, in float64, on integers of which it is proven that no partial sum has more
than 53 bits; wider ones are cut into pieces first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from torchq.graph.intervals.codes import MANTISSA_BITS, Codes, magnitude_bits, roomy, slim
from torchq.graph.intervals.interval import Interval, multiplied
from torchq.nn.conv import ConvLayer
from torchq.nn.conv_transpose import ConvTransposeLayer
from torchq.nn.linear import QLinear
from torchq.nn.products import ProductLayer

Products = Callable[[Tensor, Tensor], Tensor]
"""A batch and a weight -> the sums of products; bilinear, each weight at most once in each sum."""


def numbers(values: Tensor) -> npt.NDArray[np.float64]:
    """A parameter in float64."""
    found: npt.NDArray[np.float64] = values.detach().to("cpu", torch.float64).numpy()
    return found


def sums(products: Products, x: Interval, weight: Interval) -> Interval:
    """The range of all sums of products.

    Args:
        products: of a batch of samples and a weight.
        x: the samples.
        weight: constants, both ends equal.

    Example:
        >>> from torchq.graph.intervals.interval import point
        >>> x = Interval(np.array([0, -2]), np.array([3, 1]), 0)
        >>> y = sums(torch.nn.functional.linear, x, point([[1.0, -2.0]]))
        >>> y.low.tolist(), y.high.tolist()
        ([-2], [7])
    """
    ends = np.stack(roomy(max(map(magnitude_bits, (x.low, x.high))), x.low, x.high))
    with_up = exactly(products, ends, np.maximum(weight.low, 0))
    with_down = exactly(products, ends, np.minimum(weight.low, 0))
    bits = 1 + max(magnitude_bits(with_up), magnitude_bits(with_down))
    up, down = roomy(bits, with_up, with_down)
    return Interval(slim(up[0] + down[1]), slim(up[1] + down[0]), x.fraction + weight.fraction)


def each(layer: ProductLayer, x: Interval, weight: Interval) -> Interval:
    """The range of the products themselves, for each value that is read: of all products that it is in."""
    axis, low, high = _weights_of(layer, weight.low)
    along = [1] * len(x.shape)
    if axis is not None and x.shape:
        along[axis] = -1
    ends = Interval(low.reshape(along), high.reshape(along), weight.fraction)
    return multiplied(x, ends)


def _weights_of(layer: ProductLayer, weight: Codes) -> tuple[int | None, Codes, Codes]:
    """The smallest and largest weight that a value meets, and the axis of the sample that they lie along."""
    if not weight.size:
        return None, np.zeros((), np.int64), np.zeros((), np.int64)
    rows = _by_input(layer, weight)
    if rows is None:
        return None, np.asarray(weight.min()), np.asarray(weight.max())
    axis, table = rows
    return axis, table.min(axis=1), table.max(axis=1)


def _by_input(layer: ProductLayer, weight: Codes) -> tuple[int, Codes] | None:
    """The axis of the sample, and all weights of each place along it, ``[places, weights]``."""
    if isinstance(layer, QLinear):
        return -1, weight.T
    if isinstance(layer, ConvTransposeLayer):
        return 0, weight.reshape(weight.shape[0], -1)
    if isinstance(layer, ConvLayer):
        groups = int(cast("Any", layer).groups)
        split = weight.reshape(groups, weight.shape[0] // groups, weight.shape[1], -1)
        return 0, split.transpose(0, 2, 1, 3).reshape(groups * weight.shape[1], -1)
    if layer.kind == "scale_shift":
        return 0, weight[:, None]
    return None


def exactly(products: Products, x: Codes, weight: Codes, terms: int | None = None) -> Codes:
    """``products`` of integers, exactly.

    Args:
        products: what is computed; linear in both.
        x: a batch.
        weight: what it is multiplied with.
        terms: the most products that a sum has; the number of weights if left out.
    """
    count = max(weight.size, 1) if terms is None else terms
    room = MANTISSA_BITS - (_total_bits(weight) if terms is None else terms.bit_length())
    if magnitude_bits(x) <= room:
        return _in_floats(products, x, weight)
    step = max((MANTISSA_BITS - count.bit_length()) // 2, 1)
    total: Codes | None = None
    for up, piece in _pieces(x, step):
        for further, part in _pieces(weight, step):
            made = _in_floats(products, piece, part).astype(object) * (1 << (up + further))
            total = made if total is None else total + made
    return slim(_in_floats(products, x * 0, weight * 0) if total is None else total)


def _total_bits(weight: Codes) -> int:
    """The bits of the sum of all magnitudes: no sum of products of one-bit numbers has more."""
    (wide,) = roomy(magnitude_bits(weight) + max(weight.size, 1).bit_length(), weight)
    return int(np.abs(wide).sum()).bit_length() if weight.size else 0


def _pieces(codes: Codes, step: int) -> list[tuple[int, Codes]]:
    """Integers of ``step`` bits that add up to the codes, each with how far it is shifted up."""
    sign, size = np.where(codes < 0, -1, 1), np.abs(codes.astype(object))
    shifts = range(0, max(magnitude_bits(codes), 1), step)
    return [(up, np.asarray(sign * ((size >> up) & ((1 << step) - 1)))) for up in shifts]


def _in_floats(products: Products, x: Codes, weight: Codes) -> Codes:
    with torch.no_grad():
        given = (torch.from_numpy(np.ascontiguousarray(c.astype(np.float64))) for c in (x, weight))
        return products(*given).numpy().astype(np.int64)
