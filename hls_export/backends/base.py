"""What every backend is: what it can express, how it writes a project, and what a project can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hls_export.hardware import HardwareGraph
from hls_export.report import FpgaReport
from torchq.advice import advice
from torchq.errors import BackendError
from torchq.formats import Overflow, Rounding
from torchq.registry import Registry

Array = npt.NDArray[np.float64]

DEFAULT_PART = "xcvu9p-flga2577-2-e"
IO_TYPES = ("io_parallel", "io_stream")
PIPELINES = ("auto", "pipeline", "dataflow")
LAYER_OPTIONS = ("reuse_factor", "strategy")
"""What can be set layer by layer."""


@dataclass(frozen=True)
class Settings:
    """How a project is built.

    Args:
        part: the FPGA.
        clock_ns: the clock period in nanoseconds.
        io_type: ``"io_parallel"`` (all values at once) or ``"io_stream"`` (one after the other).
        reuse_factor: how often one multiplier is used for one sample.
        strategy: how matrix products are built; a backend says which it knows.
        top: the name of the top function, and of its file.
        layers: by the name of a layer with weights, what differs for it: of :data:`LAYER_OPTIONS`.
        pipeline: how the layers work together: ``"pipeline"`` (one after the other, in one pipeline),
            ``"dataflow"`` (at the same time, with buffers between), or ``"auto"``.
        latency_cutoff: RTL: how much delay a pipeline stage may have, in alkaid's units.

    Raises:
        BackendError: a value out of range.

    Example:
        >>> Settings(clock_ns=0)
        Traceback (most recent call last):
        ...
        torchq.errors.BackendError: clock_ns must be greater than 0, got 0
    """

    part: str = DEFAULT_PART
    clock_ns: float = 5.0
    io_type: str = "io_parallel"
    reuse_factor: int = 1
    strategy: str = "latency"
    top: str = "myproject"
    latency_cutoff: float = 5.0
    layers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    pipeline: str = "auto"

    def __post_init__(self) -> None:
        if not self.clock_ns > 0:
            raise BackendError(f"clock_ns must be greater than 0, got {self.clock_ns:g}")
        if not self.latency_cutoff > 0:
            raise BackendError(f"latency_cutoff must be greater than 0, got {self.latency_cutoff:g}")
        if self.reuse_factor < 1:
            raise BackendError(f"reuse_factor must be at least 1, got {self.reuse_factor}")
        if self.io_type not in IO_TYPES:
            raise BackendError(f"io_type must be one of {', '.join(IO_TYPES)}, got {self.io_type!r}")
        if not self.part or any(c.isspace() or c in "\"'\\$[]{};" for c in self.part):
            raise BackendError(f"part must be the name of an FPGA, got {self.part!r}")
        if not self.top.isidentifier():
            raise BackendError(f"top must be a C++ name, got {self.top!r}")
        if self.pipeline not in PIPELINES:
            raise BackendError(f"pipeline must be one of {', '.join(PIPELINES)}, got {self.pipeline!r}")
        for name, options in self.layers.items():
            _check_options(name, options)

    def of(self, layer: str) -> Settings:
        """What holds for one layer.

        Example:
            >>> Settings(layers={"fc1": {"reuse_factor": 4}}).of("fc1").reuse_factor
            4
        """
        return replace(self, layers={}, **self.layers.get(layer, {}))

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


def _check_options(name: str, options: Mapping[str, Any]) -> None:
    for key, value in options.items():
        if key not in LAYER_OPTIONS:
            raise BackendError(
                f"layer {name} has no option {key!r}", hint=advice(key, LAYER_OPTIONS, "Options")
            )
        if key == "reuse_factor" and (not isinstance(value, int) or value < 1):
            raise BackendError(f"layer {name}: reuse_factor must be a number of at least 1, got {value!r}")
        if key == "strategy" and not isinstance(value, str):
            raise BackendError(f"layer {name}: strategy must be a name, got {value!r}")


@dataclass(frozen=True)
class Capabilities:
    """What a backend can express; everything else is refused before a file is written.

    Args:
        kinds: node kinds.
        io_types: of :data:`IO_TYPES`.
        strategies: names.
        roundings: modes of a quantizer.
        overflows: likewise.
        formats_per_element: whether an activation may have a format that differs by element.
    """

    kinds: frozenset[str]
    io_types: frozenset[str]
    strategies: tuple[str, ...]
    roundings: frozenset[Rounding]
    overflows: frozenset[Overflow]
    formats_per_element: bool = False

    def reasons(self, graph: HardwareGraph, settings: Settings) -> list[str]:
        """Everything in a graph and in the settings that cannot be expressed."""
        found = []
        if settings.strategy not in self.strategies:
            known = ", ".join(self.strategies)
            found.append(f"strategy must be one of {known}, got {settings.strategy!r}")
        if settings.io_type not in self.io_types:
            found.append(f"io_type {settings.io_type} is not supported")
        for node in graph.nodes:
            if node.kind not in self.kinds:
                found.append(f"{node.name} ({node.kind}) is not supported")
            elif node.kind == "quantize" and node.format is not None:
                grid = node.format
                if grid.rounding not in self.roundings:
                    found.append(f"{node.name} rounds {grid.rounding}, which is not supported")
                if grid.overflow not in self.overflows:
                    found.append(f"{node.name} has overflow {grid.overflow}, which is not supported")
                if not grid.is_scalar and not self.formats_per_element:
                    found.append(f"{node.name} has a format that differs by element, which is not supported")
        return found


class Project(ABC):
    """A written hardware project of one model.

    Args:
        path: its folder.
        graph: the model; None for a project that was opened again.
    """

    reading: str = "C simulation"
    """What its results are called in comparisons."""

    def __init__(self, path: Path, graph: HardwareGraph | None) -> None:
        self.path = path
        self.graph = graph

    @property
    def runs_here(self) -> bool:
        """Whether there are the headers and tools with which it can be compiled and run."""
        return True

    @abstractmethod
    def compile(self) -> Project:
        """Build what :meth:`predict` runs; returns itself."""

    @abstractmethod
    def predict(self, x: npt.ArrayLike) -> Array:
        """What the hardware would compute, bit for bit.

        Args:
            x: ``[n, *input shape]`` real numbers.

        Returns:
            Float64 ``[n, *output shape]``.
        """

    @abstractmethod
    def trace(self, x: npt.ArrayLike) -> dict[str, Array]:
        """What the project's layers make of samples, by the names of the graph's nodes."""

    def synthesize(self) -> FpgaReport:
        """Count what the project takes of an FPGA, with the tool of its kind; then :meth:`report` gives it.

        Raises:
            BackendError: the tool is missing or fails, or there is none for such a project.
        """
        raise BackendError(f"{self.path}: there is no tool that synthesises such a project")

    @property
    def digest(self) -> str | None:
        """SHA-256 of the network that it was lowered from; None if it is not known."""
        return None if self.graph is None else self.graph.digest()

    @abstractmethod
    def report(self) -> FpgaReport:
        """The layers and their types, and resources as far as they are known."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """JSON-able facts: backend, settings, state, files to look at, and the report."""


class Backend(ABC):
    """A way from a hardware graph to a project.

    One instance a key stands in :data:`BACKENDS`. A backend imports its tool in the methods that use it.
    """

    key: str = ""
    capabilities: Capabilities

    @abstractmethod
    def lower(self, graph: HardwareGraph, out: Path, settings: Settings) -> Project:
        """Write the project of a graph into the folder ``out``, whole or not at all."""

    @abstractmethod
    def open(self, path: Path) -> Project:
        """A project that was written before."""


BACKENDS: Registry[Backend] = Registry("backend")
"""The backends by name."""
