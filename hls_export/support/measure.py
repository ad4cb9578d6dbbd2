"""Measuring one cell: write, lower, compile, run, compare every value with torch in float64."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hls_export.backends.base import BACKENDS
from hls_export.backends.csim import CsimProject
from hls_export.emulate import emulate
from hls_export.hardware import Embedding, HardwareGraph
from hls_export.lower import lower
from hls_export.qonnx import execute, read
from hls_export.rtl import icarus, verilator
from hls_export.support.cases import Case, Reference, random_samples
from hls_export.support.cells import BROKEN, EXACT, REFUSED, Cell, Column
from hls_export.vectors import adversarial
from torchq.errors import BackendError, ExportError, GraphError, TorchqError

Array = npt.NDArray[np.float64]

VECTORS = 150
"""Adversarial vectors, and as many random ones."""


@dataclass(frozen=True, eq=False)
class Written:
    """A case as a file, read back.

    Args:
        path: the ONNX file.
        graph: what :func:`hls_export.read` makes of it.
        reference: computes what is right.
        refused: why there is none of the three.
        single: see :class:`hls_export.support.cases.Case`.
    """

    path: Path
    graph: HardwareGraph | None = None
    reference: Reference | None = None
    refused: str = ""
    single: bool = False

    @property
    def digest(self) -> str:
        """Of the network; of the reason where there is none."""
        if self.graph is None:
            return hashlib.sha256(self.refused.encode()).hexdigest()
        return self.graph.digest()


def written(case: Case, folder: Path) -> Written:
    """Write the file of a case into a folder.

    Args:
        case: the network.
        folder: an empty one.
    """
    path = folder / f"{case.key}.onnx"
    try:
        reference = case.write(path)
        return Written(path, read(path), reference, single=case.single)
    except (ExportError, GraphError) as fault:
        return Written(path, refused=_plain(_said(fault), "", folder, path))


def missing(column: Column) -> str:
    """Which tool a column needs and this machine has not; empty if all are there.

    Args:
        column: the reading.
    """
    if column.backend == "rtl":
        if importlib.util.find_spec("alkaid") is None:
            return "alkaid is not installed; make rtl-tools"
        if not (icarus.available() or verilator.available()):
            return "no Verilog simulator is installed; make rtl-tools"
    elif column.backend:
        if importlib.util.find_spec("hls4ml") is None:
            return "hls4ml is not installed; pip install 'torchq[hls]'"
        if shutil.which("g++") is None:
            return "g++ is not on the PATH"
    return ""


@lru_cache
def tools(backend: str) -> dict[str, str]:
    """The programs behind a column, with their versions.

    Args:
        backend: of a column.
    """
    found = {name: metadata.version(name) for name in ("torch", "onnx")}
    if backend == "rtl":
        found["alkaid"] = metadata.version("alkaid")
        found["simulator"] = f"Icarus {icarus.version()}" if icarus.available() else "Verilator"
    elif backend:
        compiler = shutil.which("g++") or "g++"
        done = subprocess.run(  # noqa: S603 - a list, no shell
            [compiler, "-dumpfullversion"], capture_output=True, text=True, check=False
        )
        found |= {"hls4ml": metadata.version("hls4ml"), "g++": done.stdout.strip()}
    return found


def measure(
    case: Written, column: Column, folder: Path, vectors: int = VECTORS, headers: Path | None = None
) -> Cell:
    """One reading of a network against torch in float64.

    Args:
        case: as :func:`written` made it.
        column: the reading.
        folder: an empty one, for the project.
        vectors: adversarial ones, and as many random ones.
        headers: see :meth:`hls_export.backends.csim.CsimProject.compile`.

    Returns:
        Exact, refused or broken; nothing that a tool raises leaves this function.
    """
    versions = tools(column.backend)
    if case.graph is None or case.reference is None:
        return Cell(REFUSED, case.refused, tools=versions)
    x = samples(case.graph, vectors)
    if case.single:
        x = x.astype(np.float32).astype(np.float64)
    try:
        expected = case.reference(x)
        if column.backend:
            BACKENDS.get(column.backend)
            project = lower(case.graph, folder / "p", backend=column.backend, io_type=column.io_type)
            if isinstance(project, CsimProject):
                project.compile(headers)
            found = project.predict(x)
        else:
            found = execute(case.path, x) if column.key == "onnx" else emulate(case.graph, x)
    except BackendError as fault:
        text = _said(fault)
        if column.backend and all(line.startswith(f"{column.backend}: ") for line in text.splitlines()):
            return Cell(REFUSED, _plain(text, column.backend, folder, case.path), tools=versions)
        return Cell(BROKEN, _plain(text, "", folder, case.path), tools=versions)
    except (TorchqError, ArithmeticError, ValueError, TypeError, LookupError, OSError) as fault:
        reason = _plain(f"{type(fault).__name__}: {fault}", "", folder, case.path)
        return Cell(BROKEN, reason, tools=versions)
    differ = _differing(found, expected)
    if differ:
        return Cell(BROKEN, differ, len(x), versions)
    return Cell(EXACT, vectors=len(x), tools=versions)


def samples(graph: HardwareGraph, vectors: int) -> Array:
    """Adversarial vectors, then random ones where the input takes real numbers.

    Args:
        graph: tells the input's format.
        vectors: of each sort.
    """
    x = adversarial(graph, vectors, 3)
    if any(isinstance(node, Embedding) for node in graph.nodes):
        return x
    return np.concatenate([x, random_samples(graph.input_shape, vectors)])


def _differing(found: Array, expected: Array) -> str:
    if found.shape != expected.shape:
        return f"its outputs have shape {found.shape}, and torch's {expected.shape}"
    differ = found != expected
    if not differ.any():
        return ""
    place = tuple(int(i) for i in np.argwhere(differ)[0])
    return (
        f"{int(differ.sum())} of {differ.size} values differ, first sample {place[0]}: "
        f"{float(found[place])!r} against {float(expected[place])!r}"
    )


def _said(fault: TorchqError) -> str:
    """The message without its hint, which is for the one who has the file at hand."""
    return fault.message


def _plain(text: str, backend: str, folder: Path, path: Path) -> str:
    """One line without the folders of this machine."""
    lines = [line.removeprefix(f"{backend}: ") for line in text.splitlines()]
    joined = "; ".join(lines).replace(f"{path}: ", "").replace(str(path), "the file")
    return joined.replace(f"{folder}/", "")
