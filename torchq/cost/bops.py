"""``bops``: bit operations of the multiplications and of their accumulation, as UNIQ counts them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from torchq.cost.base import TARGETS, Costs, Price
from torchq.cost.meetings import factors, mean_sums, mean_width, widths
from torchq.workload import ParamSpec, TensorSpec, Workload

NAMES = ("bops", "bops_multiply", "bops_accumulate")


class _Bops(NamedTuple):
    multiply: float
    accumulate: float


@TARGETS.register("bops")
@dataclass(frozen=True)
class Bops:
    """Bit operations: ``bits(weight) * bits(input)`` for a product, and the accumulator's bits to add it.

    For a layer that sums ``n`` products to each output, of weights of ``w`` bits and inputs of ``a`` bits, a
    share ``p`` of the weights being zero, ::

        bops = macs * ((1 - p) * w * a + w + a + log2(n))

    (UNIQ, arXiv:1804.10969, with the discount for zero weights of arXiv:2102.11289, which hls4ml's papers
    use.) ``bops_multiply`` is the first summand alone, which QONNX's ``inference_cost`` reports as
    ``total_bops``; ``bops_accumulate`` is the rest. Widths count the sign; what has no format counts 32 bits.
    Products with padded zeros count, as in ``macs``. Biases, additions of tensors and tables are not counted.
    """

    units: ClassVar[Mapping[str, str]] = {"bops": "bit operation"}

    def price(self, workloads: Sequence[Workload]) -> Price:
        """Count each layer and sum up.

        Raises:
            CostError: a layer that multiplies one tensor with something that its workload does not name.
        """
        layers = tuple(_row(work) for work in workloads)
        return Price({name: sum((row[name] for row in layers), 0.0) for name in NAMES}, layers)


def _row(work: Workload) -> Costs:
    parts = [
        _of_two(o.count, mean_width(o.operands[0]), mean_width(o.operands[1]), 1)
        for o in work.operations
        if o.sort == "multiply"
    ]
    if work.macs and work.weight is not None:
        parts.append(_of_weights(work, work.weight, work.inputs[0]))
    elif work.macs:
        a, b = factors(work, "bops")
        parts.append(_of_two(work.macs, mean_width(a.format), mean_width(b.format), work.fan_in))
    multiply = sum((part.multiply for part in parts), 0.0)
    accumulate = sum((part.accumulate for part in parts), 0.0)
    return {"bops": multiply + accumulate, "bops_multiply": multiply, "bops_accumulate": accumulate}


def _of_weights(work: Workload, weight: ParamSpec, x: TensorSpec) -> _Bops:
    a, w = widths(x.format, x.shape), widths(weight.format, weight.shape)
    if np.ndim(a) == 0 and np.ndim(w) == 0:
        alive = 1 - weight.zeros / weight.count if weight.count else 0.0
        return _of_two(work.macs, float(w), float(a), work.fan_in, alive)
    met = np.broadcast_to(np.asarray(mean_sums(work, a)), weight.shape)
    alike = np.broadcast_to(np.asarray(w), weight.shape)
    kept = 1.0 if weight.values is None else weight.values != 0
    uses = work.macs / weight.count
    added = met.sum() + uses * alike.sum() + work.macs * math.log2(max(work.fan_in, 1))
    return _Bops(float((alike * kept * met).sum()), float(added))


def _of_two(count: int, w: float, a: float, fan_in: int, alive: float = 1.0) -> _Bops:
    return _Bops(count * alive * w * a, count * (w + a + math.log2(max(fan_in, 1))))
