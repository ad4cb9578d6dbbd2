"""The same network for runtimes that know ONNX's own operators only, such as onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hls_export.qonnx import own
from hls_export.qonnx.load import load_proto
from hls_export.qonnx.quant import DOMAINS, fixed_point, read_words
from torchq.errors import ExportError
from torchq.formats import FixedPoint

if TYPE_CHECKING:
    import onnx

_QUANTS = ("Quant", "IntQuant")


def portable(path: str | Path) -> onnx.ModelProto:
    """A file of ours without ``Quant``: each becomes one of our operators, which are ONNX functions.

    onnxruntime computes in float32, so it is exact as long as no sum needs more than 24 bits.

    Args:
        path: what :func:`hls_export.export` wrote.

    Raises:
        ExportError: the file cannot be read, or a ``Quant`` has parameters that are no constants.

    Example:
        >>> import tempfile
        >>> from torch import nn
        >>> from hls_export.qonnx import export
        >>> from torchq.nn import QInput
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "m.onnx"
        ...     _ = export(nn.Sequential(QInput("quantized_bits(4,0,alpha=1)")), path, (3,))
        ...     [node.op_type for node in portable(path).graph.node]
        ['Fixed_RND_CONV_SAT']
    """
    from onnx import helper, numpy_helper

    model = load_proto(path)
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    nodes: list[Any] = []
    for node in model.graph.node:
        if node.op_type == "BipolarQuant" and node.domain in DOMAINS:
            nodes += _sign(node, model)
            continue
        if node.op_type not in _QUANTS or node.domain not in DOMAINS:
            nodes.append(node)
            continue
        grid = _grid(node, constants)
        inputs = [node.input[0]]
        for part, values in zip(("step", "span", "low"), own.fixed_inputs(grid), strict=True):
            name = f"{node.name or node.output[0]}.portable.{part}"
            model.graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), name))
            inputs.append(name)
        kind = own.fixed_name(grid)
        nodes.append(helper.make_node(kind, inputs, node.output, name=node.name, domain=own.DOMAIN))
    used = {node.op_type for node in nodes if node.domain == own.DOMAIN}
    del model.graph.node[:], model.functions[:], model.opset_import[:]
    model.graph.node.extend(nodes)
    model.functions.extend(own.functions(used, opset))
    model.opset_import.extend([helper.make_opsetid("", opset), helper.make_opsetid(own.DOMAIN, own.VERSION)])
    return model


def _sign(node: Any, model: onnx.ModelProto) -> list[Any]:
    """``BipolarQuant`` from what ONNX has: -1 or 0, times twice the scale, plus the scale."""
    from onnx import helper, numpy_helper

    name = node.name or node.output[0]
    made = []
    for part, value in (("step", 1.0), ("span", 2.0), ("low", -1.0)):
        made.append(f"{name}.portable.{part}")
        model.graph.initializer.append(numpy_helper.from_array(np.float32(value), made[-1]))
    bit, twice, scaled = (f"{name}.portable.{part}" for part in ("bit", "twice", "scaled"))
    kind = own.fixed_name(FixedPoint(1, 1, rounding="TRN"))  # type: ignore[arg-type]
    return [
        helper.make_node(kind, [node.input[0], *made], [bit], name=name, domain=own.DOMAIN),
        helper.make_node("Add", [node.input[1], node.input[1]], [twice]),
        helper.make_node("Mul", [bit, twice], [scaled]),
        helper.make_node("Add", [scaled, node.input[1]], node.output),
    ]


def _grid(node: Any, constants: dict[str, Any]) -> FixedPoint:
    from onnx import helper

    missing = [name for name in node.input[1:] if name not in constants]
    if missing:
        raise ExportError(f"{node.name} ({node.op_type}) takes {missing[0]!r}, which is no constant")
    scale, _, bits = (constants[name] for name in node.input[1:4])
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    words = {k: v.decode() if isinstance(v, bytes) else v for k, v in attributes.items()}
    where = f"{node.name} ({node.op_type})"
    return fixed_point(where, read_words(where, bits, words), np.asarray(scale, dtype=np.float64))
