"""Nodes that change nothing are left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hls_export.hardware import HardwareGraph, Identity, Node, Reshape, ScaleShift, Select, Transpose


def drop_identities(graph: HardwareGraph) -> HardwareGraph:
    """Remove identities, moves that leave every value where it is, and factors of one.

    The last ones are averages of one value, or sums that start with zero. (hls4ml removes them by itself, and
    with them the types that they have.)

    Example:
        >>> from hls_export.hardware import Input
        >>> nodes = (Input(name="x", shape=(2,)), Identity(name="drop", inputs=("x",), shape=(2,)))
        >>> drop_identities(HardwareGraph(nodes, "x", "drop")).names
        ('x',)
    """
    instead: dict[str, str] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    kept: list[Node] = []
    for node in graph.nodes:
        inputs = tuple(instead.get(name, name) for name in node.inputs)
        if isinstance(node, Identity) or (inputs and _stays(node, shapes[inputs[0]])):
            instead[node.name] = inputs[0]
            continue
        shapes[node.name] = node.shape
        kept.append(replace(node, inputs=inputs))
    return graph.with_nodes(kept, instead.get(graph.output, graph.output))


def _stays(node: Node, shape: tuple[int, ...]) -> bool:
    """Whether a node moves and changes nothing."""
    if node.shape != shape:
        return False
    match node:
        case Reshape():
            return True
        case Transpose():
            return node.axes == tuple(range(len(shape)))
        case Select():
            return np.array_equal(node.indices.reshape(-1), np.arange(node.indices.size))
        case ScaleShift():
            return bool((node.scale == 1).all() and (node.shift is None or not node.shift.any()))
    return False
