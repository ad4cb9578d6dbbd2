"""What must hold of a file's nodes before ONNX's shape inference sees them, which trusts what it reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hls_export.qonnx.arity import check_arity
from hls_export.qonnx.load import STANDARD, OnnxFile, Op
from hls_export.qonnx.pricing.constants import Constant
from torchq.errors import ExportError

POSITIVE = ("strides", "dilations", "kernel_shape", "group", "blocksize", "hidden_size", "num_outputs")
"""Attributes that count something."""
MOST = 2**20
LATEST_OPSET = 1000


def check_nodes(file: OnnxFile) -> None:
    """Refuse nodes with too few or too many inputs, or with sizes that no network has.

    Raises:
        ExportError: the node, what it has and what it needs.
    """
    check_arity(file)
    for op in file.ops:
        if op.domain in STANDARD:
            _check_inputs(op)
        for name in POSITIVE:
            value = op.attributes.get(name)
            if value is not None and not all(_is_size(size) for size in _each(value)):
                raise ExportError(f"{op} has {name} {value}, numbers from 1 to {MOST:,} are needed")


def check_kernels(ops: Iterable[Op], constants: Mapping[str, Constant]) -> None:
    """Refuse transposed convolutions whose weight is no kernel.

    Raises:
        ExportError: with the node.
    """
    for op in ops:
        if op.kind != "ConvTranspose":
            continue
        weight = constants.get(op.inputs[1])
        if weight is None or weight.values is None or weight.values.ndim not in (3, 4):
            raise ExportError(f"{op} has no constant weight of 1 or 2 spatial axes")


def _check_inputs(op: Op) -> None:
    from onnx import defs

    try:
        schema = defs.get_schema(op.kind, LATEST_OPSET, "")
    except defs.SchemaError:
        return  # told with all other unknown nodes
    given = len(op.inputs)
    if schema.min_input <= given <= schema.max_input and all(op.inputs[: min(schema.min_input, 1)]):
        return
    raise ExportError(f"{op} has {given} inputs", hint=f"{schema.min_input} to {schema.max_input} are needed")


def _each(value: object) -> Iterable[object]:
    return value if isinstance(value, list | tuple) else (value,)


def _is_size(value: object) -> bool:
    return isinstance(value, int) and 1 <= value <= MOST
