"""QTools' memory model: what it costs to read a tensor from where it stands, or to write it there."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from torchq.cost.processes import Process
from torchq.registry import Registry
from torchq.workload import TableSpec

Access = Callable[[Process, int, int, bool], float]
"""Process, bits, smallest memory in bits, input and output off chip -> pJ."""

MEMORIES: Registry[Access] = Registry("memory")


@MEMORIES.register("sram")
def on_chip(process: Process, bits: int, min_sram_size: int, rd_wr_on_io: bool) -> float:  # noqa: ARG001
    """Words of on-chip memory; a word costs by the size of the memory it stands in.

    The memory is as large as the tensor, and at least ``min_sram_size`` bits.

    Example:
        >>> from torchq.cost.processes import HOROWITZ
        >>> round(on_chip(HOROWITZ, 6144, 8 * 16 * 1024 * 1024, False), 2)
        365.16
    """
    if bits <= 0:
        return 0.0
    return math.ceil(bits / process.word_bits) * process.sram(math.log2(max(bits, min_sram_size)))


@MEMORIES.register("dram")
def off_chip(process: Process, bits: int, min_sram_size: int, rd_wr_on_io: bool) -> float:
    """Off-chip memory, by the bit; with ``rd_wr_on_io`` the on-chip copy is paid for as well."""
    copy = on_chip(process, bits, min_sram_size, False) if rd_wr_on_io else 0.0
    return process.off_chip(bits) + copy


@MEMORIES.register("fixed")
def hard_wired(process: Process, bits: int, min_sram_size: int, rd_wr_on_io: bool) -> float:  # noqa: ARG001
    """Wires and constants in logic: nothing is read or written."""
    return 0.0


@dataclass(frozen=True)
class Memory:
    """Where weights and activations stand, and what reading and writing them costs.

    Args:
        process: the technology.
        weights: memory of the parameters: ``"sram"``, ``"dram"`` or ``"fixed"``.
        activations: memory of the tensors between layers, likewise.
        min_sram_size: smallest on-chip memory, in bits.
        rd_wr_on_io: whether the model's input and output stand off chip. They are read and written in DRAM
            if so and in SRAM if not, **whatever** ``activations`` says (QTools' rule).
    """

    process: Process
    weights: str
    activations: str
    min_sram_size: int
    rd_wr_on_io: bool

    def parameter(self, bits: int) -> float:
        """To read one parameter, in pJ."""
        return self._access(self.weights, bits)

    def table(self, table: TableSpec) -> float:
        """All reads of a table that stands where the parameters stand, in pJ.

        Each read fetches one row by itself: on chip the words that hold it, from a memory of the table's
        size (and at least ``min_sram_size``).

        Example:
            >>> from torchq.cost.processes import HOROWITZ
            >>> tanh = TableSpec("tanh", 1024, 8, reads=10)
            >>> round(Memory(HOROWITZ, "sram", "sram", 0, False).table(tanh), 2)
            1.55
        """
        size = max(self.min_sram_size, table.bits)
        row = MEMORIES.get(self.weights)(self.process, table.width, size, self.rd_wr_on_io)
        return table.reads * row

    def tensor(self, bits: int, at_border: bool) -> float:
        """To read or write one tensor, in pJ.

        Args:
            bits: of one sample of it.
            at_border: whether a layer reads the model's input here, or writes the model's output.
        """
        if at_border:
            return self._access("dram" if self.rd_wr_on_io else "sram", bits)
        return self._access(self.activations, bits)

    def _access(self, memory: str, bits: int) -> float:
        return MEMORIES.get(memory)(self.process, bits, self.min_sram_size, self.rd_wr_on_io)
