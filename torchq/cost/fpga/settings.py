"""How a network is built on the FPGA, checked."""

from __future__ import annotations

from dataclasses import dataclass

from torchq.advice import advice
from torchq.errors import CostError

STRATEGIES = ("distributed_arithmetic", "latency", "resource")
IO_TYPES = ("io_parallel", "io_stream")
ADDERS = ("fitted", "alkaid")
ADDER_NS = 1.2
"""Delay that is planned for one adder and its wires: four of them fit into 5 ns. Nothing was timed."""


@dataclass(frozen=True)
class Build:
    """Settings of the ``fpga`` target; see there.

    Example:
        >>> Build(strategy="resource", reuse_factor=8).levels
        4
    """

    strategy: str = "distributed_arithmetic"
    reuse_factor: int = 1
    clock_ns: float = 5.0
    dsp_from_bits: int = 10
    io_type: str = "io_parallel"
    parallelization: int = 0
    adders: str = "fitted"

    def __post_init__(self) -> None:
        for name, known in (("strategy", STRATEGIES), ("io_type", IO_TYPES), ("adders", ADDERS)):
            value = getattr(self, name)
            if value not in known:
                raise CostError(f"unknown {name} {value!r}", hint=advice(str(value), list(known)))
        for name, least in (("reuse_factor", 1), ("dsp_from_bits", 1), ("parallelization", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise CostError(f"{name} must be a whole number of at least {least}, got {value!r}")
        clock = self.clock_ns
        if isinstance(clock, bool) or not isinstance(clock, (int, float)) or not 0 < clock < 1e6:
            raise CostError(f"clock_ns must be a number greater than 0, got {clock!r}")
        if self.reuse_factor > 1 and self.strategy != "resource":
            raise CostError(
                f"strategy {self.strategy} uses each multiplier once, got reuse_factor {self.reuse_factor}",
                hint="set strategy to resource",
            )
        if self.adders == "alkaid" and self.strategy != "distributed_arithmetic":
            raise CostError(
                f"alkaid counts the adders of distributed_arithmetic only, got strategy {self.strategy}",
                hint="leave adders='fitted'",
            )

    @property
    def levels(self) -> int:
        """How many adders may follow each other in a pipeline stage."""
        return max(int(self.clock_ns / ADDER_NS), 1)
