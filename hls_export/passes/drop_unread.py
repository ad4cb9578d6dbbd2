"""What does not reach the output is left out."""

from __future__ import annotations

from hls_export.hardware import HardwareGraph, Input


def drop_unread(graph: HardwareGraph) -> HardwareGraph:
    """Remove the nodes that no path leads from to the output; the input stays.

    Example:
        >>> from hls_export.hardware import Relu
        >>> relus = [Relu(name=name, inputs=("x",)) for name in ("a", "b")]
        >>> drop_unread(HardwareGraph((Input(name="x"), *relus), "x", "b")).names
        ('x', 'b')
    """
    needed = {graph.output}
    for node in reversed(graph.nodes):
        if node.name in needed:
            needed.update(node.inputs)
    return graph.with_nodes(node for node in graph.nodes if node.name in needed or isinstance(node, Input))
