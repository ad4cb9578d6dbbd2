"""What other readers of QONNX can make of a file: hls4ml 1.3's own importer, by operator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from hls_export.qonnx import (
    folding,  # noqa: F401 - registers what is computed of constants
    own,
)
from hls_export.qonnx.constants import Constant, fold
from hls_export.qonnx.load import Op, load

_PLAIN = {
    "Add",
    "BipolarQuant",
    "Concat",
    "Conv",
    "Flatten",
    "LeakyRelu",
    "MatMul",
    "MaxPool",
    "Mul",
    "Quant",
    "Relu",
    "Reshape",
    "Transpose",
}


def outside_of_hls4ml(path: str | Path) -> list[str]:
    """The operators of a file that hls4ml's importer does not read exactly, each with the reason.

    ``hls-export lower`` is not limited to them: it hands hls4ml layers, not the file.

    Args:
        path: an ONNX file.

    Returns:
        One text a node; nothing for a file in the dialect that hls4ml 1.3 reads exactly.

    Raises:
        ExportError: the file cannot be read.

    Example:
        >>> import tempfile
        >>> from torch import nn
        >>> from hls_export.qonnx import export
        >>> from torchq.nn import QInput, QTanh
        >>> q = "quantized_bits(4,0,alpha=1)"
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "m.onnx"
        ...     _ = export(nn.Sequential(QInput(q), QTanh(q)), path, (3,))
        ...     outside_of_hls4ml(path)
        ['1 (Table) is an operator of ours']
    """
    file = load(path)
    constants, ops = fold(file)
    return [f"{op} {reason}" for op in ops for reason in _reasons(op, constants)]


def _reasons(op: Op, constants: Mapping[str, Constant]) -> Iterator[str]:
    known = [name in constants for name in op.inputs]
    if op.domain == own.DOMAIN:
        yield "is an operator of ours"
    elif op.kind not in _PLAIN:
        yield "is not read by hls4ml's importer"
    elif op.kind == "MatMul" and not any(known):
        yield "multiplies two activations, for which hls4ml's importer writes no code"
    elif op.kind == "Conv":
        if any(int(d) != 1 for d in op.attributes.get("dilations", ())):
            yield "is dilated, which hls4ml's importer ignores"
        weight = constants.get(op.inputs[1])
        if weight is not None and int(op.attributes.get("group", 1)) != 1 and weight.values.shape[1] != 1:
            yield "has groups, and hls4ml's importer knows depthwise convolutions only"
    elif op.kind == "MaxPool" and len(op.attributes.get("kernel_shape", ())) == 1:
        yield "pools along one axis, which hls4ml's importer does not read"
    elif op.kind == "Concat" and len(op.inputs) > 2:
        yield "joins more than two tensors"
