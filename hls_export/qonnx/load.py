"""An ONNX file as plain values: the only reader of its bytes, and the first to refuse."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from torchq.errors import ExportError

if TYPE_CHECKING:
    import onnx

STANDARD = ("", "ai.onnx")
MOST_VALUES = 2**24
"""Samples larger than this are a damaged file, not a network for an FPGA."""


@dataclass(frozen=True)
class Op:
    """One node of the file.

    Args:
        name: its own name; that of its first output, or of its place, where it has none.
        kind: the operator.
        domain: ``""`` for ONNX's own.
        inputs: tensor names; ``""`` for an optional one that is left out.
        outputs: tensor names.
        attributes: by name; tensors as arrays, texts as str.
    """

    name: str
    kind: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.name} ({self.kind})"


@dataclass(frozen=True)
class OnnxFile:
    """What a file says: operators in order, constants as float64 or int64, one input and one output.

    ``types`` has the types of constants as they stand in the file, such as ``"int8"``. ``batch`` is how many
    samples the file takes at a time; 0 for any number.
    """

    path: Path
    ops: tuple[Op, ...]
    constants: Mapping[str, npt.NDArray[Any]]
    input: str
    input_shape: tuple[int, ...]
    output: str
    metadata: Mapping[str, str]
    types: Mapping[str, str] = field(default_factory=dict)
    batch: int = 0


def load_proto(path: str | Path) -> onnx.ModelProto:
    """The file's bytes, parsed.

    Raises:
        ExportError: missing, unreadable, not an ONNX file, truncated, or with weights in other files.
    """
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    path = Path(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ExportError(f"{path}: no such file") from None
    except OSError as fault:
        raise ExportError(f"{path}: cannot be read ({fault.strerror})") from None
    try:
        model = onnx.ModelProto.FromString(data)
    except (DecodeError, RuntimeError):
        raise ExportError(f"{path} is not an ONNX file, or is truncated", hint="export it again") from None
    if not model.graph.node:
        raise ExportError(f"{path} is not an ONNX file, or has an empty graph", hint="export it again")
    tensors = [*model.graph.initializer, *(a.t for n in model.graph.node for a in n.attribute)]
    outside = [t.name or "a constant" for t in tensors if t.data_location == onnx.TensorProto.EXTERNAL]
    if outside:
        raise ExportError(
            f"{path} keeps {', '.join(outside)} in other files", hint="save it with all weights inside"
        )
    newest = onnx.defs.onnx_opset_version()
    opset = max((o.version for o in model.opset_import if o.domain in STANDARD), default=0)
    if opset > newest:
        raise ExportError(
            f"{path} has opset {opset}, and the installed onnx knows up to {newest}",
            hint="install a newer onnx, or export it with an older opset",
        )
    return model


def load(path: str | Path) -> OnnxFile:
    """The file as plain values.

    Raises:
        ExportError: as :func:`load_proto`; no or many inputs or outputs, an input without a shape, a tensor
            that nothing makes (also a cycle) or that two nodes make.
    """
    model = load_proto(path)
    graph = model.graph
    constants = {tensor.name: array(tensor) for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    if len(inputs) != 1 or len(graph.output) != 1:
        raise ExportError(
            f"{path} has {len(inputs)} inputs and {len(graph.output)} outputs", hint="one of each is needed"
        )
    ops = tuple(_op(i, node) for i, node in enumerate(graph.node))
    _check_order(path, ops, {*constants, inputs[0].name}, graph.output[0].name)
    return OnnxFile(
        path=Path(path),
        ops=ops,
        constants=constants,
        input=inputs[0].name,
        input_shape=_shape(path, inputs[0]),
        output=graph.output[0].name,
        metadata={entry.key: entry.value for entry in model.metadata_props},
        types=_types(graph),
        batch=max(int(inputs[0].type.tensor_type.shape.dim[0].dim_value), 0),
    )


def _types(graph: onnx.GraphProto) -> dict[str, str]:
    import onnx

    tensors = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        for attribute in node.attribute:
            if node.op_type == "Constant" and node.output and attribute.name == "value":
                tensors[node.output[0]] = attribute.t
    return {name: onnx.TensorProto.DataType.Name(t.data_type).lower() for name, t in tensors.items()}


def array(tensor: onnx.TensorProto) -> npt.NDArray[Any]:
    """A constant; floats of any width become float64, which holds them exactly.

    Raises:
        ExportError: the tensor's bytes do not fit its shape.
    """
    from onnx import numpy_helper

    try:
        values = numpy_helper.to_array(tensor)
    except (ValueError, TypeError, KeyError) as fault:
        raise ExportError(f"constant {tensor.name!r} cannot be read ({fault})") from None
    if values.dtype.kind in "iub":
        return np.asarray(values, dtype=np.int64)
    return np.asarray(values, dtype=np.float64 if values.dtype.kind == "f" else None)


def _op(index: int, node: onnx.NodeProto) -> Op:
    outputs = tuple(node.output)
    name = node.name or next((o for o in outputs if o), f"{node.op_type.lower()}_{index}")
    attributes = {a.name: _attribute(name, a) for a in node.attribute}
    return Op(name, node.op_type, node.domain, tuple(node.input), outputs, attributes)


def _attribute(name: str, attribute: onnx.AttributeProto) -> Any:
    import onnx

    if attribute.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS):
        raise ExportError(f"{name} holds a graph of its own", hint="only straight networks can be lowered")
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, onnx.TensorProto):
        return array(value)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _check_order(path: str | Path, ops: tuple[Op, ...], made: set[str], output: str) -> None:
    for op in ops:
        for source in op.inputs:
            if source and source not in made:
                raise ExportError(f"{path}: {op} reads {source!r}, which no node in front of it makes")
        for target in op.outputs:
            if target in made:
                raise ExportError(f"{path}: {op} makes {target!r}, which is there already")
            made.add(target)
    if output not in made:
        raise ExportError(f"{path}: no node makes the output {output!r}")


def _shape(path: str | Path, value: onnx.ValueInfoProto) -> tuple[int, ...]:
    """The shape without the batch axis, which may be free; all others must be known."""
    tensor = value.type.tensor_type
    dims = [d.dim_value for d in tensor.shape.dim]
    if not tensor.HasField("shape") or len(dims) < 2 or any(d <= 0 for d in dims[1:]):
        raise ExportError(
            f"{path}: the input {value.name!r} has no known shape",
            hint="export it with every size fixed but the batch",
        )
    if math.prod(dims[1:]) > MOST_VALUES:
        raise ExportError(f"{path}: the input {value.name!r} has {math.prod(dims[1:]):,} values")
    return tuple(dims[1:])
