"""What hls4ml made of a graph, read back from its model: types, tables, what can be traced.

Nothing in here imports hls4ml; its model is handed in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hls_export.backends.layer_view import Layer
from hls_export.hardware import Conv, Dense, HardwareGraph
from hls_export.passes.channels_last import Placed
from hls_export.report import LayerRow
from torchq.formats import FixedPoint


def rows(model: Any, layers: Sequence[Layer]) -> Iterator[LayerRow]:
    """The table, read back from hls4ml's graph."""
    types: dict[str, str] = {}
    for layer in layers:
        made = model.graph[layer.name]
        node = layer.node
        types[layer.name] = type_text(made.get_output_variable().type)
        inputs = layer.spec["inputs"]
        row = LayerRow(
            name=node.name,
            kind=node.kind,
            shape=node.shape,
            input_type=types[inputs[0]] if inputs else "",
            output_type=types[layer.name],
        )
        if isinstance(node, Dense | Conv):
            places = int(np.prod(node.shape)) // node.n_out
            row = replace(
                row,
                weight_type=_constant_type(made, "weight"),
                bias_type=_constant_type(made, "bias") if node.bias is not None else "",
                accumulator_type=type_text(made.attributes["accum_t"]) if "weight" in made.weights else "",
                weights=node.weight.size + (0 if node.bias is None else node.bias.size),
                nonzero=int(np.count_nonzero(node.weight)),
                multiplications=int(node.weight.size) * places,
                reuse_factor=int(made.get_attr("reuse_factor", 1)),
            )
        yield row


def _constant_type(made: Any, slot: str) -> str:
    """As text; nothing where the constants are gone, as adders and shifts of distributed arithmetic."""
    return type_text(made.weights[slot].type) if slot in made.weights else ""


def type_text(named: Any) -> str:
    """One of hls4ml's types as text."""
    precision = named.precision
    kind = "ap_fixed" if precision.signed else "ap_ufixed"
    rounding, overflow = (
        str(mode).rsplit(".", 1)[-1] for mode in (precision.rounding_mode, precision.saturation_mode)
    )
    return f"{kind}<{precision.width},{precision.integer},{rounding},{overflow}>"


def grid_text(grid: FixedPoint) -> str:
    """The same of a format of ours."""
    return str(grid)


def ends(graph: HardwareGraph, placed: Placed) -> dict[str, dict[str, Any]]:
    """Input and output: name, shape, and the order of the axes in memory."""
    return {
        "input": {
            "name": graph.input,
            "shape": list(graph.input_shape),
            "axes": _axes(placed, graph.input, graph.input_shape),
        },
        "output": {
            "name": graph.output,
            "shape": list(graph.output_shape),
            "axes": _axes(placed, placed.graph.output, graph.output_shape),
        },
    }


def _axes(placed: Placed, name: str, shape: tuple[int, ...]) -> list[int]:
    axes = list(placed.axes[name])
    return axes if placed.graph.node(name).shape == shape else list(range(len(shape)))


def traced(model: Any, placed: Placed, layers: Sequence[Layer]) -> dict[str, dict[str, Any]]:
    """What the simulation can show: C++ name -> the node whose tensor it is, and where its axes stand."""
    found = {}
    for layer in layers:
        made = model.graph[layer.name]
        if made.get_attr("function_cpp", None) and made.get_attr("trace", False):
            shape = placed.graph.node(layer.carries).shape
            axes = placed.axes[layer.carries]
            found[layer.name] = {"node": layer.carries, "shape": list(shape), "axes": list(axes)}
    return found


def constants(model: Any, layers: Sequence[Layer], work: Path) -> list[dict[str, str]]:
    """Every constant that stands in two files, one for synthesis and one for simulation, and their name."""
    return [
        {"layer": layer.node.name, "slot": slot, "file": weight.name}
        for layer in layers
        for slot, weight in model.graph[layer.name].weights.items()
        if (work / "firmware" / "weights" / f"{weight.name}.txt").is_file()
    ]
