"""The range of what each node makes, from the ranges of what it reads: one rule a kind of node."""

# ruff: noqa: ARG001  (the functions of a table share a signature)

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import singledispatch

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
    Reduce,
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
from hls_export.integers import Codes, objects, to_codes
from hls_export.passes.ranges import (
    Bounds,
    aligned,
    finest,
    largest,
    products,
    ranged,
    sums_of_products,
)
from hls_export.windows import windows
from torchq.errors import ExportError


@singledispatch
def interval(node: Node, sources: list[Bounds]) -> Bounds:
    """The bounds of what a node makes.

    Raises:
        ExportError: nothing is known of this kind of node, or it reads what it cannot.
    """
    raise ExportError(f"{node.name}: no bounds are known for {node.kind}")


# ---------------------------------------------------------------------- moves


@interval.register
def _identity(node: Identity, sources: list[Bounds]) -> Bounds:
    return sources[0]


def _moved(source: Bounds, move: Callable[[Codes], Codes]) -> Bounds:
    return replace(source, low=move(source.low), high=move(source.high))


@interval.register
def _reshape(node: Reshape, sources: list[Bounds]) -> Bounds:
    return _moved(sources[0], lambda codes: codes.reshape(node.shape))


@interval.register
def _transpose(node: Transpose, sources: list[Bounds]) -> Bounds:
    return _moved(sources[0], lambda codes: codes.transpose(node.axes))


@interval.register
def _select(node: Select, sources: list[Bounds]) -> Bounds:
    def picked(codes: Codes) -> Codes:
        flat = np.append(codes.reshape(-1), 0)  # the last one stands for -1
        return np.asarray(flat[node.indices])

    return _moved(sources[0], picked)


@interval.register
def _concat(node: Concat, sources: list[Bounds]) -> Bounds:
    parts, fraction = aligned(sources)
    low = np.concatenate([part.low for part in parts], node.axis)
    high = np.concatenate([part.high for part in parts], node.axis)
    return Bounds(low, high, fraction, max(part.reach for part in parts))


# ---------------------------------------------------------------------- one input


@interval.register
def _relu(node: Relu, sources: list[Bounds]) -> Bounds:
    return _moved(sources[0], lambda codes: np.maximum(codes, 0))


@interval.register
def _leaky_relu(node: LeakyRelu, sources: list[Bounds]) -> Bounds:
    (x,) = sources
    slope_fraction = max(finest(node.slope), 0)
    slope, one = to_codes(node.slope, slope_fraction), 1 << slope_fraction
    ends = [np.where(end < 0, end * slope, end * one) for end in (x.low, x.high)]
    zero = np.where((x.low < 0) & (x.high > 0), 0, ends[0])
    low = np.minimum(np.minimum(ends[0], ends[1]), zero)
    high = np.maximum(np.maximum(ends[0], ends[1]), zero)
    return ranged(low, high, x.fraction + slope_fraction, x.reach * one)


@interval.register
def _scale_shift(node: ScaleShift, sources: list[Bounds]) -> Bounds:
    (x,) = sources
    scale_fraction = finest(node.scale)
    scale = to_codes(node.scale, scale_fraction)
    low, high = products([(x.low, scale), (x.high, scale)])
    low, high = np.broadcast_to(low, node.shape), np.broadcast_to(high, node.shape)
    product = ranged(low, high, x.fraction + scale_fraction)
    if node.shift is None or not np.any(node.shift):
        return product
    shift = np.broadcast_to(node.shift, node.shape)
    fraction = finest(shift)
    codes = to_codes(shift, fraction)
    return _sum([product, Bounds(codes, codes, fraction, largest(codes))])


@interval.register
def _table(node: Table, sources: list[Bounds]) -> Bounds:
    (x,) = sources
    up = int(node.address.fraction) - x.fraction
    size, half = len(node.values), len(node.values) // 2 if node.address.signed else 0
    lows, highs = ([int(c) << max(up, 0) for c in codes.ravel().tolist()] for codes in (x.low, x.high))
    if up < 0 or min(lows, default=0) < -half or max(highs, default=0) >= size - half:
        raise ExportError(
            f"{node.name} reads values beside the addresses {node.address} of its table",
            hint="put a quantizer of that format in front of it",
        )
    fraction = finest(node.values)
    codes = to_codes(node.values, fraction).tolist()
    codes = codes[size - half :] + codes[: size - half]  # ascending inputs
    found: dict[tuple[int, int], tuple[int, int]] = {}
    for a, b in set(zip(lows, highs, strict=True)):
        part = codes[a + half : b + half + 1]
        found[a, b] = min(part), max(part)
    pairs = [found[pair] for pair in zip(lows, highs, strict=True)]
    return ranged(
        objects([p[0] for p in pairs], x.low.shape), objects([p[1] for p in pairs], x.low.shape), fraction
    )


@interval.register
def _embedding(node: Embedding, sources: list[Bounds]) -> Bounds:
    (x,) = sources
    if x.fraction > 0 or largest(np.minimum(x.low, 0)):
        raise ExportError(f"{node.name} reads what is no number of a row", hint="quantize to whole numbers")
    fraction = finest(node.weight)
    codes = to_codes(node.weight, fraction)
    shape = (*x.low.shape, codes.shape[1])
    low = objects(np.broadcast_to(codes.min(axis=0), shape).ravel().tolist(), shape)
    high = objects(np.broadcast_to(codes.max(axis=0), shape).ravel().tolist(), shape)
    return ranged(low, high, fraction)


# ---------------------------------------------------------------------- products with weights


@interval.register
def _dense(node: Dense, sources: list[Bounds]) -> Bounds:
    (x,) = sources
    weight_fraction = finest(node.weight)
    low, high, reach = sums_of_products(x, to_codes(node.weight, weight_fraction))
    return _with_bias(low, high, reach, x.fraction + weight_fraction, node.bias)


@interval.register
def _conv(node: Conv, sources: list[Bounds]) -> Bounds:
    (x,) = sources
    weight_fraction = finest(node.weight)
    groups, n_in, n_out = node.groups, node.n_in // node.groups, node.n_out // node.groups
    points = math.prod(node.kernel)

    def columns(codes: Codes) -> Codes:
        seen = windows(codes, node.kernel, node.strides, node.pads, node.dilations)
        places = math.prod(node.shape[1:])
        split = seen.reshape(groups, n_in, places, points)
        return np.ascontiguousarray(split.transpose(0, 2, 1, 3).reshape(groups, places, n_in * points))

    weight = to_codes(node.weight, weight_fraction).reshape(groups, n_out, n_in * points).transpose(0, 2, 1)
    made = sums_of_products(_moved(x, columns), weight)
    low, high, reach = (codes.transpose(0, 2, 1).reshape(node.shape) for codes in made)
    bias = None if node.bias is None else node.bias.reshape(-1, *(1,) * len(node.kernel))
    return _with_bias(low, high, reach, x.fraction + weight_fraction, bias)


def _with_bias(low: Codes, high: Codes, reach: Codes, fraction: int, bias: Array | None) -> Bounds:
    if bias is not None and np.any(bias):
        final = max(fraction, finest(bias))
        codes, up = to_codes(bias, final), 1 << (final - fraction)
        low, high, reach = low * up + codes, high * up + codes, reach * up + abs(codes)
        fraction = final
    return Bounds(low, high, fraction, largest(reach))


# ---------------------------------------------------------------------- pools and reductions


def _windows(codes: Codes, node: Window, beside: int) -> Codes:
    seen = windows(codes, node.kernel, node.strides, node.pads, node.dilations, beside)
    return seen.reshape(*node.shape, -1)


@interval.register
def _max_pool(node: MaxPool, sources: list[Bounds]) -> Bounds:
    (x,) = sources
    below = -largest(x.low, x.high) - 1
    return _moved(x, lambda codes: np.asarray(_windows(codes, node, below).max(axis=-1)))


@interval.register
def _sum_pool(node: SumPool, sources: list[Bounds]) -> Bounds:
    (x,) = sources
    low, high = (np.asarray(_windows(codes, node, 0).sum(axis=-1)) for codes in (x.low, x.high))
    most = _windows(np.maximum(abs(x.low), abs(x.high)), node, 0).sum(axis=-1)
    return ranged(low, high, x.fraction, largest(np.asarray(most)))


@interval.register
def _reduce_max(node: ReduceMax, sources: list[Bounds]) -> Bounds:
    return _moved(sources[0], lambda codes: _reduced(codes.max(axis=node.axes), node))


@interval.register
def _reduce_sum(node: ReduceSum, sources: list[Bounds]) -> Bounds:
    (x,) = sources
    most = np.maximum(abs(x.low), abs(x.high)).sum(axis=node.axes)
    low, high = (_reduced(codes.sum(axis=node.axes), node) for codes in (x.low, x.high))
    return ranged(low, high, x.fraction, largest(_reduced(most, node)))


def _reduced(codes: Codes, node: Reduce) -> Codes:
    return objects(np.asarray(codes, dtype=object).ravel().tolist(), node.shape)


# ---------------------------------------------------------------------- several inputs


def _sum(sources: list[Bounds]) -> Bounds:
    parts, fraction = aligned(sources)
    low, high = parts[0].low, parts[0].high
    most = np.maximum(abs(low), abs(high))
    for part in parts[1:]:
        low, high = low + part.low, high + part.high
        most = most + np.maximum(abs(part.low), abs(part.high))
    return ranged(low, high, fraction, largest(most))


@interval.register
def _add(node: Add, sources: list[Bounds]) -> Bounds:
    return _sum(sources)


@interval.register
def _sub(node: Sub, sources: list[Bounds]) -> Bounds:
    a, b = sources
    return _sum([a, replace(b, low=-b.high, high=-b.low)])


@interval.register
def _mul(node: Mul, sources: list[Bounds]) -> Bounds:
    a, b = sources
    if node.inputs[0] == node.inputs[1]:
        ends = a.low * a.low, a.high * a.high
        least = np.where((a.low < 0) & (a.high > 0), 0, np.minimum(*ends))
        return ranged(least, np.maximum(*ends), 2 * a.fraction)
    low, high = products([(a.low, b.low), (a.low, b.high), (a.high, b.low), (a.high, b.high)])
    return ranged(low, high, a.fraction + b.fraction)


@interval.register
def _matmul(node: Matmul, sources: list[Bounds]) -> Bounds:
    a, b = sources
    left = [codes[..., :, :, None] for codes in (a.low, a.high)]
    right = [codes[..., None, :, :] for codes in (b.low, b.high)]
    low, high = products([(x, y) for x in left for y in right])
    most = np.maximum(abs(low), abs(high)).sum(axis=-2)
    return ranged(
        np.asarray(low.sum(axis=-2)),
        np.asarray(high.sum(axis=-2)),
        a.fraction + b.fraction,
        largest(np.asarray(most)),
    )
