"""C simulation of an HLS project: g++ compiles the very code that is synthesised, ctypes runs it."""

from __future__ import annotations

import ctypes
import hashlib
import json
import math
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hls_export.backends import synthesis
from hls_export.backends.base import Project
from hls_export.backends.folder import read_marker
from hls_export.backends.precompiled import precompiled
from hls_export.backends.unit import source
from hls_export.handover import FILE as INTERFACE
from hls_export.hardware import HardwareGraph
from hls_export.report import FpgaReport
from hls_export.samples import checked
from hls_export.vectors import adversarial
from torchq.errors import BackendError
from torchq.files import atomic_write_text

Array = npt.NDArray[np.float64]

FLAGS = ("-O1", "-DNDEBUG", "-fPIC", "-shared", "-w")
"""``-O1`` compiles in three quarters of the time of ``-O3``, and simulates as fast. ``-DNDEBUG`` because an
assertion would end the Python process; what it would have said shows as a difference in the verification."""

SYNTHESIS = "synthesis.json"
"""What the vendor's tool found, once it has run."""
BENCH = 20
"""Samples of the test bench, unless told."""

_SOURCES = ("*.cpp", "*.h", "firmware/*.cpp", "firmware/*.h", "firmware/weights/*")
_LONGEST_S = 1800


class _Traced(ctypes.Structure):
    _fields_ = (("name", ctypes.c_char_p), ("data", ctypes.c_void_p))


class CsimProject(Project):
    """A project of hls4ml's layout that g++ can compile.

    It needs nothing but its folder: a project that was written before is opened with ``graph=None``, and no
    generator is imported.

    Args:
        path: the folder.
        graph: the model, if it is at hand.
    """

    def __init__(self, path: Path, graph: HardwareGraph | None = None) -> None:
        super().__init__(path, graph)
        self.facts = read_marker(path)
        self._library: ctypes.CDLL | None = None

    # ------------------------------------------------------------------ compile

    @property
    def runs_here(self) -> bool:
        """Whether hls4ml has the headers of the tool."""
        return self.facts["csim"]["include"] is not None

    def compile(self, headers: Path | None = None) -> CsimProject:
        """Compile the C++ as it stands in the folder; nothing is done if it has not changed since.

        Before, the weights that synthesis reads (``weights/*.h``) are compared with those that the simulation
        reads (``weights/*.txt``), so that what is verified is what is synthesised.

        Args:
            headers: a folder for compiled headers, which saves a second for each further project.

        Raises:
            BackendError: g++ is missing or fails, or the two forms of a weight differ.
        """
        if not self.runs_here:
            raise BackendError(
                f"{self.path}: projects for {self.facts['backend']} are written and not compiled here",
                hint=f"compiling needs {self.facts['csim']['missing']}",
            )
        self._check_weights()
        library = self._library_path()
        if not library.exists():
            self._build(library, headers)
        self._library = ctypes.CDLL(str(library))
        self.predict(np.zeros((1, *self.facts["input"]["shape"])))  # now it has read its weights
        return self

    def _library_path(self) -> Path:
        """Named after the sources and their place, so that a changed or moved project is a new library."""
        hasher = hashlib.sha256(" ".join([*FLAGS, str(self._weights())]).encode())
        for pattern in _SOURCES:
            for file in sorted(self.path.glob(pattern)):
                hasher.update(file.relative_to(self.path).as_posix().encode())
                hasher.update(file.read_bytes())
        return (
            self.path / "firmware" / f"{self.facts['settings']['top']}-{hasher.hexdigest()[:12]}.so"
        ).resolve()

    def _build(self, library: Path, headers: Path | None) -> None:
        compiler = shutil.which("g++")
        if compiler is None:
            raise BackendError("g++ is not on the PATH", hint="install g++ (Debian: apt install g++)")
        top, include = self.facts["settings"]["top"], self.facts["csim"]["include"]
        unit = source(self.path, top, self._weights())
        handle, name = tempfile.mkstemp(suffix=".so", dir=library.parent)
        os.close(handle)
        target = Path(name)
        command = [
            compiler,
            *FLAGS,
            f"-std={_standard(compiler)}",
            "-fno-gnu-unique",
            *(f"-I{folder}" for folder in include),
            "-I.",
        ]
        first = precompiled(headers, self.path, command, include) if headers is not None else None
        command += ["-include", str(first)] if first is not None else []
        command += ["-x", "c++", "-", "-o", str(target)]
        try:
            done = subprocess.run(  # noqa: S603 - a list, no shell
                command,
                input=unit,
                cwd=self.path,
                capture_output=True,
                text=True,
                timeout=_LONGEST_S,
                check=False,
            )
            if done.returncode != 0:
                raise BackendError(f"{self.path}: g++ failed: {first_error(done.stderr)}")
            target.chmod(0o755)
            target.replace(library)
        except subprocess.TimeoutExpired:
            raise BackendError(f"{self.path}: g++ did not finish in {_LONGEST_S} s") from None
        finally:
            target.unlink(missing_ok=True)

    def _weights(self) -> Path:
        """Where the simulation reads its weights from; the place is compiled in."""
        return (self.path / "firmware" / "weights").resolve()

    def _check_weights(self) -> None:
        folder = self._weights()
        for entry in self.facts["constants"]:
            header, text = folder / f"{entry['file']}.h", folder / f"{entry['file']}.txt"
            try:
                synthesised = _numbers(header.read_text(), braces=True)
                simulated = _numbers(text.read_text(), braces=False)
            except (OSError, ValueError) as fault:
                raise BackendError(
                    f"{entry['layer']}.{entry['slot']}: {fault}", hint="write the project again"
                ) from None
            if synthesised != simulated:
                raise BackendError(
                    f"{entry['layer']}.{entry['slot']}: {header.name} and {text.name} have different values",
                    hint="synthesis reads the first, simulation the second; write the project again",
                )

    # ------------------------------------------------------------------ run

    def predict(self, x: npt.ArrayLike) -> Array:
        """What the compiled C++ computes, in float64; compiles first if that has not been done.

        Raises:
            BackendError: as :meth:`compile`.
            DataError: samples of another shape, or not finite.
        """
        return _in_order(self._run(self._in_memory(x)), self.facts["output"]["axes"]) + 0.0

    def _run(self, samples: Array) -> Array:
        """Outputs of samples, both in the order of the hardware's memory."""
        function = self._top()
        shape, axes = self.facts["output"]["shape"], self.facts["output"]["axes"]
        out = np.zeros((len(samples), *(shape[axis] for axis in axes)), dtype=np.float64)
        source, target = samples.ctypes.data, out.ctypes.data
        step_in, step_out = samples[:1].nbytes, math.prod(shape) * out.itemsize
        for i in range(len(samples)):
            function(source + i * step_in, target + i * step_out)
        return out

    def _in_memory(self, x: npt.ArrayLike) -> Array:
        """Samples with their axes as the hardware wants them."""
        samples = checked(x, tuple(self.facts["input"]["shape"]))
        axes = self.facts["input"]["axes"]
        return np.ascontiguousarray(samples.transpose(0, *(axis + 1 for axis in axes)))

    def trace(self, x: npt.ArrayLike) -> dict[str, Array]:
        """What each layer of the compiled C++ makes, by node name.

        A quantizer that is fused into the layer in front of it appears under the quantizer's name; the tensor
        between the two does not exist in the C++.
        """
        samples = self._in_memory(x)
        function = self._top()
        library = self._library
        assert library is not None, "_top() has loaded it"  # noqa: S101
        traced: dict[str, dict[str, Any]] = self.facts["trace"]
        found: dict[str, list[Array]] = {entry["node"]: [] for entry in traced.values()}
        out = np.zeros(math.prod(self.facts["output"]["shape"]), dtype=np.float64)
        slots = (_Traced * max(len(traced), 1))()
        library.allocate_trace_storage(ctypes.c_size_t(out.itemsize))
        try:
            for i in range(len(samples)):
                function(samples[i : i + 1].ctypes.data, out.ctypes.data)
                library.collect_trace_output(slots)
                for slot in slots[: len(traced)]:
                    entry = traced[slot.name.decode()]
                    shape = tuple(entry["shape"][axis] for axis in entry["axes"])
                    pointer = ctypes.cast(slot.data, ctypes.POINTER(ctypes.c_double))
                    values = np.ctypeslib.as_array(pointer, shape)[None]
                    found[entry["node"]].append(_in_order(values, entry["axes"]).copy())
        finally:
            library.free_trace_storage()
        return {name: np.array(rows).reshape(len(samples), -1) + 0.0 for name, rows in found.items()}

    # ------------------------------------------------------------------ synthesis

    def synthesize(
        self,
        *,
        csim: bool = False,
        csynth: bool = True,
        cosim: bool = False,
        vsynth: bool = False,
        x: npt.ArrayLike | None = None,
        timeout_s: float = 4 * 3600,
    ) -> FpgaReport:
        """Run the vendor's tool on the project, where it is on the PATH; its figures.

        Args:
            csim: compile and run the test bench in C, with the vendor's compiler.
            csynth: C to RTL, with estimates of resources and latency.
            cosim: run the test bench on the RTL, which measures the latency.
            vsynth: synthesise the RTL with Vivado, which counts what is really there.
            x: samples for the test bench; adversarial ones unless told.
            timeout_s: when to give up, in seconds.

        Returns:
            The report, with ``source`` ``"csynth"`` or ``"vsynth"``; :meth:`report` gives it from now on.

        Raises:
            BackendError: the tool is missing or fails, or the RTL computes something else than the C++.
        """
        steps = synthesis.Steps(csim, csynth, cosim, vsynth)
        backend, top = self.facts["backend"], self.facts["settings"]["top"]
        synthesis.command(backend, steps.options())
        if csim or cosim:
            samples = self._in_memory(self._bench() if x is None else x)
            synthesis.write_test_vectors(self.path, samples, self._run(samples))
        (self.path / SYNTHESIS).unlink(missing_ok=True)
        synthesis.run(self.path, backend, steps, timeout_s)
        found = synthesis.report(self.path, top, steps, self.report())
        atomic_write_text(self.path / SYNTHESIS, json.dumps(found.to_dict(), indent=1) + "\n")
        return found

    def _bench(self) -> Array:
        """Samples for the test bench."""
        if self.graph is not None:
            return adversarial(self.graph, BENCH)
        return np.zeros((1, *self.facts["input"]["shape"]))

    @property
    def digest(self) -> str:
        """SHA-256 of the network that it was lowered from."""
        return str(self.facts["model"]["digest"])

    def report(self) -> FpgaReport:
        """The table of layers and types that the generator wrote down; with figures once it was synthesised.

        Raises:
            BackendError: the figures are damaged.
        """
        path = self.path / SYNTHESIS
        if not path.is_file():
            return FpgaReport.from_dict(self.facts["report"])
        try:
            return FpgaReport.from_dict(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, KeyError, TypeError):
            raise BackendError(f"{path} is damaged", hint="remove it, or synthesise again") from None

    def to_dict(self) -> dict[str, Any]:
        """JSON-able facts: ``backend``, the settings, ``state``, ``files``, ``tools`` and ``report``."""
        top = self.facts["settings"]["top"]
        files = [
            f"firmware/{top}.cpp",
            "firmware/parameters.h",
            "firmware/defines.h",
            INTERFACE,
            "README.md",
            "tb/testbench.cpp",
            "build_prj.tcl",
        ]
        if not self.runs_here:
            built = f"written; compiling needs {self.facts['csim']['missing']}"
        elif self._library_path().exists():
            built = "compiled and simulated with g++"
        else:
            built = "written, not compiled"
        found = self.report()
        synthesised = "not synthesised" if found.source == "csim" else f"{found.source} by {found.tool}"
        return {
            "backend": self.facts["backend"],
            **self.facts["settings"],
            "state": f"C++ {built}; {synthesised}",
            "files": [name for name in files if (self.path / name).exists()],
            "tools": self.facts["tools"],
            "model": self.facts["model"],
            "report": found.to_dict(),
        }

    def _top(self) -> Any:
        if self._library is None:
            self.compile()
        function = getattr(self._library, f"{self.facts['settings']['top']}_double")
        function.restype = None
        function.argtypes = [ctypes.c_void_p] * 2
        unused = [ctypes.byref(ctypes.c_ushort()) for _ in range(self.facts["csim"]["arguments"] - 2)]
        if not unused:
            return function
        function.argtypes += [ctypes.c_void_p] * len(unused)
        return lambda source, target: function(source, target, *unused)


def _in_order(values: Array, axes: Sequence[int]) -> Array:
    """A batch in the order of the axes, from one in the order of the memory."""
    return np.ascontiguousarray(values.transpose(0, *(int(at) + 1 for at in np.argsort(axes))))


def first_error(stderr: str) -> str:
    r"""The compiler's first error, on one line; where linking failed, what the linker said.

    Example:
        >>> first_error("In file included from x:\nfirmware/a.cpp:3:5: error: expected ';'\n   3 | int")
        "firmware/a.cpp:3:5: error: expected ';'"
    """
    lines = [line.strip() for line in stderr.splitlines() if line.strip()] or ["no message"]
    first = next((line for line in lines if "error" in line), lines[0])
    return lines[max(lines.index(first) - 1, 0)] if first.startswith("collect2:") else first


def _standard(compiler: str) -> str:
    """The newest C++ that the compiler knows and hls4ml's headers take."""
    for standard in ("c++23", "c++17"):
        command = [compiler, f"-std={standard}", "-fsyntax-only", "-x", "c++", "-"]
        done = subprocess.run(command, input="", capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode == 0:
            return standard
    return "c++14"


def _numbers(text: str, *, braces: bool) -> list[float]:
    if braces:
        inside = re.findall(r"\{([^{}]*)\}", text)
        if len(inside) != 1:
            raise ValueError("one list of values was expected")
        text = inside[0]
    return [float(word) for word in re.split(r"[,\s]+", text) if word]
