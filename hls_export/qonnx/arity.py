"""How many inputs each operator has: checked once, so that no reader has to."""

from __future__ import annotations

from hls_export.qonnx.load import STANDARD, OnnxFile
from hls_export.qonnx.quant import DOMAINS
from torchq.errors import ExportError

INPUTS = {
    "Add": (2, 2),
    "BatchNormalization": (5, 5),
    "BipolarQuant": (2, 2),
    "Constant": (0, 0),
    "Dropout": (1, 3),
    "Flatten": (1, 1),
    "Gemm": (2, 3),
    "Identity": (1, 1),
    "IntQuant": (4, 4),
    "MatMul": (2, 2),
    "Quant": (4, 4),
    "Relu": (1, 1),
    "Reshape": (2, 2),
    "Transpose": (1, 1),
}
"""Fewest and most inputs, by operator."""


def check_arity(file: OnnxFile) -> None:
    """Refuse operators with too few or too many inputs, or without an output.

    Raises:
        ExportError: the node, what it has and what it needs.
    """
    for op in file.ops:
        if op.domain not in (*STANDARD, *DOMAINS):
            continue
        least, most = INPUTS.get(op.kind, (0, len(op.inputs)))
        given = sum(1 for name in op.inputs if name)
        if not least <= given <= most or not all(op.inputs[:least]) or not any(op.outputs[:1]):
            needed = f"{least}" if least == most else f"{least} to {most}"
            raise ExportError(
                f"{file.path}: {op} has {given} inputs and {len(op.outputs)} outputs",
                hint=f"{needed} inputs and an output are needed",
            )
