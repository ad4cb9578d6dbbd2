"""``macs``: how many multiplications one inference has, by the gate that builds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from torchq.cost.base import TARGETS, Costs, Price
from torchq.cost.constants import nonzero
from torchq.cost.operators import multiplier, operand
from torchq.cost.pairs import operand_pairs
from torchq.workload import Workload

GATES = ("mul", "shifter", "mux", "xor", "and", "add")
"""QTools' gates, :class:`torchq.cost.operators.Multiplier`."""


@TARGETS.register("macs")
@dataclass(frozen=True)
class Macs:
    """Multiplications of one inference: those that are summed by layers, and those of gates and scalings.

    - ``macs`` counts all of them, products with zero weights and with padded zeros included, as ``fan_in``
      products for each value of the output.
    - ``effective_macs`` leaves out those whose weight is zero.
    - The parts say which gate builds a product by QTools' table (arXiv:2006.10159): ``macs_mul`` multipliers,
      ``macs_shifter`` powers of two, ``macs_mux`` ternary and binary, ``macs_xor`` binary times binary,
      ``macs_and`` operands 0 and 1, ``macs_add`` powers of two times powers of two. An element that its
      format prunes (width zero) has no gate.
    """

    units: ClassVar[Mapping[str, str]] = {"macs": "multiplication", "effective_macs": "multiplication"}

    def price(self, workloads: Sequence[Workload]) -> Price:
        """Count each layer and sum up."""
        layers = tuple(_row(work) for work in workloads)
        names = ("macs", *(f"macs_{gate}" for gate in GATES), "effective_macs")
        return Price({name: sum(row[name] for row in layers) for name in names}, layers)


def _row(work: Workload) -> Costs:
    gates = dict.fromkeys(GATES, 0.0)
    if work.macs:
        for weight, x, count in operand_pairs(work):
            gates[multiplier(weight, x).gate] += count
    beside = 0
    for operation in work.operations:
        if operation.sort == "multiply":
            a, b = map(operand, operation.operands)
            gates[multiplier(a, b).gate] += operation.count
            beside += operation.count
    kept = float(work.macs)
    if work.weight is not None and work.weight.count:
        kept *= nonzero(work.weight) / work.weight.count
    counts = {f"macs_{gate}": _plain(count) for gate, count in gates.items()}
    return {"macs": work.macs + beside, **counts, "effective_macs": _plain(kept + beside)}


def _plain(count: float) -> float:
    """A whole number as an int, so that it is written as one."""
    return int(count) if count == int(count) else count
