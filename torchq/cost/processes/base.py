"""``Process``: what one operation and one memory access cost in a technology, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torchq.errors import CostError

Polynomial = tuple[float, ...]
"""Coefficients, highest power first."""


@dataclass(frozen=True)
class Process:
    """Energies of a technology node. Polynomials below zero count as zero.

    Args:
        name: its name in the registry.
        source: where the figures come from.
        fixed_add: pJ of an integer addition, in its bits. Gates (mux, xor, and, shifter) are priced as
            additions of so many bits, times their gate factor.
        fixed_mul: pJ of an integer multiplication, in its bits.
        float_add: pJ of a floating-point addition, by width.
        float_mul: pJ of a floating-point multiplication, by width.
        sram_word: pJ to read or write one word of on-chip memory, in log2 of the memory's size in bits.
        word_bits: bits of one such word.
        dram: pJ to read or write off-chip memory, in bits.

    Example:
        >>> from torchq.cost.processes import PROCESSES
        >>> PROCESSES.get("horowitz").gate("add", 32)
        0.1
    """

    name: str
    source: str
    fixed_add: Polynomial
    fixed_mul: Polynomial
    float_add: Mapping[int, float]
    float_mul: Mapping[int, float]
    sram_word: Polynomial
    word_bits: int
    dram: Polynomial

    def gate(self, gate: str, bits: float) -> float:
        """The energy of an integer operation of so many bits, in pJ.

        Args:
            gate: ``"mul"``, or anything else: ``"add"``, ``"mux"``, ``"xor"``, ``"and"``, ``"shifter"``.
            bits: its width; need not be whole.
        """
        return _value(self.fixed_mul if gate == "mul" else self.fixed_add, bits)

    def floating(self, gate: str, width: int) -> float:
        """The energy of a floating-point operation, in pJ.

        Args:
            gate: ``"mul"`` or ``"add"``.
            width: 16 or 32.

        Raises:
            CostError: the process has no figure for this width.
        """
        table = self.float_mul if gate == "mul" else self.float_add
        if width not in table:
            known = ", ".join(str(w) for w in sorted(table))
            raise CostError(
                f"process {self.name} has no energy for {width}-bit floats (it has {known})",
                hint="put quantizers on the layer, or add the figure to the process",
            )
        return table[width]

    def sram(self, log2_size: float) -> float:
        """The energy of one word of a memory of ``2**log2_size`` bits, in pJ."""
        return _value(self.sram_word, log2_size)

    def off_chip(self, bits: float) -> float:
        """The energy to move so many bits from or to DRAM, in pJ."""
        return _value(self.dram, bits)


def _value(coefficients: Polynomial, x: float) -> float:
    value = 0.0
    for c in coefficients:
        value = value * x + c
    return max(value, 0.0)
