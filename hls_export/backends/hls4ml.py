"""hls4ml as a backend: the only file that knows it.

The graph goes in by hls4ml's layer list, with ``FixedPointQuantizer`` nodes and its ``BitExact`` pass. That pass
fuses every quantizer into the layer in front of it and finds types by interval arithmetic; the types are then
set to those of our own graph, which are proven on the actual weights and keep the user's formats as declared.
(Left alone, ``BitExact`` shrinks quantizers, and one with symmetric saturation then saturates elsewhere.)
"""

from __future__ import annotations

import contextlib
import io
import shutil
import warnings
from collections.abc import Iterator
from dataclasses import replace
from functools import singledispatch
from pathlib import Path
from typing import Any

import numpy as np

from hls_export.backends.base import Backend, Capabilities, Settings
from hls_export.backends.csim import CsimProject
from hls_export.backends.folder import check_target, new_folder, write_marker
from hls_export.backends.names import cpp_names
from hls_export.handover import write_interface
from hls_export.hardware import Dense, HardwareGraph, Input, Node, Quantize, Relu, Reshape
from hls_export.passes import annotate, drop_identities, merge_quantizers, rounding_room
from hls_export.report import FpgaReport, LayerRow
from torchq.errors import BackendError
from torchq.formats import FixedPoint, Overflow, Rounding

STRATEGIES = ("latency", "resource")

CAPABILITIES = Capabilities(
    kinds=frozenset({"input", "quantize", "relu", "reshape", "dense", "identity"}),
    io_types=frozenset({"io_parallel", "io_stream"}),
    strategies=STRATEGIES,
    roundings=frozenset(Rounding),
    overflows=frozenset(Overflow),
)

_MOST_BITS = 1023
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
        self.key = key  # type: ignore[misc]
        self.name = name

    def lower(self, graph: HardwareGraph, out: Path, settings: Settings) -> CsimProject:
        """Write the HLS project of a graph.

        Raises:
            BackendError: hls4ml is missing, cannot express something, or the folder is not free.
        """
        digest = graph.digest()
        check_target(out, digest)
        prepared = rounding_room(annotate(merge_quantizers(drop_identities(graph))))
        _refuse(self.key, prepared, settings)
        with new_folder(out, digest) as work:
            version, facts = self._write(prepared, work, settings)
            facts |= {
                "backend": self.key,
                "model": {"name": graph.name, "digest": digest},
                "settings": settings.to_dict(),
                "tools": {"hls4ml": version},
            }
            write_interface(work, graph)
            write_marker(work, facts)
        return CsimProject(out, graph)

    def open(self, path: Path) -> CsimProject:
        """A project that was written before; hls4ml is not needed."""
        return CsimProject(path)

    def _write(self, graph: HardwareGraph, work: Path, settings: Settings) -> tuple[str, dict[str, Any]]:
        names = cpp_names(graph.names, reserved=[settings.top])
        with _quiet() as notes:
            hls4ml = _hls4ml()
            try:
                model = _model(hls4ml, graph, names, work, settings, self.name)
                carriers = _carriers(graph)
                _pin(model, graph, names, carriers)
                model.write()
            except BackendError:
                raise
            except Exception as fault:  # hls4ml raises plain Exceptions of all sorts
                raise BackendError(f"hls4ml: {type(fault).__name__}: {fault}") from fault
        _make_reproducible(model, work, settings)
        rows = _rows(model, graph, names, carriers)
        report = FpgaReport(
            source="csim",
            tool=f"hls4ml {hls4ml.__version__}",
            part=settings.part,
            clock_ns=settings.clock_ns,
            layers=tuple(rows),
            notes=tuple(notes),
        )
        facts = {
            "input": _port(graph, graph.input, names),
            "output": _port(graph, graph.output, names),
            "names": names,
            "trace": _traced(model, graph, names, carriers),
            "constants": _constants(model, graph, names),
            "report": report.to_dict(),
        }
        return str(hls4ml.__version__), facts


# ---------------------------------------------------------------------- before


def _refuse(key: str, graph: HardwareGraph, settings: Settings) -> None:
    """Everything that cannot be expressed, at once."""
    reasons = CAPABILITIES.reasons(graph, settings)
    if len(graph.nodes) < 3:
        reasons.append("the model has no layer behind its input quantizer")
    for node in graph.nodes:
        grid = node.format
        if grid is None or not grid.is_scalar:
            continue
        if isinstance(node, Quantize):
            reasons += _quantizer_reasons(graph, node, grid)
        if int(grid.width) > _MOST_BITS:
            reasons.append(f"{node.name} needs {grid.width} bits, and ap_fixed has at most {_MOST_BITS}")
        if len(graph.consumers(node.name)) > 1:
            reasons.append(f"{node.name} is read more than once, which is not supported yet")
        if isinstance(node, Dense):
            reasons += _dense_reasons(node, settings)
    if reasons:
        raise BackendError("\n".join(f"{key}: {reason}" for reason in reasons))


def _quantizer_reasons(graph: HardwareGraph, node: Node, grid: FixedPoint) -> Iterator[str]:
    if isinstance(graph.node(node.inputs[0]), Quantize):
        first = node.inputs[0]
        yield f"{node.name} rounds what {first} has rounded already, and hls4ml keeps one of the two; remove one"
    if grid.width == 0:
        yield f"{node.name} has zero bits; leave the layer out"
    if grid.width == 1 and grid.signed and grid.overflow is Overflow.SAT_SYM:
        yield f"{node.name} has one signed bit and symmetric saturation: it holds zero alone"


def _dense_reasons(node: Dense, settings: Settings) -> Iterator[str]:
    """hls4ml takes the nearest reuse factor that it can build and says so in passing; we refuse instead."""
    size, factor = node.n_in * node.n_out, settings.reuse_factor
    valid = [f for f in range(1, size + 1) if _buildable(node.n_in, node.n_out, f)]
    if settings.strategy == "resource" and size > 1:
        valid = valid[:-1]
    if factor not in valid:
        listed = ", ".join(map(str, valid[:12])) + (", ..." if len(valid) > 12 else "")
        yield f"{node.name} cannot have reuse factor {factor}; it can have {listed}"


def _buildable(n_in: int, n_out: int, factor: int) -> bool:
    """The rule of hls4ml's dense layers: whole columns, or whole multiples of them."""
    if (n_in * n_out) % factor:
        return False
    if factor < n_in:
        return -(-n_in * n_out // factor) % n_out == 0
    return factor % n_in == 0


def _hls4ml() -> Any:
    try:
        import hls4ml  # noqa: TID251 - this is the file that knows it
        import hls4ml.model.graph
        import hls4ml.utils.config
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


# ---------------------------------------------------------------------- the layer list


def _model(
    hls4ml: Any, graph: HardwareGraph, names: dict[str, str], work: Path, settings: Settings, backend: str
) -> Any:
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
    layers = [
        _layer(node, names[node.name], [names[name] for name in node.inputs], graph) for node in graph.nodes
    ]
    return hls4ml.model.graph.ModelGraph.from_layer_list(
        config, layers, [names[graph.input]], [names[graph.output]]
    )


@singledispatch
def _layer(node: Node, name: str, inputs: list[str], graph: HardwareGraph) -> dict[str, Any]:
    raise BackendError(f"hls4ml: {node.name} ({node.kind}) is not supported")


@_layer.register
def _layer_input(node: Input, name: str, inputs: list[str], graph: HardwareGraph) -> dict[str, Any]:
    return {"class_name": "InputLayer", "name": name, "input_shape": list(node.shape), "inputs": []}


@_layer.register
def _layer_quantize(node: Quantize, name: str, inputs: list[str], graph: HardwareGraph) -> dict[str, Any]:
    grid = _format(node)
    return {
        "class_name": "FixedPointQuantizer",
        "name": name,
        "inputs": inputs,
        "mask_kbi": tuple(np.int16([int(v)]) for v in (grid.signed, grid.width, grid.integer)),
        "RND": str(grid.rounding),
        "SAT": str(grid.overflow),
        "fusible": None,
        "overrides": {},
    }


@_layer.register
def _layer_relu(node: Relu, name: str, inputs: list[str], graph: HardwareGraph) -> dict[str, Any]:
    size = int(np.prod(node.shape))
    return {"class_name": "Activation", "name": name, "inputs": inputs, "activation": "relu", "n_in": size}


@_layer.register
def _layer_reshape(node: Reshape, name: str, inputs: list[str], graph: HardwareGraph) -> dict[str, Any]:
    return {"class_name": "Reshape", "name": name, "inputs": inputs, "target_shape": list(node.shape)}


@_layer.register
def _layer_dense(node: Dense, name: str, inputs: list[str], graph: HardwareGraph) -> dict[str, Any]:
    return {
        "class_name": "Dense",
        "name": name,
        "inputs": inputs,
        "n_in": node.n_in,
        "n_out": node.n_out,
        "weight_data": np.array(node.weight),
        "bias_data": np.zeros(node.n_out) if node.bias is None else np.array(node.bias),
        "use_bias": True,
        "data_format": "channels_last",
    }


# ---------------------------------------------------------------------- types


def _carriers(graph: HardwareGraph) -> dict[str, str]:
    """For every node that stays in hls4ml's graph the node whose tensor it makes: a fused quantizer's, or its own."""
    carried = {}
    for node in graph.nodes:
        if not isinstance(node, Quantize):
            readers = graph.consumers(node.name)
            fused = len(readers) == 1 and isinstance(readers[0], Quantize) and node.name != graph.output
            carried[node.name] = readers[0].name if fused else node.name
    return carried


def _pin(model: Any, graph: HardwareGraph, names: dict[str, str], carriers: dict[str, str]) -> None:
    """Set every type to that of our graph, and check that nothing else happened to the layers."""
    expected = [names[name] for name in carriers]
    present = [layer.name for layer in model.get_layers()]
    missing = [name for name in expected if name not in present]
    if missing and any(not isinstance(node, Reshape) for node in graph.nodes if names[node.name] in missing):
        raise BackendError(f"hls4ml left out {', '.join(missing)}", hint="this is a defect; please report it")
    for name, carried in carriers.items():
        if names[name] not in present:
            continue
        layer = model.graph[names[name]]
        _set(layer.get_output_variable().type.precision, _format(graph.node(carried)))
        if isinstance(graph.node(name), Dense):
            _set(layer.attributes["accum_t"].precision, _format(graph.node(name)))
            for constant in layer.weights.values():
                if not np.any(constant.data):
                    _set(constant.type.precision, _ZERO)


def _set(precision: Any, grid: FixedPoint) -> None:
    precision.width, precision.integer, precision.signed = int(grid.width), int(grid.integer), bool(grid.signed)
    precision.rounding_mode, precision.saturation_mode = str(grid.rounding), str(grid.overflow)


def _format(node: Node) -> FixedPoint:
    if node.format is None:
        raise BackendError(f"{node.name} has no format")
    return node.format


# ---------------------------------------------------------------------- after


def _make_reproducible(model: Any, work: Path, settings: Settings) -> None:
    """The same model gives the same bytes: hls4ml's random stamp and the temporary path are taken out."""
    stamp = str(model.config.get_config_value("Stamp"))
    for file in (work / "build_lib.sh", work / "hls4ml_config.yml"):
        if file.is_file():
            text = file.read_text(encoding="utf-8").replace(stamp, "csim").replace(str(work), ".")
            file.write_text(text, encoding="utf-8")
    archive = work.with_suffix(".tar.gz")
    if archive.exists():
        archive.unlink()
    for leftover in work.glob("firmware/*.so"):
        leftover.unlink()
    shutil.rmtree(work / "tb_data", ignore_errors=True)
    (work / "tb_data").mkdir()


def _rows(model: Any, graph: HardwareGraph, names: dict[str, str], carriers: dict[str, str]) -> Iterator[LayerRow]:
    """The table, read back from hls4ml's graph."""
    made: dict[str, str] = {}
    for node in graph.nodes:
        if node.name not in carriers:
            made[node.name] = made[node.inputs[0]]
            continue
        layer = model.graph.get(names[node.name])
        if layer is None:
            made[node.name] = made[node.inputs[0]]
            continue
        output = _text(layer.get_output_variable().type)
        row = LayerRow(
            name=node.name,
            kind=node.kind,
            shape=node.shape,
            input_type=made[node.inputs[0]] if node.inputs else "",
            output_type=output,
        )
        if isinstance(node, Dense):
            row = replace(
                row,
                weight_type=_text(layer.weights["weight"].type),
                bias_type=_text(layer.weights["bias"].type) if node.bias is not None else "",
                accumulator_type=_text(layer.attributes["accum_t"]),
                weights=node.weight.size + (0 if node.bias is None else node.bias.size),
                nonzero=int(np.count_nonzero(node.weight)),
                multiplications=int(node.weight.size),
                reuse_factor=int(layer.get_attr("reuse_factor", 1)),
            )
        made[node.name] = output
        yield row


def _text(named: Any) -> str:
    precision = named.precision
    kind = "ap_fixed" if precision.signed else "ap_ufixed"
    rounding, overflow = (str(mode).rsplit(".", 1)[-1] for mode in (precision.rounding_mode, precision.saturation_mode))
    return f"{kind}<{precision.width},{precision.integer},{rounding},{overflow}>"


def _port(graph: HardwareGraph, name: str, names: dict[str, str]) -> dict[str, Any]:
    node = graph.node(name)
    return {"name": name, "cpp": names[name], "shape": list(node.shape)}


def _traced(
    model: Any, graph: HardwareGraph, names: dict[str, str], carriers: dict[str, str]
) -> dict[str, dict[str, Any]]:
    """What the simulation can show: C++ name -> the node whose tensor it is, and its shape."""
    found = {}
    for name, carried in carriers.items():
        layer = model.graph.get(names[name])
        if layer is not None and layer.get_attr("function_cpp", None) and layer.get_attr("trace", False):
            found[names[name]] = {"node": carried, "shape": list(graph.node(carried).shape)}
    return found


def _constants(model: Any, graph: HardwareGraph, names: dict[str, str]) -> list[dict[str, str]]:
    return [
        {"layer": node.name, "slot": slot, "file": model.graph[names[node.name]].weights[slot].name}
        for node in graph.nodes
        if isinstance(node, Dense)
        for slot in ("weight", "bias")
    ]

