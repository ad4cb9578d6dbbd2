"""What each node computes, on floats wide enough to be exact: one function a kind of node."""

# ruff: noqa: ARG001  (the functions of a table share a signature)

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce, singledispatch
from typing import Any

import numpy as np
import torch
from torch import Tensor

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
)
from hls_export.windows import tensor_windows
from torchq.errors import BackendError
from torchq.formats import Overflow, round_to_integer, wrapped

Step = Callable[..., Tensor]


@singledispatch
def float_step(node: Node, dtype: torch.dtype) -> Step:
    """What computes a node: batches of what it reads to a batch of what it makes.

    Raises:
        BackendError: no such kind of node is known.
    """
    raise BackendError(f"{node.name}: the emulator does not know {node.kind}")


def values_within(node: Node) -> int:
    """The most numbers that are held at once to compute a node for one sample."""
    size = math.prod(node.shape)
    if isinstance(node, Conv):
        return size + math.prod(node.shape[1:]) * math.prod(node.weight.shape[1:]) * node.groups
    if isinstance(node, MaxPool | SumPool):
        return size * (1 + math.prod(node.kernel))
    return size


# ---------------------------------------------------------------------- moves


@float_step.register
def _identity(node: Identity, dtype: torch.dtype) -> Step:
    return lambda x: x


@float_step.register
def _reshape(node: Reshape, dtype: torch.dtype) -> Step:
    return lambda x: x.reshape(len(x), *node.shape)


@float_step.register
def _transpose(node: Transpose, dtype: torch.dtype) -> Step:
    axes = (0, *(axis + 1 for axis in node.axes))
    return lambda x: x.permute(axes)


@float_step.register
def _select(node: Select, dtype: torch.dtype) -> Step:
    flat = node.indices.reshape(-1)
    if not (flat < 0).any():
        indices = torch.tensor(flat)
        return lambda x: x.reshape(len(x), -1)[:, indices].reshape(len(x), *node.shape)
    zero = torch.tensor(np.where(flat < 0, 0, flat + 1))
    return lambda x: torch.nn.functional.pad(x.reshape(len(x), -1), (1, 0))[:, zero].reshape(
        len(x), *node.shape
    )


@float_step.register
def _concat(node: Concat, dtype: torch.dtype) -> Step:
    return lambda *parts: torch.cat([part.to(dtype) for part in parts], node.axis + 1)


# ---------------------------------------------------------------------- one input


@float_step.register
def _relu(node: Relu, dtype: torch.dtype) -> Step:
    return lambda x: torch.clamp(x, min=0)


@float_step.register
def _leaky_relu(node: LeakyRelu, dtype: torch.dtype) -> Step:
    slope = _tensor(node.slope, dtype)
    return lambda x: torch.where(x < 0, x * slope, x)


@float_step.register
def _scale_shift(node: ScaleShift, dtype: torch.dtype) -> Step:
    scale = _tensor(node.scale, dtype)
    if node.shift is None:
        return lambda x: (x * scale).expand(len(x), *node.shape)
    shift = _tensor(node.shift, dtype)
    return lambda x: (x * scale + shift).expand(len(x), *node.shape)


@float_step.register
def _table(node: Table, dtype: torch.dtype) -> Step:
    values = _tensor(node.values, dtype)
    up, last = float(1.0 / node.address.lsb), len(node.values) - 1
    return lambda x: values[(x * up).to(torch.int64) & last]


@float_step.register
def _embedding(node: Embedding, dtype: torch.dtype) -> Step:
    weight = _tensor(node.weight, dtype)
    return lambda x: weight[torch.clamp(x.to(torch.int64), max=len(weight) - 1)]


@float_step.register
def _quantize(node: Quantize, dtype: torch.dtype) -> Step:
    grid = node.format
    assert grid is not None, "bounds() has refused it"  # noqa: S101
    up, lsb, low, high, span = (
        _operand(v) for v in (1.0 / grid.lsb, grid.lsb, grid.code_min, grid.code_max, np.exp2(grid.width))
    )
    rounding = grid.rounding
    clip = torch.clamp_ if grid.is_scalar else torch.clamp  # in place, where no type is promoted

    def saturate(x: Tensor) -> Tensor:
        return clip(round_to_integer(x * up, rounding), low, high).mul_(lsb).to(dtype)

    def wrap(x: Tensor) -> Tensor:
        codes = round_to_integer(x.to(torch.float64) * up, rounding)
        ends = (torch.as_tensor(end, dtype=torch.float64) for end in (low, span))
        return wrapped(codes, *ends).mul_(lsb).to(dtype)

    def coarse(x: Tensor) -> Tensor:
        return grid.quantize_tensor(x.to(torch.float64)).to(dtype)

    if np.any(np.asarray(grid.lsb) > 1):
        return coarse  # a subnormal number must not vanish before it is rounded
    return wrap if grid.overflow is Overflow.WRAP else saturate


def _operand(value: Any) -> Any:
    """A Python float for a format per tensor, a float64 tensor for one per channel or element."""
    return float(value) if np.ndim(value) == 0 else torch.tensor(value, dtype=torch.float64)


def _tensor(value: Array | float, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.tensor(value, dtype=dtype)


# ---------------------------------------------------------------------- products with weights


@float_step.register
def _dense(node: Dense, dtype: torch.dtype) -> Step:
    weight = _tensor(node.weight, dtype)
    if node.bias is None:
        return lambda x: x @ weight
    bias = _tensor(node.bias, dtype)
    if len(node.shape) == 1:
        return lambda x: torch.addmm(bias, x, weight)
    return lambda x: x @ weight + bias


@float_step.register
def _conv(node: Conv, dtype: torch.dtype) -> Step:
    """By a matrix product of its windows: libraries' convolutions may take ways that round (Winograd)."""
    groups, axes, points = node.groups, len(node.kernel), math.prod(node.kernel)
    n_in, n_out = node.n_in // groups, node.n_out // groups
    places = math.prod(node.shape[1:])
    weight = _tensor(node.weight.reshape(groups, n_out, n_in * points), dtype)
    bias = None if node.bias is None else _tensor(node.bias.reshape(-1, *(1,) * axes), dtype)

    def step(x: Tensor) -> Tensor:
        seen = tensor_windows(x, node).reshape(len(x), groups, n_in, places, points)
        columns = seen.transpose(3, 4).reshape(len(x), groups, n_in * points, places)
        made = (weight @ columns).reshape(len(x), *node.shape)
        return made if bias is None else made + bias

    return step


# ---------------------------------------------------------------------- pools and reductions


@float_step.register
def _max_pool(node: MaxPool, dtype: torch.dtype) -> Step:
    return lambda x: tensor_windows(x, node, -torch.inf).amax(dim=_last(node.kernel))


@float_step.register
def _sum_pool(node: SumPool, dtype: torch.dtype) -> Step:
    return lambda x: tensor_windows(x, node).sum(dim=_last(node.kernel))


def _last(kernel: tuple[int, ...]) -> list[int]:
    return list(range(-len(kernel), 0))


@float_step.register
def _reduce_max(node: ReduceMax, dtype: torch.dtype) -> Step:
    return lambda x: x.amax(dim=_reduced(node), keepdim=node.keepdims)


@float_step.register
def _reduce_sum(node: ReduceSum, dtype: torch.dtype) -> Step:
    return lambda x: x.sum(dim=_reduced(node), keepdim=node.keepdims)


def _reduced(node: Reduce) -> list[int]:
    return [axis + 1 for axis in node.axes]


# ---------------------------------------------------------------------- several inputs


@float_step.register
def _add(node: Add, dtype: torch.dtype) -> Step:
    return lambda *parts: reduce(torch.add, parts)


@float_step.register
def _sub(node: Sub, dtype: torch.dtype) -> Step:
    return lambda a, b: a - b


@float_step.register
def _mul(node: Mul, dtype: torch.dtype) -> Step:
    return lambda a, b: a * b


@float_step.register
def _matmul(node: Matmul, dtype: torch.dtype) -> Step:
    return lambda a, b: a @ b
