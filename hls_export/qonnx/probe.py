"""Whether a quantizer does nothing but round to its format: asked of the quantizer itself."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from torchq.formats import FixedPoint

_MOST_CODES = 4096


def plain_rounding(module: nn.Module, grid: FixedPoint, *, relu: bool = False) -> bool:
    """Whether ``module(x)`` is ``grid.quantize(x)`` (of ``max(x, 0)`` with ``relu``) wherever it is asked.

    It is asked in float64 at the codes of the range and beyond its ends, halfway between them, one ulp beside
    all of these, and far away. No list of quantizers that are known to be plain has to be kept.

    Args:
        module: may be changed (its dtype); hand in a copy.
        grid: a format per tensor.
        relu: whether the module contains a relu.

    Example:
        >>> from torchq.quantizers import parse
        >>> q = parse("quantized_bits(4,1,alpha=1)")
        >>> plain_rounding(q, q.format), plain_rounding(q, FixedPoint(4, 1))
        (True, False)
    """
    x = _points(grid)
    with torch.no_grad():
        got = module.to(torch.float64).eval()(torch.from_numpy(x.reshape(-1, 1))).numpy().reshape(-1)
    return bool(np.array_equal(got, grid.quantize(np.maximum(x, 0) if relu else x)))


def _points(grid: FixedPoint) -> npt.NDArray[np.float64]:
    low, high = int(grid.code_min) - 3, int(grid.code_max) + 3
    codes = np.unique(np.linspace(low, high, min(high - low + 1, _MOST_CODES)).round())
    codes = np.unique(
        np.concatenate([codes, np.arange(-3.0, 4.0), low + np.arange(6.0), high - np.arange(6.0)])
    )
    points = np.concatenate([codes, codes + 0.5, codes + 0.25, codes * 64]) * float(grid.lsb)
    return np.concatenate([points, np.nextafter(points, np.inf), np.nextafter(points, -np.inf)])
