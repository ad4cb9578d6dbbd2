"""``bits``: how many bits the parameters take, as QKeras's ``print_qstats`` counts them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torchq.cost.base import TARGETS, Costs, Price
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

    unit: ClassVar[str] = "bit"

    def price(self, workloads: Sequence[Workload]) -> Price:
        """Count each layer and sum up."""
        layers = tuple(_count(work) for work in workloads)
        names = ("bits", "bits_weight", "bits_bias", "bits_activation")
        return Price({name: sum(layer[name] for layer in layers) for name in names}, layers)


def quantizes(work: Workload) -> bool:
    """Whether the layer's output is what a quantizer made, or a float that is stored: no accumulator.

    Layers that sum products hand on the bare accumulator unless they have an output quantizer; all others
    but the wires (``"input"``, ``"identity"``) are activations.
    """
    if work.kind in ("input", "identity"):
        return False
    if work.fan_in == 0:
        return True
    return work.output.format is not None and work.output.format != work.accumulator


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
