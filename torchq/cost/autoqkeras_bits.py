"""``autoqkeras_bits``: the size that AutoQKeras's goal ``bits`` compares: parameters and activations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from torchq.cost.base import TARGETS, Costs, Price
from torchq.cost.bits import quantizes
from torchq.cost.border import border
from torchq.errors import CostError
from torchq.formats import Float
from torchq.workload import ParamSpec, TensorSpec, Workload


@TARGETS.register("autoqkeras_bits")
@dataclass(frozen=True)
class AutoQKerasBits:
    """Bits of parameters and activations, as AutoQKeras's ``ForgivingFactorBits`` sums them up.

    Parameters and activations count their quantizers' bits; what has no quantizer counts ``reference_bits``
    a value. The model's input counts ``input_bits`` a value whatever its quantizer is, and its answer, which
    a softmax or sigmoid makes in Keras, ``output_bits``. (QKeras, ``autoqkeras/forgiving_metrics``.)

    Args:
        reference_bits: of a value that no quantizer made.
        input_bits: of a value of the input.
        output_bits: of a value of the answer.
        count_parameters: whether parameters count.
        count_activations: whether activations, input and answer count.

    Raises:
        CostError: a negative number of bits, or nothing that counts.
    """

    reference_bits: int = 8
    input_bits: int = 8
    output_bits: int = 8
    count_parameters: bool = True
    count_activations: bool = True

    units: ClassVar[Mapping[str, str]] = {"autoqkeras_bits": "bit"}

    def __post_init__(self) -> None:
        for name in ("reference_bits", "input_bits", "output_bits"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                raise CostError(f"{name} must be a whole number of at least 0, got {value!r}")
        if not (self.count_parameters or self.count_activations):
            raise CostError("neither parameters nor activations count", hint="let one of them count")

    def price(self, workloads: Sequence[Workload]) -> Price:
        """Count each layer and sum up."""
        ends = border(workloads)
        layers = tuple(
            self._count(work, work.layer in ends.sources, work.layer in ends.lasts) for work in workloads
        )
        names = ("autoqkeras_bits", "autoqkeras_bits_parameters", "autoqkeras_bits_activations")
        return Price({name: sum(layer[name] for layer in layers) for name in names}, layers)

    def _count(self, work: Workload, first: bool, last: bool) -> Costs:
        parameters = self._stored(work.weight) + self._stored(work.bias)
        activations = 0
        if first:
            activations = self.input_bits * work.output.count
        elif last:
            activations = self.output_bits * work.output.count
        elif quantizes(work) or work.kind in ("relu", "table", "softmax"):
            activations = self._tensor(work.output)
        counted = parameters * self.count_parameters + activations * self.count_activations
        return {
            "autoqkeras_bits": counted,
            "autoqkeras_bits_parameters": parameters,
            "autoqkeras_bits_activations": activations,
        }

    def _stored(self, spec: ParamSpec | None) -> int:
        if spec is None:
            return 0
        if spec.format is None or isinstance(spec.format, Float):
            return self.reference_bits * spec.count
        return int(spec.bits)

    def _tensor(self, spec: TensorSpec) -> int:
        if spec.format is None or isinstance(spec.format, Float):
            return self.reference_bits * spec.count
        return int(spec.bits)
