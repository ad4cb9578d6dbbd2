"""Transposes that hls4ml would take for its own and leave out.

In io_parallel hls4ml 1.3 removes a transpose in front of the flattening that a dense layer reads, and one of
an input with a single row, both as if it had put them there itself to bring channels last. Other orders of
axes are lost with them. A reshape to the same shape in between, which costs nothing, prevents that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hls_export.backends.layer_view import Layer
from hls_export.hardware import Identity
from hls_export.passes.channels_last import Placed


def keep_transposes(layers: Sequence[Layer], placed: Placed) -> list[Layer]:
    """Put a reshape where hls4ml would leave a transpose out.

    Args:
        layers: of a project in io_parallel, in order.
        placed: what they were made of.
    """
    by_name = {layer.name: layer for layer in layers}
    taken = set(by_name)
    kept: list[Layer] = []
    for layer in layers:
        source = by_name.get(layer.spec["inputs"][0]) if layer.spec["inputs"] else None
        if source is not None and _is_lost(source, layer):
            between = _same_shape(source, placed.shape(source.node.name), taken)
            kept.append(between)
            kept.append(replace(layer, spec={**layer.spec, "inputs": [between.name]}))
        else:
            kept.append(layer)
    return kept


def _is_lost(source: Layer, reader: Layer) -> bool:
    """Whether hls4ml may leave out one of these two."""
    first, second = source.spec["class_name"], reader.spec["class_name"]
    if first == "Transpose":
        return bool(second == "Reshape" and len(reader.spec["target_shape"]) == 1)
    return bool(first == "InputLayer" and second == "Transpose" and source.spec["input_shape"][0] == 1)


def _same_shape(source: Layer, shape: tuple[int, ...], taken: set[str]) -> Layer:
    name = f"{source.name}_kept"
    while name in taken:
        name += "_"
    taken.add(name)
    node = Identity(
        name=f"{source.node.name}.kept",
        inputs=(source.carries,),
        shape=source.node.shape,
        format=source.node.format,
    )
    spec = {"class_name": "Reshape", "name": name, "inputs": [source.name], "target_shape": list(shape)}
    return Layer(node, node.name, spec, {"result": source.types["result"]})
