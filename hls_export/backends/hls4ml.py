"""hls4ml as a backend: the only file that knows it.

The graph goes in by hls4ml's layer list, with ``FixedPointQuantizer`` nodes and its ``BitExact`` pass. That
pass fuses every quantizer into the layer in front of it and finds types by interval arithmetic; the types are
then set to those of our own graph, which are proven on the actual weights and keep the user's formats as
declared. (Left alone, ``BitExact`` shrinks quantizers, and one with symmetric saturation then saturates
elsewhere.)
"""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hls_export.backends import readback
from hls_export.backends.base import Backend, Settings
from hls_export.backends.csim import CsimProject
from hls_export.backends.folder import check_target, new_folder, write_marker
from hls_export.backends.layer_list import carriers, format_of, layer_list
from hls_export.backends.limits import CAPABILITIES, refuse
from hls_export.backends.names import cpp_names
from hls_export.handover import write_interface
from hls_export.hardware import Dense, HardwareGraph
from hls_export.passes import (
    annotate,
    drop_identities,
    flatten,
    merge_quantizers,
    quantize_first,
    rounding_room,
)
from hls_export.report import FpgaReport
from torchq.errors import BackendError
from torchq.formats import FixedPoint, Overflow, Rounding

_ZERO = FixedPoint(1, 1, False, Rounding.TRN, Overflow.WRAP)
"""The type of constants that are all zero; hls4ml's own choice has a last bit of 2**30."""


class Hls4mlBackend(Backend):
    """One of hls4ml's backends.

    Args:
        key: its name here.
        name: its name in hls4ml.
    """

    capabilities = CAPABILITIES

    def __init__(self, key: str, name: str) -> None:
        self.key = key
        self.name = name

    def lower(self, graph: HardwareGraph, out: Path, settings: Settings) -> CsimProject:
        """Write the HLS project of a graph.

        Raises:
            BackendError: hls4ml is missing, cannot express something, or the folder is not free.
        """
        digest = graph.digest()
        check_target(out, digest)
        prepared = prepare(graph)
        refuse(self.key, prepared, settings)
        with new_folder(out, digest) as work:
            facts = _write(prepared, work, settings, self.name)
            facts |= {
                "backend": self.key,
                "input": {"name": graph.input, "shape": list(graph.input_shape)},
                "output": {"name": graph.output, "shape": list(graph.output_shape)},
                "model": {"name": graph.name, "digest": digest},
                "settings": settings.to_dict(),
            }
            write_interface(work, graph)
            write_marker(work, facts)
        return CsimProject(out, graph)

    def open(self, path: Path) -> CsimProject:
        """A project that was written before; hls4ml is not needed."""
        return CsimProject(path)


def prepare(graph: HardwareGraph) -> HardwareGraph:
    """The graph as hls4ml gets it: no identities, no reshapes, no quantizers in a row, wide enough types."""
    graph = flatten(quantize_first(drop_identities(graph)))
    return rounding_room(annotate(merge_quantizers(graph)))


def _write(graph: HardwareGraph, work: Path, settings: Settings, backend: str) -> dict[str, Any]:
    """Let hls4ml write its files; returns what the marker keeps of it."""
    names = cpp_names(graph.names, reserved=[settings.top])
    carried = carriers(graph)
    with _quiet() as notes:
        hls4ml = _hls4ml()
        try:
            model = _model(hls4ml, graph, names, work, settings, backend)
            _pin(model, graph, names, carried)
            model.write()
        except BackendError:
            raise
        except OSError:
            raise
        except Exception as fault:  # hls4ml raises plain Exceptions of all sorts
            raise BackendError(f"hls4ml: {type(fault).__name__}: {fault}") from fault
    _make_reproducible(work)
    version = str(hls4ml.__version__)
    report = FpgaReport(
        source="csim",
        tool=f"hls4ml {version}",
        part=settings.part,
        clock_ns=settings.clock_ns,
        layers=tuple(readback.rows(model, graph, names, carried)),
        notes=tuple(notes),
    )
    return {
        "tools": {"hls4ml": version},
        "names": names,
        "trace": readback.traced(model, graph, names, carried),
        "constants": readback.constants(model, graph, names),
        "report": report.to_dict(),
    }


def _hls4ml() -> Any:
    try:
        import hls4ml  # noqa: TID251 - this is the file that knows it
        import hls4ml.model.graph  # noqa: TID251
        import hls4ml.utils.config  # noqa: TID251
    except ImportError as fault:
        raise BackendError("hls4ml is not installed", hint="pip install 'torchq[hls]'") from fault
    return hls4ml


@contextlib.contextmanager
def _quiet() -> Iterator[list[str]]:
    """Catch what hls4ml prints and warns; the lines are notes of the report."""
    notes: list[str] = []
    printed = io.StringIO()
    with warnings.catch_warnings(record=True) as caught, contextlib.redirect_stdout(printed):
        warnings.simplefilter("always")
        yield notes
    lines = [*printed.getvalue().splitlines(), *(str(w.message) for w in caught)]
    notes += [line.strip() for line in lines if line.strip()]


def _model(
    hls4ml: Any, graph: HardwareGraph, names: dict[str, str], work: Path, settings: Settings, backend: str
) -> Any:
    """hls4ml's own model of the graph, with its types found and its C++ made, but not written."""
    config = hls4ml.utils.config.create_config(
        output_dir=str(work),
        project_name=settings.top,
        backend=backend,
        part=settings.part,
        clock_period=settings.clock_ns,
        io_type=settings.io_type,
    )
    config["HLSConfig"] = {
        "Model": {
            "Precision": "fixed<16,6>",
            "ReuseFactor": settings.reuse_factor,
            "Strategy": settings.strategy.capitalize(),
        },
        "LayerName": {name: {"Trace": True} for name in names.values()},
    }
    config["InputData"] = config["OutputPredictions"] = None
    config["TraceOutput"] = True
    ends = [names[graph.input]], [names[graph.output]]
    return hls4ml.model.graph.ModelGraph.from_layer_list(config, layer_list(graph, names), *ends)


def _pin(model: Any, graph: HardwareGraph, names: dict[str, str], carried: dict[str, str]) -> None:
    """Set every type to that of our graph, and check that no layer was left out or put in."""
    present = {layer.name for layer in model.get_layers()}
    needed = {names[name] for name in carried}
    if needed != present:
        odd = ", ".join(sorted(needed ^ present))
        raise BackendError(f"hls4ml left out or put in {odd}", hint="this is a defect; please report it")
    for name, made in carried.items():
        layer = model.graph[names[name]]
        _set(layer.get_output_variable().type.precision, format_of(graph.node(made)))
        if isinstance(graph.node(name), Dense):
            _set(layer.attributes["accum_t"].precision, format_of(graph.node(name)))
            for constant in layer.weights.values():
                if not np.any(constant.data):
                    _set(constant.type.precision, _ZERO)


def _set(precision: Any, grid: FixedPoint) -> None:
    precision.width, precision.integer, precision.signed = (
        int(grid.width),
        int(grid.integer),
        bool(grid.signed),
    )
    precision.rounding_mode, precision.saturation_mode = str(grid.rounding), str(grid.overflow)


def _make_reproducible(work: Path) -> None:
    """The same model gives the same bytes: hls4ml's random stamp and the temporary path are taken out."""
    for name, patterns in _UNSTEADY.items():
        text = (work / name).read_text(encoding="utf-8")
        for pattern, steady in patterns:
            text = re.sub(pattern, steady, text, flags=re.MULTILINE)
        (work / name).write_text(text, encoding="utf-8")
    shutil.rmtree(work / "tb_data", ignore_errors=True)
    (work / "tb_data").mkdir()


_UNSTEADY = {
    "build_lib.sh": [(r"^LIB_STAMP=.*$", "LIB_STAMP=csim")],
    "hls4ml_config.yml": [
        (r"^Stamp:.*$", "Stamp: csim"),
        (r"^OutputDir:.*$(\n[ ]+.*$)*", "OutputDir: ."),
    ],
}
"""Lines with a random stamp, or with the folder that a project is written in before it is moved."""
