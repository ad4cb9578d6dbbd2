"""From a graph or an ONNX file to a project."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hls_export.backends import BACKENDS, DEFAULT_PART, Project, Settings
from hls_export.backends.folder import read_marker
from hls_export.hardware import HardwareGraph
from hls_export.qonnx import read


def lower(
    model: str | Path | HardwareGraph,
    out: str | Path,
    *,
    backend: str = "vitis",
    part: str = DEFAULT_PART,
    clock_ns: float = 5.0,
    io_type: str = "io_parallel",
    reuse_factor: int = 1,
    strategy: str = "latency",
    top: str = "myproject",
    latency_cutoff: float = 5.0,
    layers: Mapping[str, Mapping[str, Any]] | None = None,
    pipeline: str = "auto",
) -> Project:
    """Write a hardware project.

    Args:
        model: an ONNX file, or what :func:`hls_export.read` made of it.
        out: the project's folder: a new one, an empty one, or that of a project of the same model.
        backend: a key of :data:`hls_export.BACKENDS`.
        part: the FPGA.
        clock_ns: the clock period in nanoseconds.
        io_type: ``"io_parallel"`` or ``"io_stream"``.
        reuse_factor: how often one multiplier is used for one sample.
        strategy: how matrix products are built, such as ``"latency"`` or ``"resource"``.
        top: the name of the top function or module.
        latency_cutoff: backend ``"rtl"``: how much delay a pipeline stage may have, in alkaid's units (about
            an adder each): less means more stages and a faster clock.
        layers: by the name of a layer with weights, what differs for it:
            ``{"fc1": {"reuse_factor": 4, "strategy": "resource"}}``.
        pipeline: ``"pipeline"``, ``"dataflow"``, or ``"auto"``: how the layers work together.

    Returns:
        The project; ``.compile()`` and ``.predict(x)`` run it.

    Raises:
        ExportError: the file cannot be read, or not be lowered.
        BackendError: the backend cannot express something, or the folder is not free.
        UnknownNameError: no such backend.
    """
    target = BACKENDS.get(backend)
    settings = Settings(
        part, clock_ns, io_type, reuse_factor, strategy, top, latency_cutoff, layers or {}, pipeline
    )
    graph = model if isinstance(model, HardwareGraph) else read(model)
    return target.lower(graph, Path(out), settings)


def open_project(path: str | Path) -> Project:
    """A project that :func:`lower` wrote before; the generator is not needed to run it.

    Raises:
        BackendError: the folder is no project.
    """
    facts = read_marker(Path(path))
    return BACKENDS.get(facts["backend"]).open(Path(path))
