"""``Figures``: what a piece of hardware takes, and how such pieces add up."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Figures:
    """What one piece of hardware takes.

    Args:
        lut: LUT primitives.
        ff: flip-flops, the input registers not counted: they are the output registers of what stands before.
        dsp: DSP slices.
        bram: block memories of 18 kbit.
        cycles: from an input to its output.
        interval: cycles from one input to the next that it takes.
    """

    lut: float = 0.0
    ff: float = 0.0
    dsp: float = 0.0
    bram: float = 0.0
    cycles: int = 0
    interval: int = 1

    def times(self, instances: float) -> Figures:
        """So many pieces beside each other."""
        return Figures(
            self.lut * instances,
            self.ff * instances,
            self.dsp * instances,
            self.bram * instances,
            self.cycles,
            self.interval,
        )

    def beside(self, other: Figures) -> Figures:
        """Two pieces of one layer, one after the other."""
        return Figures(
            self.lut + other.lut,
            self.ff + other.ff,
            self.dsp + other.dsp,
            self.bram + other.bram,
            self.cycles + other.cycles,
            max(self.interval, other.interval),
        )
