"""How many inputs each operator has: checked once, so that no reader has to."""

from __future__ import annotations

from hls_export.qonnx import own
from hls_export.qonnx.load import STANDARD, OnnxFile
from hls_export.qonnx.quant import DOMAINS
from torchq.errors import ExportError

INPUTS = {
    "Abs": (1, 1),
    "Add": (2, 2),
    "AveragePool": (1, 1),
    "BatchNormalization": (5, 5),
    "BipolarQuant": (2, 2),
    "Cast": (1, 1),
    "Ceil": (1, 1),
    "Clip": (1, 3),
    "Concat": (1, 1000),
    "Constant": (0, 0),
    "Conv": (2, 3),
    "ConvTranspose": (2, 3),
    "Cos": (1, 1),
    "DepthToSpace": (1, 1),
    "DequantizeLinear": (2, 3),
    "Div": (2, 2),
    "Dropout": (1, 3),
    "Elu": (1, 1),
    "Erf": (1, 1),
    "Exp": (1, 1),
    "Flatten": (1, 1),
    "Floor": (1, 1),
    "Gather": (2, 2),
    "Gelu": (1, 1),
    "Gemm": (2, 3),
    "GlobalAveragePool": (1, 1),
    "GlobalMaxPool": (1, 1),
    "HardSigmoid": (1, 1),
    "HardSwish": (1, 1),
    "Identity": (1, 1),
    "IntQuant": (4, 4),
    "LeakyRelu": (1, 1),
    "Log": (1, 1),
    "MatMul": (2, 2),
    "Max": (1, 1000),
    "MaxPool": (1, 1),
    "Min": (1, 1000),
    "Mish": (1, 1),
    "Mul": (2, 2),
    "Neg": (1, 1),
    "PRelu": (2, 2),
    "Pad": (1, 4),
    "Pow": (2, 2),
    "Quant": (4, 4),
    "QuantizeLinear": (2, 3),
    "Reciprocal": (1, 1),
    "ReduceMax": (1, 2),
    "ReduceMean": (1, 2),
    "ReduceSum": (1, 2),
    "Relu": (1, 1),
    "Reshape": (2, 2),
    "Resize": (1, 4),
    "Round": (1, 1),
    "Shape": (1, 1),
    "Sigmoid": (1, 1),
    "Sign": (1, 1),
    "Sin": (1, 1),
    "Slice": (1, 5),
    "Softplus": (1, 1),
    "Softsign": (1, 1),
    "SpaceToDepth": (1, 1),
    "Split": (1, 2),
    "Sqrt": (1, 1),
    "Squeeze": (1, 2),
    "Sub": (2, 2),
    "Sum": (1, 1000),
    "Table": (3, 3),
    "Tanh": (1, 1),
    "Transpose": (1, 1),
    "Trunc": (5, 6),
    "Unsqueeze": (1, 2),
    "Upsample": (1, 2),
}
"""Fewest and most inputs, by operator."""


def check_arity(file: OnnxFile) -> None:
    """Refuse operators with too few or too many inputs, or without an output.

    Raises:
        ExportError: the node, what it has and what it needs.
    """
    for op in file.ops:
        if op.domain not in (*STANDARD, *DOMAINS, own.DOMAIN):
            continue
        least, most = INPUTS.get(op.kind, (0, len(op.inputs)))
        if op.kind.startswith(own.PREFIX):
            least = most = 4
        given = sum(1 for name in op.inputs if name)
        if not least <= given <= most or not all(op.inputs[:least]) or not any(op.outputs[:1]):
            needed = f"{least}" if least == most else f"{least} to {most}"
            raise ExportError(
                f"{file.path}: {op} has {given} inputs and {len(op.outputs)} outputs",
                hint=f"{needed} inputs and an output are needed",
            )
