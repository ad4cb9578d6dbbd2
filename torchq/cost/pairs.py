"""Which operands meet in a layer's multiplications, where formats differ from element to element."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from torchq.cost.operators import Operand, operand
from torchq.formats import FixedPoint, Format, ScaledSigns
from torchq.workload import Workload

Elements = tuple[list[Operand], npt.NDArray[np.intp]]
"""Different operands, and for each element which of them it is."""


def operand_pairs(work: Workload) -> list[tuple[Operand, Operand, float]]:
    """Weight operand, input operand, and how many multiplications there are of them.

    Pairs with an operand of no bits (a pruned one) are left out. Formats per element of the weight are told
    apart in every layer, those of the input where one value meets one column of the weight (``"linear"`` on
    a vector); elsewhere the widest of the input counts. Where there is no weight, the two tensors that the
    layer reads are multiplied (``"matmul"``).

    Args:
        work: a layer with a weight, or with two inputs.

    Example:
        >>> from torchq.workload import ParamSpec, TensorSpec
        >>> x, y = TensorSpec("x", (2,), FixedPoint(4, 1)), TensorSpec("fc", (3,), None)
        >>> weight = ParamSpec("weight", (3, 2), FixedPoint(np.array([[0], [3], [3]]), 1))
        >>> pairs = operand_pairs(Workload("fc", "linear", (x,), y, macs=6, fan_in=2, weight=weight))
        >>> [(w.bits, x.bits, count) for w, x, count in pairs]
        [(3, 4, 4.0)]
    """
    weight, x = work.weight, work.inputs[0]
    if weight is None:
        both = [operand(read.format) for read in work.inputs[:2]]
        return [(both[1], both[0], float(work.macs))] if len(both) == 2 and all(v.bits for v in both) else []
    ws = _elements(weight.format, weight.shape)
    by_column = work.kind == "linear" and x.shape == weight.shape[-1:]
    xs = _elements(x.format, x.shape) if by_column else None
    if ws is None and xs is None:
        pairs = [(operand(weight.format), operand(x.format), float(work.macs))]
    else:
        w_kinds, w_index = ws or ([operand(weight.format)], np.zeros(weight.shape, np.intp))
        x_kinds, x_index = xs or ([operand(x.format)], np.zeros((1,), np.intp))
        code = w_index * len(x_kinds) + x_index
        counts = np.bincount(code.ravel(), minlength=len(w_kinds) * len(x_kinds))
        reuse = work.macs / weight.count
        pairs = [
            (w_kinds[i // len(x_kinds)], x_kinds[i % len(x_kinds)], float(n) * reuse)
            for i, n in enumerate(counts)
        ]
    return [(w, v, n) for w, v, n in pairs if n and w.bits and v.bits]


def _elements(format: Format | None, shape: tuple[int, ...]) -> Elements | None:
    """None where one format holds for all."""
    if not isinstance(format, FixedPoint) or format.is_scalar or isinstance(format, ScaledSigns):
        return None
    columns: list[Any] = [np.broadcast_to(f, shape) for f in (format.width, format.integer, format.signed)]
    rows = np.stack([np.asarray(c, dtype=np.int64).ravel() for c in columns], axis=1)
    kinds, index = np.unique(rows, axis=0, return_inverse=True)
    operands = [operand(FixedPoint(int(w), int(i), bool(s))) for w, i, s in kinds]
    return operands, index.reshape(shape)
