"""A Verilog project: simulated by Icarus or Verilator, synthesised by yosys."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hls_export.backends.base import Project
from hls_export.backends.folder import read_marker
from hls_export.hardware import HardwareGraph
from hls_export.report import FpgaReport
from hls_export.rtl import icarus, verilator, yosys
from hls_export.rtl.alkaid import Lane
from hls_export.rtl.bench import MARGIN
from hls_export.rtl.codes import Bytes, from_hex, pack, slot_lanes, unpack
from hls_export.rtl.wires import Slots
from hls_export.samples import checked
from torchq.errors import BackendError
from torchq.files import atomic_write_text
from torchq.formats import FixedPoint, Overflow, Rounding

Array = npt.NDArray[np.float64]

BUILD, SYNTHESIS = "build", "synthesis.json"
SIMULATORS = ("icarus", "verilator")
ICARUS_S = 4e-6
"""Seconds that Icarus needs for one sample and one adder bit."""
VERILATOR_S, VERILATOR_BIT_S = 9.0, 2e-3
"""Seconds that Verilator and g++ need to compile: at once, and for one adder bit."""
PACKING = (0.64, 0.74, 0.82)
"""CLB LUTs for each LUT primitive in seven public Vivado reports of such designs: lowest, mean, highest."""


class RtlProject(Project):
    """A folder of Verilog with its test bench.

    It needs nothing but its folder and a simulator: a project that was written before is opened with
    ``graph=None``, and alkaid is not imported.

    Args:
        path: the folder.
        graph: the model, if it is at hand.
    """

    reading = "RTL simulation"

    def __init__(self, path: Path, graph: HardwareGraph | None = None) -> None:
        super().__init__(path, graph)
        self.facts = read_marker(path)
        self.top = str(self.facts["settings"]["top"])
        self.design: dict[str, Any] = self.facts["design"]
        self._x, self._y = (_slots(self.design["ports"][name]) for name in ("x", "y"))
        self._latency: int | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of the network that it was lowered from."""
        return str(self.facts["model"]["digest"])

    @property
    def sources(self) -> list[Path]:
        """Its Verilog files, without the test bench."""
        return sorted((self.path / "rtl").glob("*.v"))

    # ------------------------------------------------------------------ simulation

    def compile(self, simulator: str | None = None) -> RtlProject:
        """Compile the Verilog as it stands in the folder for a simulator, and measure the latency.

        Args:
            simulator: of :data:`SIMULATORS`; None takes the one that is there, Icarus first.

        Raises:
            BackendError: no simulator is installed, or it does not take the Verilog.
        """
        self._built(self._chosen(simulator, 0))
        return self

    @property
    def latency(self) -> int:
        """Clock cycles from a sample to its result, measured in simulation with the project's own vectors.

        Where no offset gives the expected results the latency it was written for is told; then the
        verification says where the results differ.
        """
        if self._latency is None:
            self._latency = self._measured()
        return self._latency

    def predict(self, x: npt.ArrayLike, simulator: str | None = None) -> Array:
        """What the Verilog computes, clock cycle by clock cycle.

        Args:
            x: ``[n, *input shape]`` real numbers; they are quantized to the format of the input first.
            simulator: of :data:`SIMULATORS`; None takes what is likely to be done first: Icarus for few
                samples, Verilator for many, where it is installed.

        Raises:
            BackendError: as :meth:`compile`.
            DataError: samples of another shape, or not finite.
        """
        samples = checked(x, tuple(self.facts["input"]["shape"]))
        shape = tuple(self.facts["output"]["shape"])
        if not len(samples):
            return np.zeros((0, *shape))
        packed = self._packed(samples)
        latency = self.latency
        rows = self._simulated(packed, latency, self._chosen(simulator, len(samples)))[latency:]
        return unpack(rows, slot_lanes(self._y)).reshape(len(samples), *shape) + 0.0

    def trace(self, x: npt.ArrayLike) -> dict[str, Array]:
        """What stands in the registers behind each layer, by the name of the layer's last node; by Icarus."""
        samples = checked(x, tuple(self.facts["input"]["shape"]))
        layers = [layer for layer in self.design["layers"] if layer["bits"]]
        wires = [(layer["wire"], int(layer["bits"])) for layer in layers]
        built = icarus.build_traced(
            self.sources, self.top, self._x.bits, self._y.bits, wires, self.path / BUILD
        )
        sizes = [self._y.bits, *(bits for _, bits in wires)]
        rows = icarus.simulate(built, self._packed(samples), self._deepest(), sizes)[1:]
        found = {}
        for layer, made in zip(layers, rows, strict=True):
            start = layer["start"] + layer["stages"]
            numbers = layer["numbers"]
            lanes = [
                (n[0], Lane(bool(n[2]), n[1], n[3])) if isinstance(n, list) else (0, Lane(False, 0, 0))
                for n in numbers
            ]
            values = unpack(made[start : start + len(samples)], lanes)
            constant = np.array([0.0 if isinstance(n, list) else n for n in numbers])
            found[str(layer["nodes"][-1])] = (values + constant).reshape(len(samples), -1) + 0.0
        return found

    def _deepest(self) -> int:
        return max([self.latency, *(int(x["start"] + x["stages"]) for x in self.design["layers"])])

    def _chosen(self, simulator: str | None, samples: int) -> str:
        if simulator is not None and simulator not in SIMULATORS:
            raise BackendError(f"simulator must be one of {', '.join(SIMULATORS)}, got {simulator!r}")
        if simulator is not None:
            return simulator
        if not icarus.available():
            return "verilator" if verilator.available() else "icarus"
        cost = float(self.design["cost"])
        simulated, compiled = ICARUS_S * cost * samples, VERILATOR_S + VERILATOR_BIT_S * cost
        return "verilator" if simulated > compiled and verilator.available() else "icarus"

    def affordable(self, seconds: float) -> int | None:
        """How many samples are simulated in about so many seconds; None where Verilator takes any number."""
        if verilator.available():
            return None
        return max(1, int(seconds / (ICARUS_S * max(float(self.design["cost"]), 1.0))))

    def _built(self, simulator: str) -> Path:
        folder = self.path / BUILD
        if simulator == "verilator":
            return verilator.build(self.sources, self.top, folder)
        return icarus.build(self.sources, self.top, self._x.bits, self._y.bits, folder)

    def _simulated(self, packed: Bytes, tail: int, simulator: str) -> Bytes:
        built = self._built(simulator)
        if simulator == "verilator":
            return verilator.simulate(built, packed, tail, self._y.bits)
        return icarus.simulate(built, packed, tail, [self._y.bits])[0]

    def _packed(self, samples: Array) -> Bytes:
        facts = self.design["input_grid"]
        grid = FixedPoint(
            np.array(facts["width"]),
            np.array(facts["integer"]),
            np.array(facts["signed"]),
            Rounding(facts["rounding"]),
            Overflow(facts["overflow"]),
        )
        values = grid.quantize(samples.reshape(len(samples), *facts["shape"]))
        return pack(values.reshape(len(samples), -1), self._x)

    def _measured(self) -> int:
        written = int(self.design["latency_cycles"])
        try:
            lines = [
                (self.path / "tb" / f"{n}.hex").read_text().splitlines() for n in ("vectors", "expected")
            ]
        except OSError as fault:
            raise BackendError(f"{self.path}: {fault}", hint="write the project again") from None
        samples = from_hex(lines[0], -(-self._x.bits // 8))
        expected = from_hex(lines[1], -(-self._y.bits // 8))
        seen = self._simulated(samples, written + MARGIN, self._chosen(None, len(samples)))
        fits = [
            offset
            for offset in range(written + MARGIN + 1)
            if np.array_equal(seen[offset : offset + len(samples)], expected)
        ]
        return fits[0] if fits and written not in fits else written

    # ------------------------------------------------------------------ synthesis

    def synthesize(
        self, *, timeout_s: float = 7200, progress: Callable[[str], None] | None = None
    ) -> FpgaReport:
        """Count the primitives with yosys; a result of the same Verilog and the same yosys is taken as it is.

        Args:
            timeout_s: when to give up, in seconds.
            progress: told what is done.

        Raises:
            BackendError: yosys is missing, fails, or does not finish in time.
        """
        version, command = yosys.version(), yosys.command_of(self.top)
        key = self._key(version, command)
        if self._synthesis(key) is None:
            if progress:
                progress(f"yosys {version}: {command}")
            found = yosys.synthesise(self.sources, self.top, timeout_s=timeout_s)
            facts = {"key": key, "resources": found.to_dict(), "latency_cycles": self._known_latency()}
            atomic_write_text(self.path / SYNTHESIS, json.dumps(facts, indent=1, sort_keys=True) + "\n")
        return self.report()

    def _known_latency(self) -> dict[str, Any]:
        """Measured where a simulator is there."""
        if icarus.available() or verilator.available():
            return {"value": self.latency, "measured": True}
        return {"value": int(self.design["latency_cycles"]), "measured": False}

    def _key(self, version: str, command: str) -> str:
        hasher = hashlib.sha256(f"{version} {command}".encode())
        for file in self.sources:
            hasher.update(file.name.encode() + file.read_bytes())
        return hasher.hexdigest()

    def _synthesis(self, key: str | None = None) -> dict[str, Any] | None:
        """What was counted before, if it stands for the Verilog in the folder."""
        try:
            facts: dict[str, Any] = json.loads((self.path / SYNTHESIS).read_text(encoding="utf-8"))
            resources = facts["resources"]
            wanted = key or self._key(str(resources["version"]), str(resources["options"]))
            return facts if facts["key"] == wanted else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def report(self) -> FpgaReport:
        """The layers, and what yosys counted where that stands; otherwise alkaid's estimate."""
        estimate = FpgaReport.from_dict(self.facts["report"])
        facts = self._synthesis()
        return estimate if facts is None else synthesis_report(estimate, facts)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able facts: ``backend``, the settings, ``state``, ``files``, ``tools`` and ``report``."""
        files = [f"rtl/{self.top}.v", "tb/testbench.v", "README.md", "interface.json", "vivado.tcl"]
        done = "synthesised with yosys" if self._synthesis() else "not synthesised"
        built = any((self.path / BUILD).glob("*.*")) if (self.path / BUILD).is_dir() else False
        return {
            "backend": self.facts["backend"],
            **self.facts["settings"],
            "state": f"Verilog {'simulated' if built else 'written, not simulated'}; {done}",
            "files": [name for name in files if (self.path / name).exists()],
            "tools": self.facts["tools"],
            "model": self.facts["model"],
            "report": self.report().to_dict(),
        }


def packed(lut: int) -> tuple[int, int]:
    """The fewest and the most CLB LUTs that so many LUT primitives may become, by public reports of Vivado.

    Example:
        >>> packed(6909)
        (4422, 5665)
    """
    return math.floor(lut * PACKING[0] + 0.5), math.floor(lut * PACKING[2] + 0.5)


def synthesis_report(estimate: FpgaReport, facts: dict[str, Any]) -> FpgaReport:
    """The report of a synthesis, each figure as what it is: measured, or an estimate with its range."""
    found, latency = facts["resources"], facts["latency_cycles"]
    (low, high), mean = packed(found["lut"]), math.floor(found["lut"] * PACKING[1] + 0.5)
    tool = f"{found['tool']} {found['version']}"
    return FpgaReport(
        source="yosys",
        tool=f"{tool} ({found['options']})",
        part=estimate.part,
        clock_ns=estimate.clock_ns,
        layers=estimate.layers,
        resources={
            "LUT": found["lut"],
            "LUT_memory": found["lut_memory"],
            "CARRY4": found["carry"],
            "FF": found["ff"],
            "DSP": found["dsp"],
            "BRAM18": found["bram18"],
            "depth": found.get("depth", 0),
            "LUT_packed": mean,
            "latency_cycles": latency["value"],
            "initiation_interval": 1,
        },
        notes=(
            f"LUT counts primitives after {tool}, before placement; no vendor tool was run",
            f"LUT_packed is an estimate of CLB LUTs: x{PACKING[1]:g}, between {low:,} and {high:,} "
            f"(x{PACKING[0]:g} to x{PACKING[2]:g})",
            "latency_cycles is measured in simulation"
            if latency["measured"]
            else "latency_cycles is as written, not measured: no simulator is installed",
        ),
    )


def _slots(port: dict[str, Any]) -> Slots:
    return Slots(port["elements"], port["element_bits"], port["signed"], port["fraction_bits"])
