"""``bits``: how many bits the parameters take, as QKeras's ``print_qstats`` counts them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from torchq.cost.base import TARGETS, Costs, Price
from torchq.formats import FixedPoint, Format
from torchq.workload import Workload


@TARGETS.register("bits")
@dataclass(frozen=True)
class Bits:
    """Bits of weights and biases; beside them the bits of the activations.

    ``bits`` is weights and biases. A parameter without a quantizer counts 32 bits a value, one with widths
    per channel or element counts each by its own. ``bits_activation`` counts the tensors that a quantizer
    makes (activations, a layer's own output quantizer, the model's input), not accumulators; it is no part
    of ``bits``.
    """

    units: ClassVar[Mapping[str, str]] = {"bits": "bit"}

    def price(self, workloads: Sequence[Workload]) -> Price:
        """Count each layer and sum up."""
        layers = tuple(_count(work) for work in workloads)
        names = ("bits", "bits_weight", "bits_bias", "bits_activation")
        return Price({name: sum(layer[name] for layer in layers) for name in names}, layers)


def quantizes(work: Workload) -> bool:
    """Whether the layer makes a tensor of its own: what a quantizer made of its sum or of its input.

    Not so a layer that hands on its exact sum or product, a relu that only drops the sign, tensors that are
    joined as they are, and wires.

    Example:
        >>> from torchq.workload import TensorSpec
        >>> x = TensorSpec("fc1", (64,), FixedPoint(26, 12))
        >>> def relu(made: FixedPoint) -> Workload:
        ...     return Workload("relu1", "relu", (x,), TensorSpec("relu1", (64,), made))
        >>> quantizes(relu(FixedPoint(25, 11, signed=False))), quantizes(relu(FixedPoint(6, 0, signed=False)))
        (False, True)
    """
    if work.kind in ("input", "identity", "batch_norm"):
        return False
    made = work.output.format
    if work.fan_in or work.accumulator is not None:
        return made is not None and not _is_sum(made, work.accumulator)
    if work.kind == "concat":
        return not _is_joined(made, work)
    return not (work.kind == "relu" and _is_without_sign(made, work.inputs[0].format))


def _is_sum(made: Format, total: FixedPoint | None) -> bool:
    """Whether this is the accumulator's type; one bit more may be there to hold every sum."""
    if total is None or not isinstance(made, FixedPoint) or not made.is_scalar:
        return False
    same = made.fraction == total.fraction and made.signed == total.signed
    return bool(same and made.integer - total.integer in (0, 1))


def _is_joined(made: Format | None, work: Workload) -> bool:
    """Whether every operand has kept its format."""
    if isinstance(made, FixedPoint) and not made.is_scalar:
        return True
    return all(_same(x.format, made) for x in work.inputs)


def _same(a: Format | None, b: Format | None) -> bool:
    """Equal widths and points; how a quantizer rounds does not matter."""
    if not isinstance(a, FixedPoint) or not isinstance(b, FixedPoint):
        return a == b
    fields = ((a.width, b.width), (a.integer, b.integer), (a.signed, b.signed))
    return all(np.array_equal(one, other) for one, other in fields)


def _is_without_sign(made: Format | None, source: Format | None) -> bool:
    if not isinstance(made, FixedPoint) or not isinstance(source, FixedPoint) or np.any(made.signed):
        return False
    if made.is_scalar and source.is_scalar:
        return bool(
            made.fraction == source.fraction and made.integer == source.integer - int(bool(source.signed))
        )
    magnitude = np.asarray(source.integer) - np.asarray(source.signed)
    return np.array_equal(made.integer, magnitude) and np.array_equal(made.fraction, source.fraction)


def _count(work: Workload) -> Costs:
    weight = work.weight.bits if work.weight else 0
    bias = work.bias.bits if work.bias else 0
    activation = work.output.bits if quantizes(work) else 0
    return {
        "bits": weight + bias,
        "bits_weight": weight,
        "bits_bias": bias,
        "bits_activation": activation,
    }
