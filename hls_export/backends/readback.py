"""What hls4ml made of a graph, read back from its model: types, tables, what can be traced.

Nothing in here imports hls4ml; its model is handed in.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from hls_export.hardware import Dense, HardwareGraph
from hls_export.report import LayerRow

Names = dict[str, str]
"""Node name -> C++ name, or -> the node whose tensor it carries."""


def rows(model: Any, graph: HardwareGraph, names: Names, carriers: Names) -> Iterator[LayerRow]:
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
        output = type_text(layer.get_output_variable().type)
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
                weight_type=type_text(layer.weights["weight"].type),
                bias_type=type_text(layer.weights["bias"].type) if node.bias is not None else "",
                accumulator_type=type_text(layer.attributes["accum_t"]),
                weights=node.weight.size + (0 if node.bias is None else node.bias.size),
                nonzero=int(np.count_nonzero(node.weight)),
                multiplications=int(node.weight.size),
                reuse_factor=int(layer.get_attr("reuse_factor", 1)),
            )
        made[node.name] = output
        yield row


def type_text(named: Any) -> str:
    """One of hls4ml's types as text."""
    precision = named.precision
    kind = "ap_fixed" if precision.signed else "ap_ufixed"
    rounding, overflow = (
        str(mode).rsplit(".", 1)[-1] for mode in (precision.rounding_mode, precision.saturation_mode)
    )
    return f"{kind}<{precision.width},{precision.integer},{rounding},{overflow}>"


def traced(model: Any, graph: HardwareGraph, names: Names, carriers: Names) -> dict[str, dict[str, Any]]:
    """What the simulation can show: C++ name -> the node whose tensor it is, and its shape."""
    found = {}
    for name, carried in carriers.items():
        layer = model.graph.get(names[name])
        if layer is not None and layer.get_attr("function_cpp", None) and layer.get_attr("trace", False):
            found[names[name]] = {"node": carried, "shape": list(graph.node(carried).shape)}
    return found


def constants(model: Any, graph: HardwareGraph, names: Names) -> list[dict[str, str]]:
    """Every weight and bias, and the file that it stands in."""
    return [
        {"layer": node.name, "slot": slot, "file": model.graph[names[node.name]].weights[slot].name}
        for node in graph.nodes
        if isinstance(node, Dense)
        for slot in ("weight", "bias")
    ]
