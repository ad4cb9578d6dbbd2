"""``fpga``: what a network takes of an FPGA, by formulas whose coefficients and errors were measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from torchq.cost.base import TARGETS, Costs, Price
from torchq.cost.fpga.coefficients import coefficients
from torchq.cost.fpga.figures import Figures
from torchq.cost.fpga.network import Priced, priced
from torchq.cost.fpga.settings import Build
from torchq.workload import Workload


@TARGETS.register("fpga")
@dataclass(frozen=True)
class Fpga:
    """LUTs, flip-flops, DSPs, block memories, latency and initiation interval on an UltraScale+ FPGA.

    An estimate: formulas with a few coefficients, fitted on designs that yosys synthesised, with the errors
    on designs that the fit did not see in the notes. LUTs are primitives before placement; a placer packs
    them into fewer sites. With the weights' values known the signed digits of each are counted; else they
    follow from formats and the number of zeros. ``docs/fpga-estimates.md`` says what was measured.

    Args:
        strategy: ``"distributed_arithmetic"`` (shared adders), ``"latency"`` (a multiplication for each
            weight) or ``"resource"`` (multipliers that are used several times).
        reuse_factor: how often a multiplier is used for one sample; above 1 with ``resource`` only.
        clock_ns: the clock period; a pipeline stage has as many adders as are planned to fit, 1.2 ns each.
        dsp_from_bits: from which width of a factor on a multiplication is a DSP's (``latency``,
            ``resource``). With fewer it moves to LUTs: below 10 in arXiv:2006.10159.
        io_type: ``"io_parallel"`` (all positions of a convolution at once) or ``"io_stream"`` (one after the
            other).
        parallelization: with ``io_parallel``, how many positions are computed at once; 0 for all.
        adders: ``"fitted"``, or ``"alkaid"``: alkaid solves every matrix and counts its adders, which is
            nearer and takes seconds.
    """

    units: ClassVar[Mapping[str, str]] = {
        "lut": "LUT",
        "ff": "FF",
        "dsp": "DSP",
        "bram": "BRAM18",
        "latency_cycles": "cycles",
        "latency_ns": "ns",
        "initiation_interval": "cycles",
    }

    strategy: str = "distributed_arithmetic"
    reuse_factor: int = 1
    clock_ns: float = 5.0
    dsp_from_bits: int = 10
    io_type: str = "io_parallel"
    parallelization: int = 0
    adders: str = "fitted"

    def __post_init__(self) -> None:
        self._build()

    def price(self, workloads: Sequence[Workload]) -> Price:
        """Layer by layer: resources add up, latency along the longest path, the longest interval holds.

        Raises:
            CostError: alkaid is asked for and missing, or weights are not known.
        """
        found = priced(workloads, self._build())
        layers = tuple(_costs(made, self.clock_ns) for made in found.layers)
        summed = ("lut", "ff", "dsp", "bram")
        total = {name: sum(layer[name] for layer in layers) for name in summed}
        total["latency_cycles"] = found.cycles
        total["latency_ns"] = found.cycles * self.clock_ns
        total["initiation_interval"] = found.interval if layers else 0
        return Price(total, layers, _notes(found, self._build()))

    def _build(self) -> Build:
        return Build(
            self.strategy,
            self.reuse_factor,
            self.clock_ns,
            self.dsp_from_bits,
            self.io_type,
            self.parallelization,
            self.adders,
        )


def _costs(made: Figures, clock_ns: float) -> Costs:
    return {
        "lut": round(made.lut),
        "ff": round(made.ff),
        "dsp": round(made.dsp),
        "bram": round(made.bram),
        "latency_cycles": made.cycles,
        "latency_ns": made.cycles * clock_ns,
        "initiation_interval": made.interval,
    }


def _notes(found: Priced, build: Build) -> dict[str, str]:
    """Where each figure comes from and how wrong it was on designs that the fit did not see."""
    errors = coefficients().errors
    strategy = "latency" if build.strategy == "resource" and build.reuse_factor == 1 else build.strategy
    if build.adders == "alkaid":
        strategy, knowledge = "alkaid", "values"
    else:
        knowledge = "formats" if found.guessed else "values"
    known = errors[strategy][knowledge]
    of = {"values": "weights known", "formats": "from formats and zeros alone"}[knowledge]
    tail = ""
    if found.unmeasured:
        tail += f"; by formula, not measured: {', '.join(found.unmeasured)}"
    if found.floats:
        tail += f"; counted as 32 bits, for it is float: {', '.join(found.floats)}"
    notes = {}
    for figure in ("lut", "ff", "dsp"):
        notes[figure] = (
            f"source=estimate: {build.strategy}, yosys primitives, {of}{_error(known, figure)}{tail}"
        )
    notes["bram"] = f"source=estimate: by formula, for no measured design has a block memory{tail}"
    notes["latency_cycles"] = f"source=estimate: {build.strategy}{_error(known, 'cycles')}{tail}"
    notes["latency_ns"] = f"source=estimate: cycles times clock_ns, no timing was run{tail}"
    notes["initiation_interval"] = f"source=estimate: by construction, equal in all simulated designs{tail}"
    return notes


def _error(errors: Mapping[str, Mapping[str, float]], name: str) -> str:
    if name not in errors:
        return ", not measured"
    found = errors[name]
    if name in ("lut", "ff"):
        median, worst = f"{100 * found['median']:.0f} %", f"{100 * found['worst']:.0f} %"
    else:
        median, worst = f"{found['median']:.0f}", f"{found['worst']:.0f}"
    return f", {found['designs']:.0f} held-out designs: median error {median}, worst {worst}"
