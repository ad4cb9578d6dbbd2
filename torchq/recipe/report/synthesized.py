"""What open tools made of the Verilog of networks: counted primitives, beside what was estimated of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torchq.recipe.report.firmware import Verification


@dataclass(frozen=True)
class Synthesized:
    """One network.

    Attributes:
        name: what a reader calls it.
        resources: by name, such as ``"LUT"``; empty where nothing was counted.
        tool: name and version of what counted.
        notes: what its figures are.
        packed: lowest and highest number of sites that the LUTs may be packed into; empty where not known.
        estimate: what the ``fpga`` target says of the same design, by figure.
        verification: of the Verilog against torch, None where it was not simulated.
        fmax_mhz: after place and route, None where that was not done.
        placed_by: the FPGA and the tool of that.
        left_out: what was not done, and why.
        project: its folder in the run.
        seconds: what writing, simulating, counting and placing it took together.

    Example:
        >>> Synthesized("Q6", {"LUT": 40000}, estimate={"lut": 48000.0}).error("lut")
        0.2
    """

    name: str
    resources: Mapping[str, float] = field(default_factory=dict)
    tool: str = ""
    notes: tuple[str, ...] = ()
    packed: tuple[int, ...] = ()
    estimate: Mapping[str, float] = field(default_factory=dict)
    verification: Verification | None = None
    fmax_mhz: float | None = None
    placed_by: str = ""
    left_out: Mapping[str, str] = field(default_factory=dict)
    project: str = ""
    seconds: float = 0.0

    def pair(self, figure: str) -> tuple[float, float] | None:
        """A figure as estimated and as measured, None where one of them is missing."""
        estimated, measured = self.estimate.get(figure), self.resources.get(MEASURED[figure])
        return None if estimated is None or measured is None else (estimated, measured)

    def error(self, figure: str) -> float | None:
        """How far the estimate is off, as a fraction of the measurement; None where that is 0 or missing."""
        pair = self.pair(figure)
        return None if pair is None or pair[1] == 0 else (pair[0] - pair[1]) / pair[1]

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> Synthesized:
        """From the file that a run keeps of a network."""
        report, placed = facts["report"] or {}, facts["placed"] or {}
        verified = facts["verification"]
        return cls(
            name=facts["name"],
            resources=report.get("resources", {}),
            tool=report.get("tool", ""),
            notes=tuple(report.get("notes", ())),
            packed=tuple(facts.get("packed", ())),
            estimate=facts["estimate"]["total"],
            verification=None if verified is None else Verification.from_dict(verified),
            fmax_mhz=placed.get("fmax_mhz"),
            placed_by=", ".join(placed[key] for key in ("device", "tool") if key in placed),
            left_out=facts["left_out"],
            project=facts["project"],
            seconds=sum(facts["seconds"].values()),
        )


MEASURED = {"lut": "LUT", "ff": "FF", "dsp": "DSP", "bram": "BRAM18", "latency_cycles": "latency_cycles"}
"""Figure of the ``fpga`` target -> its name in a synthesis report."""


@dataclass(frozen=True)
class Synthesis:
    """All networks of a run.

    Attributes:
        designs: in order.
        left_out: why nothing was done, where a tool lacks that everything needs.
    """

    designs: tuple[Synthesized, ...] = ()
    left_out: str = ""
