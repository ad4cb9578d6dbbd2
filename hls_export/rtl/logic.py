"""The nodes of a graph as logic: one function a kind, on arrays of values that alkaid traces.

An array holds floats (constants) and alkaid's variables; its shape is the node's. What a node means stands
in :mod:`hls_export.hardware`; the emulator's tables say the same on numbers, and every block is compared with
it.
"""

# ruff: noqa: ARG001  (the functions of a table share a signature)

from __future__ import annotations

from collections.abc import Callable
from functools import reduce, singledispatch
from typing import Any

import numpy as np
import numpy.typing as npt

from hls_export.hardware import (
    Add,
    Concat,
    Conv,
    Dense,
    Embedding,
    Identity,
    LeakyRelu,
    Matmul,
    MaxPool,
    Mul,
    Node,
    Quantize,
    ReduceMax,
    ReduceSum,
    Relu,
    Reshape,
    ScaleShift,
    Select,
    Sub,
    SumPool,
    Table,
    Transpose,
    Window,
)
from hls_export.rtl import alkaid
from hls_export.rtl.alkaid import plain, plus
from hls_export.rtl.quantizer import Grid, Value, quantized
from hls_export.windows import windows
from torchq.errors import BackendError
from torchq.formats import FixedPoint

Values = npt.NDArray[Any]


def grids(grid: FixedPoint, shape: tuple[int, ...]) -> Values:
    """The format of every element of a tensor, as an object array."""
    fields = (np.broadcast_to(np.asarray(f), shape).ravel() for f in (grid.width, grid.fraction, grid.signed))
    made = [
        Grid(int(w), int(f), bool(s), grid.rounding, grid.overflow) for w, f, s in zip(*fields, strict=True)
    ]
    return array(made, shape)


def array(flat: list[Any], shape: tuple[int, ...]) -> Values:
    """An object array of this shape from a flat list; tuples stay what they are."""
    found = np.empty(len(flat), dtype=object)
    for i, value in enumerate(flat):
        found[i] = value
    return found.reshape(shape)


@singledispatch
def logic(node: Node, *sources: Values) -> Values:
    """What a node makes of what it reads.

    Raises:
        BackendError: no such kind of node is known, or a number is too wide for alkaid.
    """
    raise BackendError(f"rtl: {node.name} ({node.kind}) is not supported")


def known_kinds() -> frozenset[str]:
    """The kinds of nodes that can be made."""
    return frozenset(kind.kind for kind in logic.registry if issubclass(kind, Node) and kind is not Node)


def _each(function: Callable[..., Value], *arrays: Any) -> Values:
    """A function of every element; arrays broadcast."""
    wide = np.broadcast_arrays(*[np.asarray(a, dtype=object) for a in arrays])
    return array(
        [plain(function(*row)) for row in zip(*(a.ravel() for a in wide), strict=True)], wide[0].shape
    )


def _add(a: Value, b: Value) -> Value:
    if isinstance(a, float):
        a, b = b, a
    return plus(a, b) if isinstance(b, float) else plain(a + b)


def _times(a: Value, b: Value) -> Value:
    return plain(b * a) if isinstance(a, float) else plain(a * b)


def _larger(a: Value, b: Value) -> Value:
    if isinstance(a, float):
        return max(a, b) if isinstance(b, float) else plain(b.max_of(a))
    return plain(a.max_of(b))


def _tree(function: Callable[[Value, Value], Value], values: list[Value]) -> Value:
    """Two and two, so that the way through it is short."""
    while len(values) > 1:
        pairs = [function(a, b) for a, b in zip(values[::2], values[1::2], strict=False)]
        values = pairs + values[len(pairs) * 2 :]
    return values[0]


def _sum(values: list[Value]) -> Value:
    constant = sum(v for v in values if isinstance(v, float))
    moving = [v for v in values if not isinstance(v, float)]
    return _add(_tree(_add, moving), float(constant)) if moving else float(constant)


# ---------------------------------------------------------------------- moves


@logic.register
def _identity(node: Identity, x: Values) -> Values:
    return x


@logic.register
def _reshape(node: Reshape, x: Values) -> Values:
    return x.reshape(node.shape)


@logic.register
def _transpose(node: Transpose, x: Values) -> Values:
    return x.transpose(node.axes)


@logic.register
def _select(node: Select, x: Values) -> Values:
    flat = [*x.ravel(), 0.0]
    return array([flat[i] for i in node.indices.ravel().tolist()], node.shape)


@logic.register
def _concat(node: Concat, *sources: Values) -> Values:
    return np.concatenate(sources, node.axis)


# ---------------------------------------------------------------------- one input


@logic.register
def _relu(node: Relu, x: Values) -> Values:
    return _each(lambda v: max(v, 0.0) if isinstance(v, float) else v.relu() if v.low < 0 else v, x)


@logic.register
def _leaky_relu(node: LeakyRelu, x: Values) -> Values:
    def one(v: Value, slope: Value) -> Value:
        if isinstance(v, float):
            return v if v >= 0 else v * slope
        if v.low >= 0:
            return v
        below = _times(v, float(slope))
        return below if v.high <= 0 else v.is_negative().msb_mux(below, v)

    return _each(one, x, node.slope)


@logic.register
def _scale_shift(node: ScaleShift, x: Values) -> Values:
    scaled = _each(lambda v, s: _times(v, float(s)), x, node.scale)
    if node.shift is not None:
        scaled = _each(lambda v, s: _add(v, float(s)), scaled, node.shift)
    return np.broadcast_to(scaled, node.shape)


@logic.register
def _table(node: Table, x: Values) -> Values:
    last, up = len(node.values) - 1, 1.0 / float(node.address.lsb)

    def one(v: Value) -> Value:
        codes = np.rint(_range(v) * up).astype(np.int64) & last
        return alkaid.looked_up(v, node.values[codes], node.name)

    return _each(one, x)


@logic.register
def _embedding(node: Embedding, x: Values) -> Values:
    last = len(node.weight) - 1

    def one(v: Value, column: Value) -> Value:
        rows = np.minimum(np.rint(_range(v)).astype(np.int64), last)
        return alkaid.looked_up(v, node.weight[rows, int(column)], node.name)

    return _each(one, x[..., None], np.arange(node.weight.shape[1]))


def _range(v: Value) -> npt.NDArray[np.float64]:
    """Every value that a variable can have, ascending."""
    if isinstance(v, float):
        return np.array([v])
    return np.asarray(v.low + v.step * np.arange(round((v.high - v.low) / v.step) + 1))


@logic.register
def _quantize(node: Quantize, x: Values) -> Values:
    assert node.format is not None, "annotate() has refused it"  # noqa: S101
    return _each(quantized, x, grids(node.format, node.shape))


# ---------------------------------------------------------------------- products with weights


@logic.register
def _dense(node: Dense, x: Values) -> Values:
    rows = [alkaid.product(list(row), node.weight) for row in x.reshape(-1, node.n_in)]
    sums = array([v for row in rows for v in row], node.shape)
    return sums if node.bias is None else _each(_add, sums, node.bias)


@logic.register
def _conv(node: Conv, x: Values) -> Values:
    per_in, per_out = node.n_in // node.groups, node.n_out // node.groups
    seen = windows(x, node.kernel, node.strides, node.pads, node.dilations, 0.0)
    places = node.shape[1:]
    made = np.empty(node.shape, dtype=object)
    for place in np.ndindex(*places):
        patch = seen[(slice(None), *place)]
        for group in range(node.groups):
            inputs = patch[group * per_in : (group + 1) * per_in].ravel()
            outputs = slice(group * per_out, (group + 1) * per_out)
            weight = node.weight[outputs].reshape(per_out, -1).T
            made[(outputs, *place)] = alkaid.product(list(inputs), weight)
    if node.bias is None:
        return made
    return _each(_add, made, node.bias.reshape(-1, *(1,) * len(places)))


# ---------------------------------------------------------------------- pools and reductions


def _pooled(node: Window, x: Values, beside: Any, function: Callable[[list[Value]], Value]) -> Values:
    seen = windows(x, node.kernel, node.strides, node.pads, node.dilations, beside)
    flat = seen.reshape(*node.shape, -1)
    rows = flat.reshape(-1, flat.shape[-1])
    return array([function([v for v in row if v is not None]) for row in rows], node.shape)


def _reduced(node: ReduceSum | ReduceMax, x: Values, function: Callable[[list[Value]], Value]) -> Values:
    kept = [axis for axis in range(x.ndim) if axis not in node.axes]
    rows = x.transpose(*kept, *node.axes).reshape(*(x.shape[axis] for axis in kept), -1)
    return array([function(list(row)) for row in rows.reshape(-1, rows.shape[-1])], node.shape)


@logic.register
def _max_pool(node: MaxPool, x: Values) -> Values:
    return _pooled(node, x, None, lambda values: _tree(_larger, values))


@logic.register
def _sum_pool(node: SumPool, x: Values) -> Values:
    return _pooled(node, x, 0.0, _sum)


@logic.register
def _reduce_max(node: ReduceMax, x: Values) -> Values:
    return _reduced(node, x, lambda values: _tree(_larger, values))


@logic.register
def _reduce_sum(node: ReduceSum, x: Values) -> Values:
    return _reduced(node, x, _sum)


# ---------------------------------------------------------------------- several inputs


@logic.register
def _add_node(node: Add, *sources: Values) -> Values:
    return reduce(lambda a, b: _each(_add, a, b), sources)


@logic.register
def _sub(node: Sub, a: Values, b: Values) -> Values:
    return _each(lambda p, q: _add(p, _times(q, -1.0)), a, b)


@logic.register
def _mul(node: Mul, a: Values, b: Values) -> Values:
    return _each(_times, a, b)


@logic.register
def _matmul(node: Matmul, a: Values, b: Values) -> Values:
    made = np.empty(node.shape, dtype=object)
    for place in np.ndindex(*node.shape[:-2]):
        for i, j in np.ndindex(*node.shape[-2:]):
            pairs = zip(a[place][i], b[place][:, j], strict=True)
            made[(*place, i, j)] = _sum([_times(p, q) for p, q in pairs])
    return made
