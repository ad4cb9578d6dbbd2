"""``ebops``: HGQ's effective bit operations, what a network's multiplications cost in unrolled logic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from torchq.cost.base import TARGETS, Costs, Price
from torchq.cost.constants import constant_bits
from torchq.cost.meetings import factors, is_exact, mean_width, sums, widths
from torchq.workload import Operation, Workload


@TARGETS.register("ebops")
@dataclass(frozen=True)
class Ebops:
    """Effective bit operations: for every multiplication the bits of one factor times the bits of the other.

    ``ebops = sum(bits(weight) * bits(input))`` over all multiplications of one inference (arXiv:2405.00645,
    where they follow the LUTs of unrolled designs, with 55 for a DSP).

    - A weight is a constant: its bits are those between its highest and its lowest set bit, both included;
      the sign is not counted and a zero costs nothing. Where only the format is known, its width less the
      sign.
    - An input, and either factor of a product of two tensors, counts all bits of its format, the sign
      included.
    - What is padded with zeros is multiplied with nothing. Every position of a convolution has multipliers of
      its own.
    - Additions are not counted. The bits that biases add are ``ebops_bias``, beside ``ebops`` and no part of
      it (HGQ2 adds them, the paper does not).
    - What has no format counts 32 bits.

    A gradient with respect to the bits: :func:`torchq.cost.ebops_of`.
    """

    units: ClassVar[Mapping[str, str]] = {"ebops": "bit operation"}

    def price(self, workloads: Sequence[Workload]) -> Price:
        """Count each layer and sum up.

        Raises:
            CostError: a layer that multiplies one tensor with something that its workload does not name.
        """
        layers = tuple(_row(work) for work in workloads)
        total = {name: sum((row[name] for row in layers), 0.0) for name in ("ebops", "ebops_bias")}
        vague = [work.layer for work in workloads if work.macs and not _is_exact(work)]
        notes = {}
        if vague:
            notes["ebops"] = (
                f"source=formula, with mean bits and padded zeros where the workload does not say "
                f"which values meet: {', '.join(vague)}"
            )
        return Price(total, layers, notes)


def _row(work: Workload) -> Costs:
    products = sum((_of_operation(operation) for operation in work.operations), _of_macs(work))
    bias = 0.0
    if work.bias is not None and work.bias.count:
        bits = np.broadcast_to(np.asarray(constant_bits(work.bias)), work.bias.shape)
        bias = float(bits.sum()) * work.output.count / work.bias.count
    return {"ebops": products, "ebops_bias": bias}


def _of_macs(work: Workload) -> float:
    if not work.macs:
        return 0.0
    if work.weight is not None:
        read = work.inputs[0]
        met = sums(work, widths(read.format, read.shape))
        bits = constant_bits(work.weight)
        if np.ndim(bits) == 0:  # all weights alike
            return float(bits) * float(np.broadcast_to(np.asarray(met), work.weight.shape).sum())
        if np.ndim(met) == 0:
            return float(np.sum(bits)) * float(met)
        return float(np.sum(bits * met))
    a, b = factors(work, "ebops")
    if work.kind == "mul":
        products = np.asarray(widths(a.format, a.shape)) * np.asarray(widths(b.format, b.shape))
        return float(np.broadcast_to(products, work.output.shape).sum())
    return work.macs * mean_width(a.format) * mean_width(b.format)


def _of_operation(operation: Operation) -> float:
    if operation.sort != "multiply":
        return 0.0
    a, b = operation.operands
    return operation.count * mean_width(a) * mean_width(b)


def _is_exact(work: Workload) -> bool:
    if work.weight is not None:
        return is_exact(work)
    return work.kind == "mul" or all(np.ndim(widths(x.format, x.shape)) == 0 for x in work.inputs)
