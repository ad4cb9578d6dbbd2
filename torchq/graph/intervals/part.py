"""``Part`` and ``Found``: what is known of a layer's result, and of what it computes on the way to it."""

from __future__ import annotations

from dataclasses import dataclass

from torchq.formats import FixedPoint, Format
from torchq.graph.intervals.interval import Interval, Value


@dataclass(frozen=True, eq=False)
class Part:
    """One step of a layer: a product, a sum, a table.

    Args:
        name: of the workload that it is, or the layer's name, a point, and what the step makes.
        kind: ``"linear"``, ``"matmul"``, ``"sum"``, ``"product"``, ``"table"``, ``"quantize"``, ...
        product: the range of each product; None if nothing is multiplied.
        total: the range of the sum of the products and the bias, or of what is summed without products.
        output: the range of what leaves the step.
        factors: the formats of what is multiplied, or summed.
        product_type: the format of a product that follows from the factors.
        total_type: the format of the sum that follows from it.
        format: of what leaves the step.
    """

    name: str
    kind: str
    product: Interval | None = None
    total: Interval | None = None
    output: Interval | None = None
    factors: tuple[Format | None, ...] = ()
    product_type: FixedPoint | None = None
    total_type: FixedPoint | None = None
    format: Format | None = None


@dataclass(frozen=True, eq=False)
class Found:
    """What is known of a node.

    Args:
        value: the range of what leaves it.
        parts: its steps in the order of computation; the last one has the node's name, unless all that it
            does is to move values.
    """

    value: Value
    parts: tuple[Part, ...] = ()
