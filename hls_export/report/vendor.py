"""Reports of Vivado HLS, Vitis HLS and Vivado as figures: LUT, FF, DSP, memory, latency, clock.

Formats as the tools write them: ``csynth.xml`` (C synthesis; UG1399, UG902), ``cosim.rpt`` and
``vivado_synth.rpt`` (``report_utilization``, UG835).
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

from torchq.errors import BackendError

Figures = dict[str, float]

_CSYNTH = {"LUT": "LUT", "FF": "FF", "DSP": "DSP", "DSP48E": "DSP", "BRAM_18K": "BRAM18", "URAM": "URAM"}

_VSYNTH = (
    ("CLB LUTs", "LUT", 1),
    ("Slice LUTs", "LUT", 1),
    ("CLB Registers", "FF", 1),
    ("Slice Registers", "FF", 1),
    ("Block RAM Tile", "BRAM18", 2),  # a tile is two of 18 Kbit
    ("URAM", "URAM", 1),
    ("DSPs", "DSP", 1),
)


def csynth(path: Path) -> tuple[Figures, Figures, str]:
    """Figures of a C synthesis, what the FPGA has of each, and the version of the tool.

    Args:
        path: ``<top>_csynth.xml``.

    Returns:
        Resources with ``latency_cycles``, ``latency_cycles_best``, ``initiation_interval``,
        ``initiation_interval_best``, ``clock_ns`` (the estimate); what is available; the version.

    Raises:
        BackendError: the file is damaged.
    """
    try:
        root = ET.parse(path).getroot()  # noqa: S314 - a file of the user's own tool, in the user's own folder
        latency = "PerformanceEstimates/SummaryOfOverallLatency"
        found = {
            "latency_cycles": _number(root, f"{latency}/Worst-caseLatency"),
            "latency_cycles_best": _number(root, f"{latency}/Best-caseLatency"),
            "initiation_interval": _number(root, f"{latency}/Interval-max"),
            "initiation_interval_best": _number(root, f"{latency}/Interval-min"),
            "clock_ns": _number(root, "PerformanceEstimates/SummaryOfTimingAnalysis/EstimatedClockPeriod"),
        }
        used = _resources(root, "AreaEstimates/Resources")
        there = _resources(root, "AreaEstimates/AvailableResources")
        version = root.findtext("ReportVersion/Version") or ""
    except (ET.ParseError, ValueError, OSError) as fault:
        raise BackendError(f"{path} is damaged ({fault})", hint="synthesise again") from None
    return {**used, **{k: v for k, v in found.items() if v is not None}}, there, version


def _number(root: ET.Element, place: str) -> float | None:
    """A number; None where the tool does not know it (``undef``, ``-``)."""
    text = root.findtext(place)
    if text is None:
        raise ValueError(f"it has no {place}")
    return float(text) if re.fullmatch(r"[0-9.]+", text.strip()) else None


def _resources(root: ET.Element, place: str) -> Figures:
    node = root.find(place)
    if node is None:
        raise ValueError(f"it has no {place}")
    found = {}
    for child in node:
        if child.tag in _CSYNTH and child.text:
            found[_CSYNTH[child.tag]] = float(child.text)
    return found


def vsynth(path: Path) -> Figures:
    """Resources after Vivado's own synthesis: the table of ``report_utilization``.

    Raises:
        BackendError: none of its lines is there.
    """
    found: Figures = {}
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as fault:
        raise BackendError(f"{path} cannot be read ({fault.strerror})") from None
    for line in lines:
        cells = [cell.strip() for cell in line.split("|")]
        for title, figure, factor in _VSYNTH:
            if len(cells) > 2 and cells[1].rstrip("*") == title and re.fullmatch(r"[0-9.]+", cells[2]):
                found.setdefault(figure, float(cells[2]) * factor)
    if "LUT" not in found:
        raise BackendError(f"{path} has no table of LUTs", hint="synthesise again")
    return found


def cosim(path: Path) -> tuple[Figures, bool]:
    """Latency and interval as the simulation of the RTL measured them, and whether its results were right.

    Args:
        path: ``<top>_cosim.rpt``.

    Raises:
        BackendError: no simulation stands in it.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as fault:
        raise BackendError(f"{path} cannot be read ({fault.strerror})") from None
    for line in lines:
        cells = re.split(r"[|\s]+", line.strip(" |"))
        if cells[0] not in ("Verilog", "VHDL") or len(cells) < 8 or cells[1] == "NA":
            continue
        names = (
            "latency_cycles_best",
            "",
            "latency_cycles",
            "initiation_interval_best",
            "",
            "initiation_interval",
        )
        pairs = zip(names, cells[2:8], strict=True)
        found = {name: float(cell) for name, cell in pairs if name and re.fullmatch(r"[0-9.]+", cell)}
        return found, cells[1].lower() == "pass"
    raise BackendError(f"{path} has no simulation in it", hint="simulate again")
