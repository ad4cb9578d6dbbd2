"""Read an ONNX file into a hardware graph: our own files, and multilayer perceptrons of other tools.

No type of ONNX leaves this package. What cannot become hardware exactly is refused with the node's name.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from hls_export.hardware import (
    MOVES,
    Conv,
    Dense,
    Embedding,
    HardwareGraph,
    Matmul,
    MaxPool,
    Quantize,
    ReduceMax,
    Relu,
    ScaleShift,
    Table,
)
from hls_export.passes.bounds import annotate
from hls_export.passes.drop_identities import drop_identities
from hls_export.passes.fold_shifts import fold_shifts
from hls_export.passes.merge_moves import merge_moves
from hls_export.passes.quantize_first import quantize_first
from hls_export.qonnx import (  # noqa: F401 - the first ones register what they read
    folding,
    ops_channels_last,
    ops_functions,
    ops_layout,
    ops_moves,
    ops_pools,
    ops_products,
    ops_quant,
    ops_resize,
    ops_trunc,
    own,
)
from hls_export.qonnx.arity import check_arity
from hls_export.qonnx.constants import fold, fold_op, foldable
from hls_export.qonnx.load import STANDARD, OnnxFile, Op, load, load_proto
from hls_export.qonnx.qcdq import merge_qcdq
from hls_export.qonnx.reader import HANDLERS, Reader
from hls_export.qonnx.refused import reasons
from torchq.errors import ExportError


def read(path: str | Path) -> HardwareGraph:
    """The hardware graph of an ONNX file.

    Args:
        path: a file of ours, or a perceptron in QONNX from elsewhere: ``MatMul`` and ``Add`` or ``Gemm``,
            ``Quant`` (power-of-two scale, zero-point 0) on the input, the weights, the biases and every
            activation, ``Relu``, ``BatchNormalization`` where folding is exact, ``Flatten``, ``Reshape``,
            ``Identity`` and ``Dropout``.

    Returns:
        Nodes with the file's node names, weights on their grids, and a format on every edge.

    Raises:
        ExportError: not an ONNX file, a node that cannot be lowered (all of them are named), a shape that is
            missing, an edge that no quantizer made, a scale that is no power of two, ...
    """
    file = load(path)
    own.check_functions(load_proto(path))
    try:
        check_arity(file)
        constants, ops = fold(file)
        ops = merge_qcdq(ops, constants)
        _refuse_unknown(file, ops, constants)
        reader = Reader(file, constants, ops)
        for op in ops:
            if not fold_op(op, reader.constants, file.types):
                ops_functions.read_op(reader, op)
        return _finished(reader.graph())
    except (ArithmeticError, IndexError, KeyError, TypeError, ValueError) as fault:
        raise ExportError(
            f"{path} is damaged: it says what no ONNX file can ({type(fault).__name__}: {fault})"
        ) from fault
    except MemoryError as fault:
        raise ExportError(f"{path} needs more memory than there is") from fault


def _finished(graph: HardwareGraph) -> HardwareGraph:
    """The graph in its plain form, its edges checked and given their formats."""
    functions = [node for node in graph.nodes if isinstance(node, ops_functions.Function)]
    waiting = [node.operator for node in functions]
    for function in functions:
        if function.reason is not None:
            raise function.reason
    if waiting:
        raise ExportError(
            f"{', '.join(waiting)}: no Quant is behind, and a function becomes a table of rounded values",
            hint="put a Quant behind it",
        )
    graph = drop_identities(merge_moves(quantize_first(drop_identities(graph))))
    graph = fold_shifts(graph)
    _refuse_unquantized(graph)
    return annotate(graph)


def _refuse_unknown(file: OnnxFile, ops: list[Op], constants: Iterable[str]) -> None:
    """All operators that cannot be read, at once; what is computed of shapes alone is no activation."""
    fixed = set(constants)
    unknown: list[Op] = []
    for op in ops:
        if (op.domain in STANDARD and op.kind == "Shape") or foldable(op, fixed):
            fixed.update(op.outputs)
        elif (op.domain, op.kind) not in HANDLERS:
            unknown.append(op)
    if unknown:
        count = "1 node" if len(unknown) == 1 else f"{len(unknown)} nodes"
        known = sorted({kind for _, kind in HANDLERS if not kind.startswith(own.PREFIX)})
        raise ExportError(
            f"{file.path}: {count} cannot be lowered: {', '.join(map(str, unknown))}"
            f"{reasons([op.kind for op in unknown])}",
            hint=f"these can: {', '.join(known)}",
        )


def _refuse_unquantized(graph: HardwareGraph) -> None:
    """Products with weights must read what quantizers made, lest their widths grow without end."""
    on_grid: set[str] = set()
    bad = []
    for node in graph.nodes:
        made = isinstance(node, Quantize | Table | Embedding)
        if made or (isinstance(node, _KEEPING) and all(name in on_grid for name in node.inputs)):
            on_grid.add(node.name)
        if isinstance(node, Dense | Conv | Matmul):
            bad += [
                f"{node.name} reads a tensor that no quantizer made ({name}); put a quantizer after {name}"
                for name in dict.fromkeys(node.inputs)
                if name not in on_grid
            ]
    if bad:
        raise ExportError("\n".join(bad))


_KEEPING = (*MOVES, Relu, MaxPool, ReduceMax, ScaleShift)
"""What leaves values on the grids of quantizers."""
