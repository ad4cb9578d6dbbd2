"""``energy_pj``: QTools' energy of one inference, split into inputs, outputs, parameters and operations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from torchq.cost.base import TARGETS, Costs, Price
from torchq.cost.bits import quantizes
from torchq.cost.border import border
from torchq.cost.memory import MEMORIES, Memory
from torchq.cost.operators import Operand, Sort, accumulator, multiplier, operand
from torchq.cost.pairs import operand_pairs
from torchq.cost.processes import PROCESSES, Process
from torchq.errors import CostError, UnknownNameError
from torchq.formats import FixedPoint
from torchq.workload import Workload

PARTS = ("inputs", "outputs", "parameters", "op_cost")
"""What a layer's energy is split into."""

_MACS = ("inputs", "parameters", "op_cost")
_STORED = ("outputs",)
COUNTED: Mapping[str, tuple[str, ...]] = {
    "input": (),
    "identity": (),
    "linear": _MACS,
    "conv1d": _MACS,
    "conv2d": _MACS,
    "conv_transpose1d": _MACS,
    "conv_transpose2d": _MACS,
    "scale_shift": _MACS,
    "average_pool": _MACS,
    "max_pool": ("op_cost",),
    "quantize": _STORED,
    "relu": _STORED,
    "softmax": _STORED,
    "table": _STORED,
    "embedding": _STORED,
    "layer_norm": ("parameters", "outputs"),
    "rnn": _STORED,
    "lstm": _STORED,
    "gru": _STORED,
    "matmul": ("inputs", "op_cost"),
    "mul": ("inputs", "op_cost"),
    "add": _STORED,
    "concat": _STORED,
    "attention": _MACS,
}
"""Which parts of a layer's energy are summed, by its kind (QTools' ``include_energy``).

Beside them the ``outputs`` of a product layer with its own output quantizer count, and nothing of a relu
that only drops the sign: each tensor is paid for once when a quantizer makes it and once when a product layer
reads it, however the layers are cut. Recurrent layers and attention are priced product by product; of tables,
sums of tensors, gates and normalisation only what is stored has a price (QTools has no figure for the rest).
"""

_KINDS = {
    "process": str,
    "weights_on_memory": str,
    "activations_on_memory": str,
    "min_sram_size": int,
    "rd_wr_on_io": bool,
    "accumulator": str | None,
}
_WORDS = {str: "a name", int: "a whole number of bits", bool: "true or false", str | None: "a format as text"}


@TARGETS.register("energy_pj")
@dataclass(frozen=True)
class Energy:
    """Energy of one inference in pJ, by QTools' operator and memory model.

    A multiplication is priced by the gate that builds it from the two formats (multiplier, shifter,
    multiplexer, XOR, AND, adder), the addition of each product by the width of the accumulator; tensors and
    parameters by the memory they stand in. ``energy_pj`` sums the parts that QTools' ``include_energy`` names
    (``energy_sum`` there, not cut to whole pJ); ``energy_pj_all`` sums all parts of all layers
    (``total_cost`` there). The defaults reproduce the energy table of arXiv:2006.10159.

    Formats per channel or element, which QTools cannot say, are priced product by product; a pruned element
    (width zero) costs nothing. Differences from QTools: ``docs/qtools-differences.md``.

    The quantizer of the model's input is QTools' ``source_quantizers``: the type of what comes in, no layer
    with a price. A model that ends in logits has no softmax row; ``estimate(..., softmax=True)`` adds one.

    Args:
        process: the technology, by name.
        weights_on_memory: where the parameters stand: ``"sram"``, ``"dram"`` or ``"fixed"`` (in logic: free).
        activations_on_memory: where the tensors between layers stand, likewise.
        min_sram_size: smallest on-chip memory, in bits.
        rd_wr_on_io: whether the model's input and output stand off chip (otherwise in SRAM, also where
            ``activations_on_memory`` is ``"fixed"``).
        accumulator: the format of every accumulator, such as ``"ap_fixed<32,11>"`` (QTools'
            ``keras_accumulator`` of a reference run); None: as wide as the sum needs.

    Raises:
        CostError: a negative size, or a value of the wrong type.
        UnknownNameError: an unknown process or memory.
        FormatError: ``accumulator`` is no format.
    """

    process: str = "horowitz"
    weights_on_memory: str = "sram"
    activations_on_memory: str = "sram"
    min_sram_size: int = 8 * 16 * 1024 * 1024
    rd_wr_on_io: bool = False
    accumulator: str | None = None

    units: ClassVar[Mapping[str, str]] = {"energy_pj": "pJ"}

    def __post_init__(self) -> None:
        for name, kind in _KINDS.items():
            value = getattr(self, name)
            if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
                raise CostError(f"{name} must be {_WORDS[kind]}, got {value!r}")
        PROCESSES.get(self.process)
        for name in ("weights_on_memory", "activations_on_memory"):
            try:
                MEMORIES.get(getattr(self, name))
            except UnknownNameError as fault:
                raise UnknownNameError(f"{name}: {fault.message}", hint=fault.hint) from None
        if self.min_sram_size < 0:
            raise CostError(f"min_sram_size must be at least 0, got {self.min_sram_size}")
        if self.accumulator is not None:
            FixedPoint.parse(self.accumulator)

    def price(self, workloads: Sequence[Workload]) -> Price:
        """Price each layer and sum up.

        Raises:
            CostError: a kind of layer that this target has no rule for, or a float width that the process has
                no figure for.
        """
        process = PROCESSES.get(self.process)
        memory = Memory(
            process, self.weights_on_memory, self.activations_on_memory, self.min_sram_size, self.rd_wr_on_io
        )
        total = None if self.accumulator is None else operand(FixedPoint.parse(self.accumulator))
        sources, firsts, lasts = border(workloads)
        layers = []
        for work in workloads:
            parts = dict.fromkeys(PARTS, 0.0)
            if work.kind not in COUNTED:
                raise CostError(
                    f"{work.layer}: energy_pj has no rule for layers of kind {work.kind!r}",
                    hint=f"Known: {', '.join(sorted(COUNTED))}",
                )
            counted = () if work.layer in sources else COUNTED[work.kind]
            if counted:
                read = [memory.tensor(x.bits, work.layer in firsts) for x in work.inputs]
                parts["inputs"] = sum(read, 0.0)
                parts["outputs"] = memory.tensor(work.output.bits, work.layer in lasts)
                parts["parameters"] = sum((memory.parameter(p.bits) for p in work.parameters), 0.0)
                parts["op_cost"] = _operations(work, process, total)
                stored = quantizes(work)
                if work.fan_in and stored:
                    counted = (*counted, "outputs")
                elif not work.fan_in and not stored:
                    counted = ()
            row = {"energy_pj": sum((parts[name] for name in counted), 0.0)}
            row.update((f"energy_pj_{name}", value) for name, value in parts.items())
            layers.append(row)
        return Price(_sum_up(layers), tuple(layers))


def _sum_up(layers: Sequence[Costs]) -> Costs:
    names = ("energy_pj", *(f"energy_pj_{part}" for part in PARTS))
    total = {name: sum((layer[name] for layer in layers), 0.0) for name in names}
    total["energy_pj_all"] = sum(total[f"energy_pj_{part}"] for part in PARTS)
    return total


def _operations(work: Workload, process: Process, accumulator_type: Operand | None) -> float:
    """All multiplications and additions of a layer, in pJ."""
    if work.macs == 0 or (work.weight is None and len(work.inputs) < 2):
        return 0.0
    other = work.inputs[1].format if work.weight is None else work.weight.format
    total = accumulator_type
    if total is None:
        product = multiplier(operand(other), operand(work.inputs[0].format)).product
        total = accumulator(product, work.fan_in, operand(work.bias.format) if work.bias else None)
    add = _operation(process, "add", total.sort, total.bits)
    energy = 0.0
    for weight, x, count in operand_pairs(work):
        m = multiplier(weight, x)
        energy += count * (m.factor * _operation(process, m.gate, m.product.sort, m.bits) + add)
    return energy


def _operation(process: Process, gate: str, sort: Sort, bits: float) -> float:
    return process.floating(gate, int(bits)) if sort is Sort.FLOAT else process.gate(gate, bits)
