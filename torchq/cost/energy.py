"""``energy_pj``: QTools' energy of one inference, split into inputs, outputs, parameters and operations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from torchq.advice import advice
from torchq.cost.base import TARGETS, Costs, Price
from torchq.cost.bits import quantizes
from torchq.cost.border import border
from torchq.cost.memory import MEMORIES, Memory
from torchq.cost.operators import Operand, Rules, Sort, accumulator, multiplier, operand
from torchq.cost.pairs import operand_pairs
from torchq.cost.processes import Process, process_named
from torchq.errors import CostError, UnknownNameError
from torchq.formats import FixedPoint
from torchq.workload import Operation, Workload

PARTS = ("inputs", "outputs", "parameters", "op_cost")
"""What a layer's energy is split into."""

_MACS = ("inputs", "parameters", "op_cost")
_STORED = ("outputs",)
_CELL = ("parameters", "op_cost", "outputs")
COUNTED: Mapping[str, tuple[str, ...]] = {
    "input": (),
    "identity": (),
    "linear": _MACS,
    "conv1d": _MACS,
    "conv2d": _MACS,
    "conv_transpose1d": _MACS,
    "conv_transpose2d": _MACS,
    "scale_shift": _MACS,
    "batch_norm": ("parameters",),
    "average_pool": ("inputs", "op_cost"),
    "max_pool": ("op_cost",),
    "quantize": _CELL,
    "relu": _CELL,
    "softmax": _CELL,
    "table": ("parameters", "outputs"),
    "embedding": ("parameters", "outputs"),
    "layer_norm": (*_MACS, "outputs"),
    "rnn": _CELL,
    "lstm": _CELL,
    "gru": _CELL,
    "matmul": ("inputs", "op_cost"),
    "mul": ("inputs", "op_cost"),
    "add": ("op_cost",),
    "concat": _STORED,
    "attention": _MACS,
}
"""Which parts of a layer's energy are summed, by its kind (QTools' ``include_energy``, and ours where it has
no figure).

Beside them the ``outputs`` of a layer with products or sums and an output quantizer of its own count, and
nothing of a relu that only drops the sign or of tensors that are joined as they are: each tensor is paid for
once when a quantizer makes it and once when a layer with products reads it, however the layers are cut.
``parameters`` holds the looks into tables; recurrent layers and attention are priced part by part. A
``batch_norm`` is one that was left as it is (:func:`torchq.cost.with_batch_norms`), as QTools counts it.
"""

_LOOKED_UP = ("embedding", "batch_norm")
"""Kinds whose weight is read by rows, which their tables say."""

MAXIMUM = 0.2
"""A comparison of two numbers that keeps one, relative to an addition of their bits: QTools' factor for
layers that merge tensors by their maximum."""

_KINDS = {
    "process": str,
    "weights_on_memory": str,
    "activations_on_memory": str,
    "min_sram_size": int,
    "rd_wr_on_io": bool,
    "accumulator": str | None,
    "rules": str,
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

    What QTools has no figure for is priced with the same gates and memories: sums of pools, gates of
    recurrent cells, the steps of a table softmax and of a layer norm, comparisons, reads of tables. Formats
    per channel or element, which QTools cannot say, are priced product by product; a pruned element (width
    zero) costs nothing. Differences from QTools: ``docs/qtools-differences.md``.

    The quantizer of the model's input is QTools' ``source_quantizers``: the type of what comes in, no layer
    with a price. A model that ends in logits has no softmax row; ``estimate(..., softmax=True)`` adds one.

    Args:
        process: the technology: a name in ``PROCESSES``, or the path of a ``.toml`` file that describes one.
        weights_on_memory: where parameters and tables stand: ``"sram"``, ``"dram"`` or ``"fixed"`` (in logic:
            free).
        activations_on_memory: where the tensors between layers stand, likewise.
        min_sram_size: smallest on-chip memory, in bits.
        rd_wr_on_io: whether the model's input and output stand off chip (otherwise in SRAM, also where
            ``activations_on_memory`` is ``"fixed"``).
        accumulator: the format of every accumulator, such as ``"ap_fixed<32,11>"`` (QTools'
            ``keras_accumulator`` of a reference run); None: as wide as the sum needs.
        rules: whose widths of products and sums: ``"qtools"`` for QTools as it is since March 2022,
            ``"qtools-2020"`` for what it was when the energy table of arXiv:2006.10159 was made. They differ
            by one bit; see :class:`~torchq.cost.operators.Rules`.

    Raises:
        CostError: a negative size, a value of the wrong type, or a process file that describes none.
        UnknownNameError: an unknown process or memory.
        FormatError: ``accumulator`` is no format.
    """

    process: str = "horowitz"
    weights_on_memory: str = "sram"
    activations_on_memory: str = "sram"
    min_sram_size: int = 8 * 16 * 1024 * 1024
    rd_wr_on_io: bool = False
    accumulator: str | None = None
    rules: str = Rules.QTOOLS.value

    units: ClassVar[Mapping[str, str]] = {"energy_pj": "pJ"}

    def __post_init__(self) -> None:
        for name, kind in _KINDS.items():
            value = getattr(self, name)
            if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
                raise CostError(f"{name} must be {_WORDS[kind]}, got {value!r}")
        process_named(self.process)
        for name in ("weights_on_memory", "activations_on_memory"):
            try:
                MEMORIES.get(getattr(self, name))
            except UnknownNameError as fault:
                raise UnknownNameError(f"{name}: {fault.message}", hint=fault.hint) from None
        if self.min_sram_size < 0:
            raise CostError(f"min_sram_size must be at least 0, got {self.min_sram_size}")
        if self.accumulator is not None:
            FixedPoint.parse(self.accumulator)
        known = [rules.value for rules in Rules]
        if self.rules not in known:
            raise CostError(f"unknown rules {self.rules!r}", hint=advice(self.rules, known))

    def price(self, workloads: Sequence[Workload]) -> Price:
        """Price each layer and sum up.

        Raises:
            CostError: a kind of layer that this target has no rule for, or a float width that the process has
                no figure for.
        """
        process = process_named(self.process)
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
                held = () if work.kind in _LOOKED_UP else work.parameters
                parts["parameters"] = sum((memory.parameter(p.bits) for p in held), 0.0)
                parts["parameters"] += sum((memory.table(t) for t in work.tables), 0.0)
                parts["op_cost"] = _products(work, process, total, Rules(self.rules))
                parts["op_cost"] += sum((_operations(op, process) for op in work.operations), 0.0)
                counted = _of_these(counted, work)
            row = {"energy_pj": sum((parts[name] for name in counted), 0.0)}
            row.update((f"energy_pj_{name}", value) for name, value in parts.items())
            layers.append(row)
        return Price(_sum_up(layers), tuple(layers))


def _sum_up(layers: Sequence[Costs]) -> Costs:
    names = ("energy_pj", *(f"energy_pj_{part}" for part in PARTS))
    total = {name: sum((layer[name] for layer in layers), 0.0) for name in names}
    total["energy_pj_all"] = sum(total[f"energy_pj_{part}"] for part in PARTS)
    return total


def _of_these(counted: tuple[str, ...], work: Workload) -> tuple[str, ...]:
    """The parts that count, seeing whether the layer stores what it makes."""
    if not quantizes(work):
        return tuple(part for part in counted if part != "outputs")
    computes = work.fan_in > 0 or work.accumulator is not None
    return (*counted, "outputs") if computes and "outputs" not in counted else counted


def _products(work: Workload, process: Process, accumulator_type: Operand | None, rules: Rules) -> float:
    """All multiplications of a layer that sums products, and the addition of each, in pJ."""
    if work.macs == 0 or (work.weight is None and len(work.inputs) < 2):
        return 0.0
    other = work.inputs[1].format if work.weight is None else work.weight.format
    total = accumulator_type
    if total is None:
        product = multiplier(operand(other), operand(work.inputs[0].format), rules=rules).product
        total = accumulator(
            product, work.fan_in, operand(work.bias.format) if work.bias else None, rules=rules
        )
    alone = work.weight is None and work.fan_in == 1  # a product of two tensors is added to nothing
    add = 0.0 if alone else _operation(process, "add", total.sort, total.bits)
    energy = 0.0
    for weight, x, count in operand_pairs(work):
        energy += count * (_product(weight, x, process) + add)
    return energy


def _product(a: Operand, b: Operand, process: Process) -> float:
    """One multiplication, in pJ."""
    m = multiplier(a, b)
    return m.factor * _operation(process, m.gate, m.product.sort, m.bits)


def _operations(work: Operation, process: Process) -> float:
    """So many operations of one sort, in pJ."""
    a, b = (operand(format) for format in work.operands[:2])
    if work.sort == "multiply":
        return work.count * _product(b, a, process)
    if work.result is None:
        bits = max(o.bits for o in map(operand, work.operands) if o.sort is Sort.FLOAT)
        one = _operation(process, "add", Sort.FLOAT, bits)
    else:
        one = _operation(process, "add", Sort.FIXED, operand(work.result).bits)
    return work.count * one * (MAXIMUM if work.sort == "maximum" else 1.0)


def _operation(process: Process, gate: str, sort: Sort, bits: float) -> float:
    return process.floating(gate, int(bits)) if sort is Sort.FLOAT else process.gate(gate, bits)
