"""What each node computes, on Python integers: exact whatever the widths are. One function a kind of node."""

# ruff: noqa: ARG001  (the functions of a table share a signature)

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce, singledispatch

import numpy as np

from hls_export.hardware import (
    Add,
    Array,
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
from hls_export.integers import Codes, quantize, to_codes
from hls_export.passes.ranges import finest, largest
from hls_export.windows import windows
from torchq.errors import BackendError

Edge = tuple[Codes, int]
"""A batch of codes, and how many of their bits stand after the point."""


@singledispatch
def integer_step(node: Node, *sources: Edge) -> Edge:
    """What a node makes of what it reads.

    Raises:
        BackendError: no such kind of node is known.
    """
    raise BackendError(f"{node.name}: the emulator does not know {node.kind}")


def input_codes(node: Node, samples: Array) -> Edge:
    """The input quantizer works on real numbers; float64 samples are codes of a grid that is fine enough."""
    assert isinstance(node, Quantize), "bounds() has refused it"  # noqa: S101
    assert node.format is not None, "bounds() has refused it"  # noqa: S101
    fraction = max(finest(samples), 0)
    return quantize(to_codes(samples, fraction), fraction, node.format)


def _aligned(sources: Sequence[Edge]) -> tuple[list[Codes], int]:
    final = max(fraction for _, fraction in sources)
    return [codes * (1 << (final - fraction)) for codes, fraction in sources], final


# ---------------------------------------------------------------------- moves


@integer_step.register
def _identity(node: Identity, x: Edge) -> Edge:
    return x


@integer_step.register
def _reshape(node: Reshape, x: Edge) -> Edge:
    return x[0].reshape(len(x[0]), *node.shape), x[1]


@integer_step.register
def _transpose(node: Transpose, x: Edge) -> Edge:
    return x[0].transpose(0, *(axis + 1 for axis in node.axes)), x[1]


@integer_step.register
def _select(node: Select, x: Edge) -> Edge:
    flat = x[0].reshape(len(x[0]), -1)
    zeros = np.zeros((len(flat), 1), dtype=object)
    return np.concatenate([flat, zeros], axis=1)[:, node.indices], x[1]


@integer_step.register
def _concat(node: Concat, *sources: Edge) -> Edge:
    parts, fraction = _aligned(sources)
    return np.concatenate(parts, node.axis + 1), fraction


# ---------------------------------------------------------------------- one input


@integer_step.register
def _relu(node: Relu, x: Edge) -> Edge:
    return np.maximum(x[0], 0), x[1]


@integer_step.register
def _leaky_relu(node: LeakyRelu, x: Edge) -> Edge:
    slope_fraction = max(finest(node.slope), 0)
    codes, fraction = x
    slope = to_codes(node.slope, slope_fraction)
    return np.where(codes < 0, codes * slope, codes * (1 << slope_fraction)), fraction + slope_fraction


@integer_step.register
def _scale_shift(node: ScaleShift, x: Edge) -> Edge:
    scale_fraction = finest(node.scale)
    codes = x[0] * to_codes(node.scale, scale_fraction)
    codes = np.broadcast_to(codes, (len(codes), *node.shape))
    made = codes, x[1] + scale_fraction
    if node.shift is None or not np.any(node.shift):
        return made
    shift_fraction = finest(node.shift)
    parts, fraction = _aligned([made, (to_codes(node.shift, shift_fraction), shift_fraction)])
    return parts[0] + parts[1], fraction


@integer_step.register
def _table(node: Table, x: Edge) -> Edge:
    codes, fraction = x
    up, last = int(node.address.fraction) - fraction, len(node.values) - 1
    fraction = finest(node.values)
    place = ((codes * (1 << up)) & last).astype(np.int64)
    return to_codes(node.values, fraction)[place], fraction


@integer_step.register
def _embedding(node: Embedding, x: Edge) -> Edge:
    codes, fraction = x
    rows = np.minimum(codes * (1 << -fraction), len(node.weight) - 1).astype(np.int64)
    fraction = finest(node.weight)
    return to_codes(node.weight, fraction)[rows], fraction


@integer_step.register
def _quantize(node: Quantize, x: Edge) -> Edge:
    assert node.format is not None, "bounds() has refused it"  # noqa: S101
    return quantize(*x, node.format)


# ---------------------------------------------------------------------- products with weights


@integer_step.register
def _dense(node: Dense, x: Edge) -> Edge:
    weight_fraction = finest(node.weight)
    sums = x[0] @ to_codes(node.weight, weight_fraction)
    return _with_bias((sums, x[1] + weight_fraction), node.bias)


@integer_step.register
def _conv(node: Conv, x: Edge) -> Edge:
    codes, fraction = x
    groups, points = node.groups, math.prod(node.kernel)
    n_in, n_out, places = node.n_in // groups, node.n_out // groups, math.prod(node.shape[1:])
    weight_fraction = finest(node.weight)
    weight = to_codes(node.weight, weight_fraction).reshape(groups, n_out, n_in * points)
    seen = windows(codes, node.kernel, node.strides, node.pads, node.dilations)
    columns = seen.reshape(len(codes), groups, n_in, places, points).transpose(0, 1, 2, 4, 3)
    sums = weight @ columns.reshape(len(codes), groups, n_in * points, places)
    bias = None if node.bias is None else node.bias.reshape(-1, *(1,) * len(node.kernel))
    return _with_bias((sums.reshape(len(codes), *node.shape), fraction + weight_fraction), bias)


def _with_bias(sums: Edge, bias: Array | None) -> Edge:
    if bias is None or not np.any(bias):
        return sums
    final = max(sums[1], finest(bias))
    return sums[0] * (1 << (final - sums[1])) + to_codes(bias, final), final


# ---------------------------------------------------------------------- pools and reductions


def _seen(node: Window, codes: Codes, beside: int) -> Codes:
    seen = windows(codes, node.kernel, node.strides, node.pads, node.dilations, beside)
    return seen.reshape(len(codes), *node.shape, -1)


@integer_step.register
def _max_pool(node: MaxPool, x: Edge) -> Edge:
    return np.asarray(_seen(node, x[0], -largest(x[0]) - 1).max(axis=-1)), x[1]


@integer_step.register
def _sum_pool(node: SumPool, x: Edge) -> Edge:
    return np.asarray(_seen(node, x[0], 0).sum(axis=-1)), x[1]


@integer_step.register
def _reduce_max(node: ReduceMax, x: Edge) -> Edge:
    axes = tuple(axis + 1 for axis in node.axes)
    return np.asarray(x[0].max(axis=axes)).reshape(len(x[0]), *node.shape), x[1]


@integer_step.register
def _reduce_sum(node: ReduceSum, x: Edge) -> Edge:
    axes = tuple(axis + 1 for axis in node.axes)
    return np.asarray(x[0].sum(axis=axes)).reshape(len(x[0]), *node.shape), x[1]


# ---------------------------------------------------------------------- several inputs


@integer_step.register
def _add(node: Add, *sources: Edge) -> Edge:
    parts, fraction = _aligned(sources)
    return reduce(np.add, parts), fraction


@integer_step.register
def _sub(node: Sub, a: Edge, b: Edge) -> Edge:
    parts, fraction = _aligned([a, b])
    return parts[0] - parts[1], fraction


@integer_step.register
def _mul(node: Mul, a: Edge, b: Edge) -> Edge:
    return a[0] * b[0], a[1] + b[1]


@integer_step.register
def _matmul(node: Matmul, a: Edge, b: Edge) -> Edge:
    return a[0] @ b[0], a[1] + b[1]
