"""``sparsity``: the share of weights that are exactly zero."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from torchq.cost.base import TARGETS, Costs, Price
from torchq.cost.constants import nonzero
from torchq.workload import Workload


@TARGETS.register("sparsity")
@dataclass(frozen=True)
class Sparsity:
    """Zero weights after quantization: their share, and the number of those that are left.

    ``sparsity`` is zero weights over all weights, of each layer that has weights and of the network; it is no
    cost, for more of it is better. ``nonzero_weights`` counts the others. Biases are not counted. A weight is
    zero if its quantized value is, or if its format leaves it no bits.
    """

    units: ClassVar[Mapping[str, str]] = {"sparsity": "share of weights", "nonzero_weights": "weight"}
    gains: ClassVar[frozenset[str]] = frozenset({"sparsity"})

    def price(self, workloads: Sequence[Workload]) -> Price:
        """Count each layer that has a weight, and all together."""
        counts = [
            (work.weight.count, nonzero(work.weight)) if work.weight is not None else (0, 0)
            for work in workloads
        ]
        total = _row(sum(all_ for all_, _ in counts), sum(kept for _, kept in counts))
        return Price(total, tuple(_row(*count) if count[0] else {} for count in counts))


def _row(count: int, kept: int) -> Costs:
    return {"sparsity": (count - kept) / count if count else 0.0, "nonzero_weights": kept}
