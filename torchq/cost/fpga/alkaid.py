"""alkaid's own count of adders, for a second and slower estimate: it solves the matrix instead of guessing.

alkaid is an optional dependency (LGPL-3.0), imported by the function that uses it.
"""

from __future__ import annotations

import importlib

import numpy as np

from torchq.cost.fpga.digits import Codes
from torchq.errors import CostError


def adder_cost(weights: Codes, input_bits: int, input_signed: bool, bias: Codes | None = None) -> float:
    """The bits of all adders of ``inputs @ weights + bias`` after alkaid's optimisation.

    Args:
        weights: integer codes, ``[inputs, outputs]``.
        input_bits: width of the inputs.
        input_signed: whether they are signed.
        bias: integer codes on the grid of the products, ``[outputs]``.

    Raises:
        CostError: alkaid is not installed.
    """
    try:
        tracing = importlib.import_module("alkaid.trace")
    except ImportError:
        raise CostError(
            "alkaid is not installed, so it cannot count adders",
            hint="pip install alkaid, or leave adders='fitted'",
        ) from None
    size = len(weights)
    zeros = np.zeros(size, np.int64)
    x = tracing.FVArrayInput(size)
    x = x.quantize(zeros + int(input_signed), zeros + input_bits - int(input_signed), zeros)
    offset = np.zeros(weights.shape[1]) if bias is None else bias.astype(np.float64)
    return float(tracing.trace(x, x @ weights.astype(np.float64) + offset).cost)
