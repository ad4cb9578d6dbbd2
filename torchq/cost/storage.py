"""``memory``: the bits that parameters, tables and the tensors between layers take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import ClassVar

from torchq.cost.base import TARGETS, Price
from torchq.cost.bits import quantizes
from torchq.cost.border import border
from torchq.formats import FixedPoint
from torchq.workload import TensorSpec, Workload

NAMES = ("memory_bits", "parameter_bits", "table_bits", "activation_bits", "peak_bits")


@TARGETS.register("memory")
@dataclass(frozen=True)
class Storage:
    """How many bits one inference must store.

    - ``parameter_bits``: weights and biases, each value in its format (what ``bits`` counts).
    - ``table_bits``: tables of functions, once for each layer; an embedding's table is its weight.
    - ``activation_bits``: all tensors that stand between layers, the model's input and output included, one
      sample. Not counted: an exact sum that goes straight into its quantizer, what only drops the sign, and
      wires (reshape, flatten, dropout), which stand nowhere.
    - ``peak_bits``: the most of those bits that are needed at one time, if layers run one after the other and
      a tensor is dropped after its last reader, along branches too. While a layer runs, its inputs and its
      output stand side by side. A layer's row says how many bits are needed while it runs.
    - ``memory_bits``: parameters, tables and the peak.

    What has no format counts 32 bits a value.
    """

    units: ClassVar[Mapping[str, str]] = dict.fromkeys(NAMES, "bit")

    def price(self, workloads: Sequence[Workload]) -> Price:
        """Count each layer, and find the peak."""
        tensors = _Tensors(workloads)
        needed = tensors.needed()
        layers = tuple(
            {
                "parameter_bits": work.parameter_bits,
                "table_bits": _tables(work),
                "activation_bits": tensors.stored.get(work.output.name, 0),
                "peak_bits": bits,
            }
            for work, bits in zip(workloads, needed, strict=True)
        )
        parameters = sum(row["parameter_bits"] for row in layers)
        tables = sum(row["table_bits"] for row in layers)
        peak = max(needed, default=0)
        return Price(
            {
                "memory_bits": parameters + tables + peak,
                "parameter_bits": parameters,
                "table_bits": tables,
                "activation_bits": sum(tensors.stored.values()),
                "peak_bits": peak,
            },
            layers,
        )


class _Tensors:
    """The tensors that stand somewhere, by name, and when they are needed."""

    def __init__(self, workloads: Sequence[Workload]) -> None:
        self.workloads = workloads
        self.sources = border(workloads).sources
        self.stored: dict[str, int] = {}
        made = {work.output.name: work for work in workloads}
        read = {x.name for work in workloads for x in work.inputs}
        for work in workloads:
            if quantizes(work) or work.layer in self.sources or work.output.name not in read:
                self.stored[work.output.name] = work.output.bits
        for work in workloads:
            if work.layer in self.sources:
                continue  # what it reads is not quantized yet, and stands outside
            for x in work.inputs:
                maker = made.get(x.name)
                if maker is None or (x.name not in self.stored and _requantized(x, maker.output)):
                    self.stored[x.name] = max(self.stored.get(x.name, 0), x.bits)

    def needed(self) -> list[int]:
        """The bits of all tensors that must be there while each layer runs."""
        first: dict[str, int] = {}
        last: dict[str, int] = {}
        behind: dict[str, frozenset[str]] = {}
        for i, work in enumerate(self.workloads):
            of_inputs = [behind.get(x.name, frozenset((x.name,))) for x in work.inputs]
            reads = frozenset().union(*of_inputs) if work.layer not in self.sources else frozenset()
            name = work.output.name
            behind[name] = frozenset((name,)) if name in self.stored else reads
            for tensor in reads | behind[name]:
                if tensor in self.stored:
                    first.setdefault(tensor, i)
                    last[tensor] = i
        written = {work.output.name for work in self.workloads}
        read = {x.name for work in self.workloads for x in work.inputs}
        end = len(self.workloads) - 1
        change = [0] * (len(self.workloads) + 1)
        for tensor, bits in self.stored.items():
            change[first[tensor] if tensor in written else 0] += bits
            change[(last[tensor] if tensor in read else end) + 1] -= bits
        return list(accumulate(change))[:-1]


def _requantized(read: TensorSpec, made: TensorSpec) -> bool:
    """Whether a layer reads another format than was made: a quantizer without a row lies between."""
    if read.format is None or made.format is None:
        return read.format is not made.format
    if all(not isinstance(f, FixedPoint) or f.is_scalar for f in (read.format, made.format)):
        return read.format != made.format
    return read.bits != made.bits


def _tables(work: Workload) -> int:
    return 0 if work.kind == "embedding" else work.table_bits
