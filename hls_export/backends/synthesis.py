"""Synthesis of an HLS project by the vendor's tool, where it is installed: command, run and report."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hls_export.report import FpgaReport, vendor
from torchq.errors import BackendError

LOG = "synthesis.log"


@dataclass(frozen=True)
class Steps:
    """What the tool is to do.

    Args:
        csim: compile and run the test bench in C.
        csynth: C to RTL, with estimates of resources and latency.
        cosim: run the test bench on the RTL.
        vsynth: synthesise the RTL with Vivado, which counts what is really there.

    Raises:
        BackendError: nothing to do, or a step without the one that it needs.
    """

    csim: bool = False
    csynth: bool = True
    cosim: bool = False
    vsynth: bool = False

    def __post_init__(self) -> None:
        if not (self.csim or self.csynth):
            raise BackendError("there is nothing to synthesise", hint="say csynth=True")
        for step in ("cosim", "vsynth"):
            if getattr(self, step) and not self.csynth:
                raise BackendError(f"{step} needs the RTL that csynth writes", hint="say csynth=True")

    def options(self) -> dict[str, int]:
        """As the project's own script calls them."""
        return {
            "reset": 1,
            "csim": int(self.csim),
            "synth": int(self.csynth),
            "cosim": int(self.cosim),
            "validation": int(self.csim and self.cosim),
            "export": 0,
            "vsynth": int(self.vsynth),
            "fifo_opt": 0,
        }


def command(backend: str, options: dict[str, int]) -> list[str]:
    """What to run in the project's folder.

    Raises:
        BackendError: the tool is not on the PATH, or is none that is run from here.
    """
    if backend == "vitis":
        for tool, arguments in _VITIS.items():
            if shutil.which(tool):
                return [tool, *arguments]
        raise BackendError(
            "neither vitis-run nor vitis_hls is on the PATH",
            hint="source settings64.sh of Vitis; without it the project can be compiled and run in C",
        )
    if backend == "vivado":
        if shutil.which("vivado_hls"):
            words = " ".join(f"{key}={value}" for key, value in options.items())
            return ["vivado_hls", "-f", "build_prj.tcl", words]
        raise BackendError(
            "vivado_hls is not on the PATH",
            hint="source settings64.sh of Vivado HLS; without it the project can be compiled and run in C",
        )
    raise BackendError(
        f"{backend} projects are not synthesised from here", hint="run the tool in their folder"
    )


_VITIS = {
    "vitis-run": ["--mode", "hls", "--tcl", "build_prj.tcl"],
    "vitis_hls": ["-f", "build_prj.tcl"],
}
"""The newer one first; both read the steps from ``build_opt.tcl``."""


def run(folder: Path, backend: str, steps: Steps, timeout_s: float) -> None:
    """Run the tool; what it says stands in :data:`LOG`.

    Raises:
        BackendError: it is missing, fails, or does not finish.
    """
    if steps.vsynth and shutil.which("vivado") is None:
        raise BackendError("vivado is not on the PATH", hint="vsynth needs it; leave that step out")
    options = steps.options()
    words = command(backend, options)
    lines = "".join(f"    {key:<10} {value}\n" for key, value in options.items())
    (folder / "build_opt.tcl").write_text(f"array set opt {{\n{lines}}}\n", encoding="utf-8")
    log = folder / LOG
    try:
        code = _logged(words, folder, log, timeout_s)
    except subprocess.TimeoutExpired:
        hint = f"allow it more time; what it said stands in {log}"
        raise BackendError(f"{words[0]} did not finish in {timeout_s:g} s", hint=hint) from None
    except OSError as fault:
        raise BackendError(f"{words[0]} cannot be started ({fault.strerror or fault})") from None
    if code != 0:
        raise BackendError(f"{words[0]} failed: {_first_error(log)}", hint=f"all of it stands in {log}")


def _logged(words: list[str], folder: Path, log: Path, timeout_s: float) -> int:
    """Run a program with all that it starts; end them all if it is not to go on."""
    with log.open("w", encoding="utf-8") as out:
        process = subprocess.Popen(  # noqa: S603 - a list, no shell
            words,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            return process.wait(timeout_s)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise


def _first_error(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line.strip() for line in lines if re.search(r"\bERROR\b", line)), "it does not say why")


def write_test_vectors(
    folder: Path, inputs: npt.NDArray[np.float64], outputs: npt.NDArray[np.float64]
) -> None:
    """The files that the project's test bench reads: one sample a line, in the order of the ports."""
    data = folder / "tb_data"
    data.mkdir(exist_ok=True)
    for name, values in (("tb_input_features.dat", inputs), ("tb_output_predictions.dat", outputs)):
        rows = (" ".join(map(repr, row)) for row in values.reshape(len(values), -1).tolist())
        (data / name).write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")


def report(folder: Path, top: str, steps: Steps, written: FpgaReport) -> FpgaReport:
    """What the reports say.

    Args:
        folder: the project.
        top: its top function.
        steps: what was run.
        written: the report of the project as it was written.

    Raises:
        BackendError: a report is missing or damaged, or the RTL computed something else.
    """
    solution = folder / f"{top}_prj" / "solution1"
    figures: dict[str, Any] = {}
    notes: list[str] = []
    source, tool = written.source, written.tool
    if steps.csynth:
        figures, there, version = vendor.csynth(_there(solution / "syn" / "report" / f"{top}_csynth.xml"))
        source, tool = "csynth", f"Vitis HLS {version}" if version else "HLS"
        notes += ["LUT, FF and latency are estimates of C synthesis, before logic synthesis"]
        notes += [
            f"{name}: {figures[name]:g} of {there[name]:g} ({figures[name] / there[name]:.2%})"
            for name in figures
            if there.get(name)
        ]
    if steps.cosim:
        measured, right = vendor.cosim(_there(solution / "sim" / "report" / f"{top}_cosim.rpt"))
        if not right:
            raise BackendError(
                f"{folder}: the RTL computes something else than the C++", hint=f"see {folder / LOG}"
            )
        figures |= measured
        notes.append("latency and interval are measured in co-simulation, which passed")
    if steps.vsynth:
        figures |= vendor.vsynth(_there(folder / "vivado_synth.rpt"))
        source = "vsynth"
        notes[:1] = ["LUT, FF, DSP and memory are counted by Vivado after logic synthesis, out of context"]
        notes = [note for note in notes if " of " not in note or "counted" in note]
    return replace(written, source=source, tool=tool, resources=figures, notes=tuple(notes))


def _there(path: Path) -> Path:
    if not path.is_file():
        raise BackendError(f"{path} is missing", hint=f"see {LOG} for what the tool did")
    return path
