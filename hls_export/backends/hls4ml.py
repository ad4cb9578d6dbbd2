"""hls4ml as a backend: the only file that knows it.

The graph goes in by hls4ml's layer list, and every type is said: those of our own graph, which are proven on
the actual weights and keep the user's formats as declared. hls4ml infers none. (Its own pass for exact types
would shrink quantizers, and one with symmetric saturation then saturates elsewhere.)
"""

from __future__ import annotations

import contextlib
import copy
import io
import re
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from hls_export.backends import readback
from hls_export.backends.base import DEFAULT_PART, Backend, Settings
from hls_export.backends.bench import write_bench
from hls_export.backends.csim import CsimProject
from hls_export.backends.folder import check_target, new_folder, write_marker
from hls_export.backends.layer_list import layer_list
from hls_export.backends.layer_view import Layer
from hls_export.backends.limits import capabilities, refuse, refuse_prepared, settings_of, weighted
from hls_export.backends.names import cpp_names
from hls_export.backends.own_guards import own_guards
from hls_export.backends.prepare import prepare
from hls_export.backends.steady import make_reproducible
from hls_export.backends.tools import Tool
from hls_export.handover import write_interface
from hls_export.hardware import Conv, HardwareGraph
from hls_export.passes.channels_last import Placed, channels_last
from hls_export.passes.plain_formats import plain_formats
from hls_export.passes.whole_kernels import is_depthwise
from hls_export.report import FpgaReport
from torchq.errors import BackendError
from torchq.formats import FixedPoint


class Hls4mlBackend(Backend):
    """One of hls4ml's backends.

    Args:
        tool: whose projects it writes.
    """

    def __init__(self, tool: Tool) -> None:
        self.key = tool.key
        self.tool = tool
        self.capabilities = capabilities(tool)

    def lower(self, graph: HardwareGraph, out: Path, settings: Settings) -> CsimProject:
        """Write the HLS project of a graph.

        Raises:
            BackendError: hls4ml is missing, cannot express something, or the folder is not free.
        """
        if settings.part == DEFAULT_PART:
            settings = replace(settings, part=self.tool.part)
        digest = graph.digest()
        check_target(out, digest)
        refuse(self.tool, plain_formats(graph), settings)
        prepared = prepare(graph, settings.io_type, depthwise=self.tool.depthwise)
        placed = channels_last(prepared)
        refuse_prepared(self.tool, graph, placed, settings)
        ends = readback.ends(graph, placed)
        with new_folder(out, digest) as work:
            facts = _write(graph, placed, work, settings, self.tool)
            facts |= {
                "backend": self.key,
                "csim": self.tool.csim(),
                **ends,
                "model": {"name": graph.name, "digest": digest},
                "settings": settings.to_dict(),
            }
            write_interface(work, graph, {end: facts[end]["axes"] for end in ends})
            write_bench(work, graph, facts)
            write_marker(work, facts)
        return CsimProject(out, graph)

    def open(self, path: Path) -> CsimProject:
        """A project that was written before; hls4ml is not needed."""
        return CsimProject(path)


def _write(
    graph: HardwareGraph, placed: Placed, work: Path, settings: Settings, tool: Tool
) -> dict[str, Any]:
    """Let hls4ml write its files; returns what the marker keeps of it."""
    names = cpp_names(placed.graph.names, reserved=[settings.top])
    layers = layer_list(placed, names, settings.io_type)
    with _quiet() as notes:
        hls4ml = _hls4ml()
        try:
            model = _model(hls4ml, layers, graph, placed.graph.output, work, settings, tool)
            model.write()
            _check_code(model, layers, work, settings, tool)
        except BackendError:
            raise
        except FileNotFoundError as fault:
            _own_file(hls4ml, fault, tool)
            raise
        except OSError:
            raise
        except Exception as fault:  # hls4ml raises plain Exceptions of all sorts
            raise BackendError(f"hls4ml: {type(fault).__name__}: {fault}") from fault
    own_guards(work)
    make_reproducible(work, str(model.config.get_config_value("Stamp")))
    version = str(hls4ml.__version__)
    report = FpgaReport(
        source="csim",
        tool=f"hls4ml {version}",
        part=settings.part,
        clock_ns=settings.clock_ns,
        layers=tuple(readback.rows(model, layers)),
        notes=(*_rewritten(graph, tool), *notes),
    )
    return {
        "tools": {"hls4ml": version},
        "names": {node: names[node] for node in graph.names if node in names},
        "trace": readback.traced(model, placed, layers),
        "constants": readback.constants(model, layers, work),
        "report": report.to_dict(),
    }


def _rewritten(graph: HardwareGraph, tool: Tool) -> Iterator[str]:
    """What the user may want to know of convolutions that are built as others."""
    for node in graph.nodes:
        if not isinstance(node, Conv):
            continue
        whole = node.groups == 1 or (tool.depthwise and is_depthwise(node))
        if not whole or any(d > 1 for d in node.dilations):
            yield f"{node.name}: groups and dilations are written out as zeros of a larger kernel, exactly"


def _hls4ml() -> Any:
    try:
        import hls4ml  # noqa: TID251 - this is the file that knows it
        import hls4ml.model.graph  # noqa: TID251
        import hls4ml.utils.config  # noqa: TID251
    except ImportError as fault:
        raise BackendError("hls4ml is not installed", hint="pip install 'torchq[hls]'") from fault
    return hls4ml


def _own_file(hls4ml: Any, fault: FileNotFoundError, tool: Tool) -> None:
    """Whether hls4ml looks for a file of its own that its package has not."""
    own, missing = Path(hls4ml.__file__).parent.resolve(), Path(str(fault.filename)).resolve()
    if missing.is_relative_to(own):
        raise BackendError(
            f"{tool.key}: hls4ml {hls4ml.__version__} came without its own file {missing.relative_to(own)}",
            hint="take another backend, or install hls4ml from its sources",
        ) from None


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
    hls4ml: Any,
    layers: list[Layer],
    graph: HardwareGraph,
    output: str,
    work: Path,
    settings: Settings,
    tool: Tool,
) -> Any:
    """hls4ml's own model of the graph, with its types set and its C++ made, but not written."""
    config = hls4ml.utils.config.create_config(
        output_dir=str(work),
        project_name=settings.top,
        backend=tool.name,
        part=settings.part,
        clock_period=settings.clock_ns,
        io_type=settings.io_type,
        **tool.config,
    )
    config["HLSConfig"] = {
        "Model": {
            "Precision": "fixed<16,6>",
            "ReuseFactor": settings.reuse_factor,
            "Strategy": settings.strategy,
            "PipelineStyle": settings.pipeline,
            "BitExact": False,
        },
        "LayerName": {layer.name: _layer_config(layer, graph, settings, tool) for layer in layers},
        "Flows": ["convert"],
    }
    config["InputData"] = config["OutputPredictions"] = None
    config["TraceOutput"] = True
    at = {layer.carries: layer.name for layer in layers}
    ends = [layers[0].name], [at.get(output, layers[-1].name)]
    specs = [copy.deepcopy(layer.spec) for layer in layers]  # hls4ml writes into them
    model = hls4ml.model.graph.ModelGraph.from_layer_list(config, specs, *ends)
    _pin(model, layers)
    del config["HLSConfig"]["Flows"]
    model.apply_flow(model.config.backend.get_default_flow())
    _check(model, layers)
    return model


def _layer_config(layer: Layer, graph: HardwareGraph, settings: Settings, tool: Tool) -> dict[str, Any]:
    mine = settings_of(layer.node.name, weighted(graph), settings)
    config: dict[str, Any] = {
        "Trace": layer.carries in graph.names and settings.io_type in tool.traces,
        "Precision": {word: str(grid) for word, grid in layer.types.items()},
        "ReuseFactor": mine.reuse_factor,
        "Strategy": mine.strategy,
    }
    if "table" in layer.types:
        config["table_t"] = str(layer.types["table"])
    return config


def _pin(model: Any, layers: list[Layer]) -> None:
    """Set every type to ours, while hls4ml has not used it yet."""
    for layer in layers:
        made = model.graph.get(layer.name)
        if made is None:
            raise BackendError(f"hls4ml left out {layer.name}", hint="this is a defect; please report it")
        output = made.get_output_variable()
        output.type.name = f"{layer.name}_t"
        for word, grid in layer.types.items():
            if word == "result":
                output.type.precision = _typed(output.type.precision, grid)
            elif word in made.weights:
                made.weights[word].update_precision(_typed(made.weights[word].type.precision, grid))
            if f"{word}_t" in made.attributes:
                named = made.attributes[f"{word}_t"]
                named.precision = _typed(named.precision, grid)


def _check(model: Any, layers: list[Layer]) -> None:
    """Whether hls4ml kept to it: no layer left out or put in, no type changed."""
    wanted = {layer.name: layer for layer in layers}
    present = {made.name: made for made in model.get_layers()}
    odd = set(wanted) - set(present)
    odd |= {name for name, made in present.items() if name not in wanted and made.class_name not in _PUT_IN}
    for name, layer in wanted.items():
        made = present.get(name)
        if made is None or made.class_name == "Reshape":
            continue
        found = readback.type_text(made.get_output_variable().type)
        if found != readback.grid_text(layer.types["result"]):
            odd.add(f"{name} ({found})")
        if made.class_name == "UnaryLUT":  # it is indexed with the raw bits of its input
            width = int(made.get_input_variable().type.precision.width)
            if 1 << width != len(layer.spec["table_data"]):
                odd.add(f"the addresses of {name} ({width} bits)")
    if odd:
        text = ", ".join(sorted(odd))
        raise BackendError(
            f"hls4ml left out, put in or changed {text}", hint="this is a defect; please report it"
        )


def _check_code(model: Any, layers: list[Layer], work: Path, settings: Settings, tool: Tool) -> None:
    """Whether every layer is a call of a function that there is: hls4ml leaves out what a tool lacks."""
    headers = "\n".join(file.read_text(encoding="utf-8") for file in sorted(work.rglob("nnet_utils/*.h")))
    known = set(re.findall(r"\b(\w+)\s*\(", headers))
    reasons = []
    for layer in layers:
        made = model.graph[layer.name]
        if layer.spec["class_name"] in ("InputLayer", "Reshape"):
            continue
        code = made.get_attr("function_cpp", None)
        called = re.findall(r"nnet::(\w+)\s*<", str(code)) if code else []
        if not code or not set(called) <= known:
            node = layer.node
            reasons.append(f"{node.name} ({node.kind}) is not supported in {settings.io_type}")
    if reasons:
        raise BackendError("\n".join(f"{tool.key}: {reason}" for reason in dict.fromkeys(reasons)))


_PUT_IN = {"Clone"}
"""What hls4ml puts in by itself, and what changes no value."""


def _typed(precision: Any, grid: FixedPoint) -> Any:
    """A precision of its own: hls4ml lets layers that only move values share one."""
    own = copy.copy(precision)
    own.width, own.integer, own.signed = int(grid.width), int(grid.integer), bool(grid.signed)
    own.rounding_mode, own.saturation_mode = str(grid.rounding), str(grid.overflow)
    return own
