"""Whether a quantizer does nothing but round to its format: asked of the quantizer itself."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from torchq.formats import FixedPoint

_MOST_CODES = 4096
_FEW_CODES = 32
_TINY = 2.0**-900
"""What stands for one ulp beside zero."""


def plain_rounding(
    module: nn.Module, grid: FixedPoint, shape: tuple[int, ...] = (1,), *, relu: bool = False
) -> bool:
    """Whether ``module(x)`` is ``grid.quantize(x)`` (of ``max(x, 0)`` with ``relu``) wherever it is asked.

    It is asked in float64 at the codes of the range and beyond its ends, halfway between them, one ulp beside
    all of these, and far away; where formats differ, every element at the points of each of them. No list of
    quantizers that are known to be plain has to be kept.

    Args:
        module: may be changed (its dtype); hand in a copy.
        grid: a format that broadcasts against the samples.
        shape: of one sample.
        relu: whether the module contains a relu.

    Example:
        >>> from torchq.quantizers import parse
        >>> q = parse("quantized_bits(4,1,alpha=1)")
        >>> plain_rounding(q, q.format), plain_rounding(q, FixedPoint(4, 1))
        (True, False)
    """
    points = _points(grid) if grid.is_scalar else np.unique(np.concatenate(list(_of_each(grid))))
    whole = (1,) if grid.is_scalar else shape
    x = np.array(np.broadcast_to(points.reshape(-1, *(1,) * len(whole)), (len(points), *whole)))
    with torch.no_grad():
        got = module.to(torch.float64).eval()(torch.from_numpy(x)).numpy()
    return bool(np.array_equal(got, grid.quantize(np.maximum(x, 0) if relu else x)))


def _of_each(grid: FixedPoint) -> Iterator[npt.NDArray[np.float64]]:
    """The points of each different format; few of each, for every element is asked at all of them."""
    fields = np.broadcast_arrays(grid.width, grid.integer, grid.signed)
    for width, integer, signed in sorted(set(zip(*(f.ravel().tolist() for f in fields), strict=True))):
        one = FixedPoint(width, integer, bool(signed), grid.rounding, grid.overflow)
        yield _points(one, _FEW_CODES)


def _points(grid: FixedPoint, most: int = _MOST_CODES) -> npt.NDArray[np.float64]:
    low, high = int(grid.code_min) - 3, int(grid.code_max) + 3
    codes = np.unique(np.linspace(low, high, min(high - low + 1, most)).round())
    codes = np.unique(
        np.concatenate([codes, np.arange(-3.0, 4.0), low + np.arange(6.0), high - np.arange(6.0)])
    )
    points = np.concatenate([codes, codes + 0.5, codes + 0.25, codes * 64]) * float(grid.lsb)
    tiny = np.where(points == 0, _TINY, 0.0)  # one ulp beside zero is lost as soon as it is divided
    above = np.where(points == 0, tiny, np.nextafter(points, np.inf))
    return np.concatenate([points, above, np.where(points == 0, -tiny, np.nextafter(points, -np.inf))])
