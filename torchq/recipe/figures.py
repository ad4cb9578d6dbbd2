"""The figures of the hardware that a run estimates beside those that its recipe names."""

from __future__ import annotations

FPGA_FIGURES = ("ebops", "lut", "ff", "dsp", "bram", "latency_cycles", "latency_ns", "initiation_interval")
"""What the report shows of the hardware beside the figures that a recipe names."""
