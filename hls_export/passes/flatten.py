"""A network of matrix products and elementwise operations, with all its shapes flat."""

from __future__ import annotations

import math
from dataclasses import replace

from hls_export.hardware import Dense, HardwareGraph, Identity, Input, Quantize, Relu, Reshape


def flatten(graph: HardwareGraph) -> HardwareGraph:
    """Leave out all reshapes where no operation depends on a shape.

    Values keep their (row-major) order, so inputs and outputs are the same numbers in the same places. A
    graph with any other operation, or with formats that differ by element, stays as it is.

    Example:
        >>> from torchq.formats import FixedPoint
        >>> x = Input(name="x", shape=(2, 2))
        >>> q = Quantize(name="q", inputs=("x",), shape=(2, 2), format=FixedPoint(4, 2))
        >>> flat = Reshape(name="flat", inputs=("q",), shape=(4,))
        >>> graph = flatten(HardwareGraph((x, q, flat), "x", "flat"))
        >>> graph.names, graph.output, graph.input_shape
        (('x', 'q'), 'q', (4,))
    """
    if not any(isinstance(node, Reshape) for node in graph.nodes):
        return graph
    for node in graph.nodes:
        shapeless = isinstance(node, Input | Quantize | Relu | Reshape | Identity | Dense)
        positions = isinstance(node, Dense) and len(node.shape) != 1
        if positions or not shapeless or not (node.format is None or node.format.is_scalar):
            return graph
    instead: dict[str, str] = {}
    kept = []
    for node in graph.nodes:
        inputs = tuple(instead.get(name, name) for name in node.inputs)
        if isinstance(node, Reshape):
            instead[node.name] = inputs[0]
        else:
            kept.append(replace(node, inputs=inputs, shape=(math.prod(node.shape),)))
    return graph.with_nodes(kept, instead.get(graph.output, graph.output))
