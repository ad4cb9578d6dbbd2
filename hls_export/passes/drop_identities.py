"""Nodes that change nothing are left out."""

from __future__ import annotations

from dataclasses import replace

from hls_export.hardware import HardwareGraph, Identity, Node, Reshape


def drop_identities(graph: HardwareGraph) -> HardwareGraph:
    """Remove identities, and reshapes to the shape that is there already.

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
        same = isinstance(node, Reshape) and shapes[inputs[0]] == node.shape
        if isinstance(node, Identity) or same:
            instead[node.name] = inputs[0]
            continue
        shapes[node.name] = node.shape
        kept.append(replace(node, inputs=inputs))
    return graph.with_nodes(kept, instead.get(graph.output, graph.output))
