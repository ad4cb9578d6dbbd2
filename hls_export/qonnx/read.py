"""Read an ONNX file into a hardware graph: our own files, and multilayer perceptrons of other tools.

No type of ONNX leaves this package. What cannot become hardware exactly is refused with the node's name.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hls_export.hardware import Dense, HardwareGraph, Identity, Input, Node, Quantize, Relu, Reshape
from hls_export.passes.bounds import annotate
from hls_export.passes.drop_identities import drop_identities
from hls_export.passes.quantize_first import quantize_first
from hls_export.qonnx.arity import check_arity
from hls_export.qonnx.batch_norm import fold_batch_norm
from hls_export.qonnx.constants import Constant, fold
from hls_export.qonnx.load import STANDARD, OnnxFile, Op, load
from hls_export.qonnx.quant import DOMAINS, fixed_point, read_words
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
    try:
        check_arity(file)
        constants, ops = fold(file)
        _refuse_unknown(file, ops)
        reader = _Reader(file, constants, ops)
        for op in ops:
            _HANDLERS[op.kind](reader, op)
        return reader.graph()
    except (ArithmeticError, IndexError, KeyError, TypeError, ValueError) as fault:
        raise ExportError(
            f"{path} is damaged: it says what no ONNX file can ({type(fault).__name__}: {fault})"
        ) from fault


class _Reader:
    """The graph as far as it is read: nodes by name, and which node made which tensor."""

    def __init__(self, file: OnnxFile, constants: dict[str, Constant], ops: list[Op]) -> None:
        self.file = file
        self.constants = constants
        self.readers = {name: sum(name in op.inputs for op in ops) for op in ops for name in op.inputs}
        self.nodes: dict[str, Node] = {}
        self.made: dict[str, str] = {}
        self.add(Input(name=file.input, shape=file.input_shape), file.input)

    def add(self, node: Node, tensor: str) -> None:
        """One more node, by its own name; a number is added to a name that is taken."""
        name, count = node.name, 1
        while name in self.nodes:
            count += 1
            name = f"{node.name}_{count}"
        self.nodes[name] = replace(node, name=name, tensor=tensor)
        self.made[tensor] = name

    def source(self, op: Op, place: int = 0) -> Node:
        """The node that made an input which is no constant."""
        tensor = op.inputs[place]
        if tensor not in self.made:
            raise ExportError(f"{op} reads the constant {tensor!r} where it should read an activation")
        return self.nodes[self.made[tensor]]

    def constant(self, op: Op, place: int, what: str) -> Constant:
        """A constant input.

        Raises:
            ExportError: it depends on the model's input.
        """
        tensor = op.inputs[place]
        if tensor not in self.constants:
            raise ExportError(
                f"{op} takes its {what} from {tensor!r}, which is no constant",
                hint="freeze it before the export",
            )
        return self.constants[tensor]

    def grow(self, op: Op, node: Node, grown: Node) -> None:
        """Replace the node in front by one that also does ``op``."""
        self.nodes[node.name] = replace(grown, tensor=op.outputs[0])
        self.made[op.outputs[0]] = node.name

    def alone(self, node: Node) -> bool:
        """Whether exactly one operator reads a node, and it does not leave the graph."""
        return self.readers.get(node.tensor, 0) == 1 and node.tensor != self.file.output

    def graph(self) -> HardwareGraph:
        """The finished graph, its edges checked and given their formats."""
        if self.file.output not in self.made:
            raise ExportError(
                f"{self.file.path}: the output {self.file.output!r} does not depend on the input"
            )
        output = self.made[self.file.output]
        alive = _alive(self.nodes, output)
        nodes = tuple(node for node in self.nodes.values() if node.name in alive)
        name = self.file.path.name.split(".")[0]
        graph = HardwareGraph(nodes, self.made[self.file.input], output, name, self.file.metadata)
        graph = quantize_first(drop_identities(graph))
        _refuse_unquantized(graph)
        return annotate(graph)


# ---------------------------------------------------------------------- one operator each


def _quant(reader: _Reader, op: Op) -> None:
    source = reader.source(op)
    scale = reader.constant(op, 1, "scale").values
    zeropt = reader.constant(op, 2, "zero-point").values
    bits = reader.constant(op, 3, "bit width").values
    if np.any(zeropt != 0):
        raise ExportError(
            f"{op} has zero-point {float(np.asarray(zeropt).flat[0]):g}, and fixed-point numbers have none",
            hint="quantize symmetrically",
        )
    word = read_words(str(op), bits, dict(op.attributes))
    grid = fixed_point(str(op), word, _without_batch(op, scale, source.shape))
    reader.add(_node(Quantize, op, source, format=grid), op.outputs[0])


def _relu(reader: _Reader, op: Op) -> None:
    reader.add(_node(Relu, op, reader.source(op)), op.outputs[0])


def _identity(reader: _Reader, op: Op) -> None:
    reader.add(_node(Identity, op, reader.source(op)), op.outputs[0])


def _flatten(reader: _Reader, op: Op) -> None:
    source = reader.source(op)
    if op.attributes.get("axis", 1) != 1:
        raise ExportError(f"{op} keeps axes beside the batch; flatten from axis 1")
    flat = (math.prod(source.shape),)
    reader.add(_node(Reshape, op, source, shape=flat), op.outputs[0])


def _reshape(reader: _Reader, op: Op) -> None:
    source = reader.source(op)
    wanted = [int(n) for n in reader.constant(op, 1, "shape").values.ravel()]
    rest = [source.shape[i] if n == 0 and i < len(source.shape) else n for i, n in enumerate(wanted[1:])]
    known = math.prod(n for n in rest if n > 0)
    size = math.prod(source.shape)
    if rest.count(-1) == 1 and known and size % known == 0:
        rest = [size // known if n == -1 else n for n in rest]
    if not wanted or wanted[0] not in (-1, 0, 1) or math.prod(rest) != size or -1 in rest:
        raise ExportError(f"{op} reshapes {source.shape} to {wanted}, which mixes samples or does not fit")
    reader.add(_node(Reshape, op, source, shape=tuple(rest)), op.outputs[0])


def _matmul(reader: _Reader, op: Op) -> None:
    weight = reader.constant(op, 1, "weight")
    _dense(reader, op, weight, None)


def _gemm(reader: _Reader, op: Op) -> None:
    alpha, beta = op.attributes.get("alpha", 1.0), op.attributes.get("beta", 1.0)
    if alpha != 1 or beta != 1 or op.attributes.get("transA", 0):
        raise ExportError(
            f"{op} has alpha {alpha:g}, beta {beta:g} and transA {op.attributes.get('transA', 0)}",
            hint="1, 1 and 0 are needed",
        )
    weight = reader.constant(op, 1, "weight")
    if op.attributes.get("transB", 0):
        weight = _transposed(weight)
    bias = reader.constant(op, 2, "bias") if len(op.inputs) > 2 and op.inputs[2] else None
    _dense(reader, op, weight, bias)


def _add(reader: _Reader, op: Op) -> None:
    first = 0 if op.inputs[0] in reader.made else 1
    source = reader.source(op, first)
    if op.inputs[1 - first] in reader.made:
        raise ExportError(f"{op} adds two activations", hint="only straight networks can be lowered yet")
    bias = reader.constant(op, 1 - first, "bias")
    if not isinstance(source, Dense) or source.bias is not None or not reader.alone(source):
        raise ExportError(f"{op} adds a constant to {source.name}, which is no matrix product of its own")
    reader.grow(op, source, _with_bias(op, source, bias))


def _batch_norm(reader: _Reader, op: Op) -> None:
    source = reader.source(op)
    if not isinstance(source, Dense) or not reader.alone(source):
        raise ExportError(f"{op} stands behind {source.name}, and can be folded into a matrix product only")
    if op.attributes.get("training_mode", 0):
        raise ExportError(f"{op} is in training mode", hint="export the model in evaluation mode")
    names = ("scale", "bias", "mean", "variance")
    statistics = [reader.constant(op, i + 1, name).values for i, name in enumerate(names)]
    epsilon = float(op.attributes.get("epsilon", 1e-5))
    reader.grow(op, source, fold_batch_norm(str(op), source, *statistics, epsilon=epsilon))


_HANDLERS: dict[str, Callable[[_Reader, Op], None]] = {
    "Add": _add,
    "BatchNormalization": _batch_norm,
    "Dropout": _identity,
    "Flatten": _flatten,
    "Gemm": _gemm,
    "Identity": _identity,
    "IntQuant": _quant,
    "MatMul": _matmul,
    "Quant": _quant,
    "Relu": _relu,
    "Reshape": _reshape,
}
_QUANTS = ("Quant", "IntQuant")


# ---------------------------------------------------------------------- pieces


def _node(cls: type[Node], op: Op, source: Node, **fields: Any) -> Node:
    return cls(name=op.name, inputs=(source.name,), **{"shape": source.shape, **fields})


def _dense(reader: _Reader, op: Op, weight: Constant, bias: Constant | None) -> None:
    source = reader.source(op)
    values = np.asarray(weight.values, dtype=np.float64)
    if values.ndim != 2 or source.shape != (values.shape[0],):
        raise ExportError(
            f"{op} multiplies samples of shape {source.shape} with a weight of shape {values.shape}",
            hint="flat samples and a weight [inputs, outputs] are needed",
        )
    grid = weight.stands_on(f"the weight of {op}")
    made = _node(Dense, op, source, shape=(values.shape[1],), weight=values, weight_format=grid)
    assert isinstance(made, Dense)  # noqa: S101 - told to the type checker
    reader.add(made if bias is None else _with_bias(op, made, bias), op.outputs[0])


def _with_bias(op: Op, dense: Dense, bias: Constant) -> Dense:
    values = np.asarray(bias.values, dtype=np.float64)
    if values.size not in (1, dense.n_out) or values.shape[:-1] not in ((), (1,)):
        raise ExportError(f"{op} adds a bias of shape {values.shape} to {dense.n_out} outputs")
    grid = bias.stands_on(f"the bias of {op}")
    if not grid.is_scalar:
        fields = (grid.width, grid.integer, grid.signed)
        width, integer, signed = (np.broadcast_to(f, values.shape).reshape(-1) for f in fields)
        grid = replace(grid, width=width, integer=integer, signed=signed)
    return replace(dense, bias=np.broadcast_to(values.reshape(-1), (dense.n_out,)), bias_format=grid)


def _transposed(constant: Constant) -> Constant:
    grid = constant.grid
    if grid is not None and not grid.is_scalar:
        fields = (grid.width, grid.integer, grid.signed)
        width, integer, signed = (np.broadcast_to(f, constant.values.shape).T for f in fields)
        grid = replace(grid, width=width, integer=integer, signed=signed)
    return Constant(constant.values.T, grid)


def _without_batch(op: Op, scale: npt.NDArray[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """A scale for one sample: a scalar where all are equal, else without the batch axis."""
    if scale.size == 1:
        return np.asarray(scale).reshape(())
    if scale.ndim == len(shape) + 1 and scale.shape[0] == 1:
        scale = scale[0]
    try:
        np.broadcast_to(scale, shape)
    except ValueError:
        raise ExportError(f"{op} has scales of shape {scale.shape} for samples of shape {shape}") from None
    return scale


def _refuse_unknown(file: OnnxFile, ops: list[Op]) -> None:
    def known(op: Op) -> bool:
        domains = DOMAINS if op.kind in _QUANTS else STANDARD
        return op.kind in _HANDLERS and op.domain in domains

    unknown = [str(op) for op in ops if not known(op)]
    if unknown:
        count = "1 node" if len(unknown) == 1 else f"{len(unknown)} nodes"
        raise ExportError(
            f"{file.path}: {count} cannot be lowered: {', '.join(unknown)}",
            hint=f"these can: {', '.join(sorted(_HANDLERS))}",
        )


def _refuse_unquantized(graph: HardwareGraph) -> None:
    bad = []
    for node in graph.nodes:
        if not isinstance(node, Dense):
            continue
        origin = graph.node(node.inputs[0])
        while isinstance(origin, Relu | Reshape):
            origin = graph.node(origin.inputs[0])
        if not isinstance(origin, Quantize):
            name = node.inputs[0]
            bad.append(
                f"{node.name} reads a tensor that no quantizer made ({name}); put a quantizer after {name}"
            )
    if bad:
        raise ExportError("\n".join(bad))


def _alive(nodes: dict[str, Node], output: str) -> set[str]:
    alive, todo = set(), [output]
    while todo:
        name = todo.pop()
        if name not in alive:
            alive.add(name)
            todo += nodes[name].inputs
    return alive
