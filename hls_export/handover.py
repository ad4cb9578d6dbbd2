"""What the FPGA engineer needs to feed the firmware: order, formats and scaling of inputs and outputs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hls_export.hardware import HardwareGraph, Quantize
from hls_export.qonnx.rescale.tracked import METADATA as RESCALED
from torchq.formats import FixedPoint

FILE = "interface.json"

STANDARDISATION = "standardisation"
"""Metadata key: JSON ``{"mean": [...], "scale": [...]}``, applied as ``(value - mean) / scale``."""
FEATURES = "features"
"""Metadata key: JSON list of the names of the inputs, in order."""
CLASSES = "classes"
"""Metadata key: JSON list of the names of the outputs, in order."""


def interface(graph: HardwareGraph, axes: Mapping[str, Sequence[int]] | None = None) -> dict[str, Any]:
    """The definitions of input and output as plain values.

    Args:
        graph: the model.
        axes: for ``"input"`` and ``"output"``, which axis of the shape each axis of the port is; in order
            unless told.

    Returns:
        ``{"model": ..., "input": {...}, "output": {...}}``; each port has its name, shape, number format (as
        text and as width, integer bits, sign, rounding and overflow), the names of its elements in order
        where they are known, and the input its standardisation where that is known. Where the hardware wants
        the values in another order than the row-major one of the shape, ``axes`` says which axis of the shape
        each axis of the port is, and ``port_shape`` gives their lengths: ``[1, 2, 0]`` is channels last.
        ``rescaled`` says what :func:`hls_export.rescale` rounded, and the scale of the outputs.

    Example:
        >>> from hls_export.hardware import Input
        >>> x = Input(name="x", shape=(2,))
        >>> q = Quantize(name="q", inputs=("x",), shape=(2,), format=FixedPoint(4, 2))
        >>> interface(HardwareGraph((x, q), "x", "q"))["input"]["format"]["type"]
        'ap_fixed<4,2,RND_CONV,SAT>'
    """
    readers = [node for node in graph.consumers(graph.input) if isinstance(node, Quantize)]
    first = _port(graph, graph.input, readers[0].format if readers else None, FEATURES)
    standardisation = _metadata(graph, STANDARDISATION)
    if standardisation is not None:
        first["standardisation"] = standardisation
    last = _port(graph, graph.output, graph.output_format, CLASSES)
    for key, port in (("input", first), ("output", last)):
        order = list((axes or {}).get(key, range(len(port["shape"]))))
        if order != sorted(order):
            port["axes"] = order
            port["port_shape"] = [port["shape"][axis] for axis in order]
    found = {"model": graph.name, "digest": graph.digest(), "input": first, "output": last}
    rescaled = _metadata(graph, RESCALED)
    return found if rescaled is None else {**found, "rescaled": rescaled}


def write_interface(
    folder: Path, graph: HardwareGraph, axes: Mapping[str, Sequence[int]] | None = None
) -> Path:
    """Write :data:`FILE` into a project's folder; ``axes`` as for :func:`interface`."""
    path = folder / FILE
    path.write_text(json.dumps(interface(graph, axes), indent=1) + "\n", encoding="utf-8")
    return path


def _port(graph: HardwareGraph, name: str, grid: FixedPoint | None, key: str) -> dict[str, Any]:
    shape = graph.node(name).shape
    port: dict[str, Any] = {"name": name, "shape": list(shape), "format": _format(grid)}
    elements = _metadata(graph, key)
    if isinstance(elements, list) and len(elements) == math.prod(shape):
        port["elements"] = elements
    return port


def _format(grid: FixedPoint | None) -> dict[str, Any] | None:
    if grid is None or not grid.is_scalar:
        return None
    return {
        "type": str(grid),
        "width": grid.width,
        "integer": grid.integer,
        "signed": grid.signed,
        "rounding": str(grid.rounding),
        "overflow": str(grid.overflow),
        "lsb": grid.lsb,
        "low": grid.lo,
        "high": grid.hi,
    }


def _metadata(graph: HardwareGraph, key: str) -> Any:
    try:
        return json.loads(graph.metadata[key])
    except (KeyError, ValueError):
        return None
