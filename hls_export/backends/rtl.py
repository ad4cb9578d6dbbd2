"""RTL as a backend: pipelined Verilog by alkaid, with a test bench, vectors and the numbers of its ports."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from hls_export.backends.base import Backend, Capabilities, Settings
from hls_export.backends.folder import check_target, new_folder, write_marker
from hls_export.emulate import emulate
from hls_export.handover import FILE as INTERFACE
from hls_export.handover import interface
from hls_export.hardware import Conv, Dense, HardwareGraph, Node, Quantize
from hls_export.passes import annotate, bounds, drop_identities, quantize_first
from hls_export.report import FpgaReport, LayerRow
from hls_export.rtl import alkaid
from hls_export.rtl.bench import testbench
from hls_export.rtl.codes import pack, to_hex
from hls_export.rtl.logic import known_kinds
from hls_export.rtl.lowering import Design, Layer, design
from hls_export.rtl.names import is_module_name
from hls_export.rtl.project import BUILD, SYNTHESIS, RtlProject
from hls_export.rtl.readme import readme
from hls_export.rtl.verilog import layer_file, top_module
from hls_export.rtl.wires import Ref, Slots
from hls_export.vectors import adversarial
from torchq.errors import BackendError
from torchq.formats import Overflow, Rounding

VECTORS = 128
"""Samples in a project's test bench."""
MOST_PRODUCTS = 200_000
"""Products of one sample that are laid out side by side; beyond, writing takes hours and no FPGA holds it."""
_MOST_BITS = 53

CAPABILITIES = Capabilities(
    kinds=frozenset({"input", *known_kinds()}),
    io_types=frozenset({"io_parallel"}),
    strategies=("latency", "distributed_arithmetic"),
    roundings=frozenset(Rounding),
    overflows=frozenset(Overflow),
    formats_per_element=True,
)


class RtlBackend(Backend):
    """Verilog, fully unrolled: every product has its own logic, and a new sample comes in every cycle."""

    key = "rtl"
    capabilities = CAPABILITIES

    def lower(self, graph: HardwareGraph, out: Path, settings: Settings) -> RtlProject:
        """Write the Verilog project of a graph.

        Raises:
            BackendError: alkaid is missing, something cannot be expressed, or the folder is not free.
        """
        digest = graph.digest()
        check_target(out, digest)
        prepared = annotate(quantize_first(drop_identities(graph)))
        refuse(prepared, settings)
        made = design(prepared, settings.top, settings.latency_cutoff)
        with new_folder(out, digest) as work:
            facts = _facts(prepared, made, settings) | {
                "backend": self.key,
                "input": {"name": graph.input, "shape": list(graph.input_shape)},
                "output": {"name": graph.output, "shape": list(graph.output_shape)},
                "model": {"name": graph.name, "digest": digest},
                "settings": settings.to_dict(),
            }
            for path, text in _files(graph, prepared, made, facts).items():
                (work / path).parent.mkdir(parents=True, exist_ok=True)
                (work / path).write_text(text, encoding="utf-8")
            _keep(out, work)
            write_marker(work, facts)
        return RtlProject(out, graph)

    def open(self, path: Path) -> RtlProject:
        """A project that was written before; alkaid is not needed."""
        return RtlProject(path)


def refuse(graph: HardwareGraph, settings: Settings) -> None:
    """Everything that cannot be expressed, at once.

    Args:
        graph: annotated.
        settings: of the project.

    Raises:
        BackendError: one reason a line.
    """
    reasons = CAPABILITIES.reasons(graph, settings)
    if settings.reuse_factor != 1:
        reasons.append(
            f"every product has its own logic, so reuse_factor must be 1, got {settings.reuse_factor}"
        )
    if settings.pipeline == "dataflow":
        reasons.append("the layers are one pipeline, so pipeline must be auto or pipeline, got 'dataflow'")
    for name in settings.layers:
        own = settings.of(name)
        if name not in graph.names:
            reasons.append(f"the model has no layer {name!r}")
        elif own.reuse_factor != 1 or own.strategy not in CAPABILITIES.strategies:
            reasons.append(f"{name} cannot have settings of its own: every product has its own logic")
    if not is_module_name(settings.top):
        reasons.append(f"top must be a name that Verilog allows, got {settings.top!r}")
    readers = graph.consumers(graph.input)
    formats = {node.format for node in readers}
    if len(formats) > 1:
        names = ", ".join(node.name for node in readers)
        reasons.append(f"{names} round the input in different ways, and the Verilog has one input format")
    known = bounds(graph)
    for node in graph.nodes:
        if node.name in known and known[node.name].bits > _MOST_BITS:
            bits = known[node.name].bits
            reasons.append(f"{node.name} has sums of {bits} bits, and alkaid's ranges hold {_MOST_BITS}")
    products = sum(_products(node) for node in graph.nodes)
    if products > MOST_PRODUCTS:
        reasons.append(
            f"the model has {products:,} products, and at most {MOST_PRODUCTS:,} are laid out side by side; "
            "take backend vitis with io_stream"
        )
    if reasons:
        raise BackendError("\n".join(f"rtl: {reason}" for reason in reasons))


def _products(node: Node) -> int:
    if isinstance(node, Dense):
        return int(np.count_nonzero(node.weight)) * math.prod(node.shape[:-1])
    if isinstance(node, Conv):
        return int(np.count_nonzero(node.weight)) * math.prod(node.shape[1:])
    return math.prod(node.shape)


# ---------------------------------------------------------------------- files


def _keep(old: Path, new: Path) -> None:
    """What was compiled and synthesised before goes along: it carries the digest of its Verilog."""
    if (old / SYNTHESIS).is_file():
        shutil.copy(old / SYNTHESIS, new / SYNTHESIS)
    if (old / BUILD).is_dir():
        shutil.copytree(old / BUILD, new / BUILD)


def _files(
    graph: HardwareGraph, prepared: HardwareGraph, made: Design, facts: dict[str, Any]
) -> dict[str, str]:
    """Every file of the project but the marker, by path."""
    library = alkaid.library()
    top, settings = made.top, facts["settings"]
    files = {f"rtl/{top}.v": top_module(made)}
    seen: set[str] = set()
    for layer in made.layers:
        if layer.block is not None:
            files[f"rtl/{layer.block.name}.v"] = layer_file(layer, seen)
            seen |= set(layer.block.modules)
    files |= {f"rtl/{name}": text for name, text in library.items()}
    x = adversarial(prepared, VECTORS, 0)
    first = next(node for node in prepared.consumers(prepared.input) if isinstance(node, Quantize))
    assert first.format is not None, "annotate() has refused it"  # noqa: S101
    samples = first.format.quantize(x.reshape(len(x), *first.shape)).reshape(len(x), -1)
    results = emulate(prepared, x).reshape(len(x), -1)
    files["tb/vectors.hex"] = to_hex(pack(samples, made.input), made.input.bits)
    files["tb/expected.hex"] = to_hex(pack(results, made.output), made.output.bits)
    files["tb/testbench.v"] = testbench(
        top, made.input.bits, made.output.bits, VECTORS, made.latency, settings["clock_ns"]
    )
    ports = {"ports": facts["design"]["ports"], "latency_cycles": made.latency, "initiation_interval": 1}
    files[INTERFACE] = json.dumps(interface(graph) | ports, indent=1) + "\n"
    files["README.md"] = readme(facts, sorted(library))
    files["vivado.tcl"] = _VIVADO.format(top=top, **{k: settings[k] for k in ("part", "clock_ns")})
    files[f"{top}.xdc"] = f"create_clock -name clk -period {settings['clock_ns']:g} [get_ports clk]\n"
    return files


_VIVADO = """# Out of context: no pins. Run it in this folder: vivado -mode batch -source vivado.tcl
read_verilog [glob rtl/*.v]
read_xdc -mode out_of_context {top}.xdc
synth_design -mode out_of_context -top {top} -part {part}
opt_design
place_design
route_design
report_utilization -file utilization.rpt
report_timing_summary -file timing.rpt
"""


# ---------------------------------------------------------------------- facts


def _facts(graph: HardwareGraph, made: Design, settings: Settings) -> dict[str, Any]:
    first = next(node for node in graph.consumers(graph.input) if isinstance(node, Quantize))
    version = alkaid.version()
    report = FpgaReport(
        source="estimate",
        tool=f"alkaid {version}",
        part=settings.part,
        clock_ns=settings.clock_ns,
        layers=tuple(_row(graph, layer) for layer in made.layers),
        resources={
            "LUT": round(made.cost),
            "FF": sum(layer.block.register_bits for layer in made.layers if layer.block) + made.input.bits,
            "latency_cycles": made.latency,
            "initiation_interval": 1,
        },
        notes=("LUT is alkaid's count of adder bits: an estimate; --synthesize counts primitives",),
    )
    return {
        "tools": {"alkaid": version},
        "design": {
            "ports": {"x": _port(made.input, graph.input_shape), "y": _port(made.output, graph.output_shape)},
            "input_format": str(first.format),
            "input_grid": _grid(first),
            "latency_cycles": made.latency,
            "vectors": VECTORS,
            "cost": made.cost,
            "layers": [_layer_facts(layer) for layer in made.layers],
        },
        "report": report.to_dict(),
    }


def _port(slots: Slots, shape: tuple[int, ...]) -> dict[str, Any]:
    return {
        "bits": slots.bits,
        "elements": slots.count,
        "element_bits": slots.width,
        "signed": slots.signed,
        "fraction_bits": slots.fraction,
        "shape": list(shape),
    }


def _grid(node: Quantize) -> dict[str, Any]:
    """The format of the input, so that samples are quantized without the model."""
    grid = node.format
    assert grid is not None, "annotate() has refused it"  # noqa: S101
    return {
        "shape": list(node.shape),
        "width": np.asarray(grid.width).tolist(),
        "integer": np.asarray(grid.integer).tolist(),
        "signed": np.asarray(grid.signed).tolist(),
        "rounding": str(grid.rounding),
        "overflow": str(grid.overflow),
    }


def _layer_facts(layer: Layer) -> dict[str, Any]:
    """What the marker keeps of a layer: its wire and where its numbers stand in it, for traces."""
    block = layer.block
    numbers = [
        [ref.offset, ref.lane.width, int(ref.lane.signed), ref.lane.shift] if isinstance(ref, Ref) else ref
        for ref in layer.result.ravel().tolist()
    ]
    return {
        "name": layer.name,
        "nodes": [node.name for node in layer.nodes],
        "kinds": [node.kind for node in layer.nodes],
        "wire": f"{layer.name}_out",
        "bits": sum(lane.width for lane in block.outputs) if block else 0,
        "shape": list(layer.result.shape),
        "numbers": numbers,
        "start": layer.start,
        "stages": block.stages if block else 0,
        "cost": block.cost if block else 0.0,
    }


def _row(graph: HardwareGraph, layer: Layer) -> LayerRow:
    first, last = layer.nodes[0], layer.nodes[-1]
    source = graph.node(first.inputs[0])
    weighted = first if isinstance(first, Dense | Conv) else None
    constants = first.constants()
    return LayerRow(
        name=first.name,
        kind=first.kind,
        shape=last.shape,
        input_type=str(source.format),
        weight_type=str(weighted.weight_format) if weighted else "",
        bias_type=str(weighted.bias_format) if weighted and weighted.bias is not None else "",
        accumulator_type=str(first.format) if weighted else "",
        output_type=str(last.format),
        weights=sum(int(values.size) for values in constants.values()),
        nonzero=int(np.count_nonzero(weighted.weight)) if weighted else 0,
        multiplications=_multiplications(first),
    )


def _multiplications(node: Node) -> int:
    if isinstance(node, Dense):
        return int(node.weight.size) * math.prod(node.shape[:-1])
    if isinstance(node, Conv):
        return int(node.weight.size) * math.prod(node.shape[1:])
    return 0
