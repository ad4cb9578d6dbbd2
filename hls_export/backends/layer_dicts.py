"""hls4ml's dict of each node: one function a kind of node."""

# ruff: noqa: ARG001  (the functions of a table share a signature)

from __future__ import annotations

import math
from functools import singledispatch
from typing import Any

import numpy as np

from hls_export.backends.layer_view import Spec, View, constant, format_of, keeps_memory, moved_axes
from hls_export.hardware import (
    Add,
    Array,
    Concat,
    Conv,
    Dense,
    Embedding,
    Identity,
    Input,
    LeakyRelu,
    Matmul,
    MaxPool,
    Mul,
    Node,
    Quantize,
    Relu,
    Reshape,
    ScaleShift,
    Select,
    Sub,
    Table,
)
from hls_export.passes.padded_windows import zeros_around
from hls_export.passes.whole_kernels import is_depthwise
from torchq.errors import BackendError
from torchq.formats import FixedPoint

_LETTERS = "abcdefghijklmnop"


@singledispatch
def layer(node: Node, view: View) -> tuple[dict[str, Any], dict[str, FixedPoint]]:
    """The dict of one node, and the types of what is in it beside its result."""
    raise BackendError(f"hls4ml: {node.name} ({node.kind}) is not supported")


# ---------------------------------------------------------------------- inputs, rounding


@layer.register
def _input(node: Input, view: View) -> Spec:
    shape = list(view.shape(node.name))
    return {**view.base(node, "InputLayer"), "input_shape": shape}, {}


@layer.register
def _quantize(node: Quantize, view: View) -> Spec:
    size = math.prod(node.shape)
    grid = node.format
    if grid is None or grid.is_scalar:
        return {**view.base(node, "Activation"), "activation": "linear", "n_in": size}, {}
    spec = view.base(node, "FixedPointQuantizer")
    spec |= {
        "mask_kbi": tuple(_mask(values, node, view) for values in (grid.signed, grid.width, grid.integer)),
        "RND": str(grid.rounding),
        "SAT": str(grid.overflow),
        "fusible": None,
        "overrides": {},
    }
    return spec, {}


def _mask(values: Any, node: Node, view: View) -> Any:
    """A property of each element, in the order of the memory; with hls4ml's batch axis in front."""
    spread = np.broadcast_to(np.asarray(values), node.shape).transpose(view.axes(node.name))
    return np.ascontiguousarray(spread).astype(np.int16)[None]


# ---------------------------------------------------------------------- one input


@layer.register
def _relu(node: Relu, view: View) -> Spec:
    size = math.prod(node.shape)
    return {**view.base(node, "Activation"), "activation": "relu", "n_in": size}, {}


@layer.register
def _leaky_relu(node: LeakyRelu, view: View) -> Spec:
    slope = _in_memory(node.slope, node, view)
    size = math.prod(node.shape)
    spec = view.base(node, "PReLU")
    spec |= {"activation": "prelu", "n_in": size, "param_data": slope.ravel()}
    return spec, {"param": constant(slope)}


@layer.register
def _scale_shift(node: ScaleShift, view: View) -> Spec:
    scale = _in_memory(node.scale, node, view)
    shift = _in_memory(np.zeros(1) if node.shift is None else node.shift, node, view)
    filters = -1
    flat = [values.reshape(-1, values.shape[-1]) for values in (scale, shift)]
    if scale.ndim > 1 and all((values == values[:1]).all() for values in flat):
        filters, (scale, shift) = scale.shape[-1], (values[0] for values in flat)
    spec = view.base(node, "BatchNormalization")
    spec |= {
        "n_in": math.prod(node.shape),
        "n_filt": filters,
        "scale_data": scale.ravel(),
        "bias_data": shift.ravel(),
    }
    return spec, {"scale": constant(scale), "bias": constant(shift)}


@layer.register
def _table(node: Table, view: View) -> Spec:
    spec = view.base(node, "UnaryLUT")
    spec |= {"activation": "unary_lut", "n_in": math.prod(node.shape), "table_data": np.array(node.values)}
    return spec, {"table": constant(node.values)}


@layer.register
def _embedding(node: Embedding, view: View) -> Spec:
    (source,) = node.inputs
    rows = 1 << int(format_of(view.graph.node(source)).width)
    missing = np.repeat(node.weight[-1:], max(rows - len(node.weight), 0), axis=0)
    table = np.concatenate([node.weight, missing])  # an address beyond the last row reads the last row
    spec = view.base(node, "Embedding")
    spec |= {
        "n_in": math.prod(view.shape(source)),
        "n_out": node.weight.shape[1],
        "vocab_size": len(table),
        "embeddings_data": table,
    }
    return spec, {"embeddings": constant(table)}


def _in_memory(values: Array, node: Node, view: View) -> Array:
    """Constants that broadcast against a sample, for every value of it, in the order of the memory."""
    return np.ascontiguousarray(np.broadcast_to(values, node.shape).transpose(view.axes(node.name)))


# ---------------------------------------------------------------------- products with weights


@layer.register
def _dense(node: Dense, view: View) -> Spec:
    bias = np.zeros(node.n_out) if node.bias is None else np.array(node.bias)
    spec = view.base(node, "Dense")
    spec |= {
        "n_in": node.n_in,
        "n_out": node.n_out,
        "weight_data": np.array(node.weight),
        "bias_data": bias,
        "use_bias": True,
        "data_format": "channels_last",
    }
    return spec, _weighted(node, node.weight, bias)


@layer.register
def _conv(node: Conv, view: View) -> Spec:
    bias = np.zeros(node.n_out) if node.bias is None else np.array(node.bias)
    depthwise = is_depthwise(node)
    kernel_axes = tuple(range(2, node.weight.ndim))
    weight = np.ascontiguousarray(node.weight.transpose(*kernel_axes, *((0, 1) if depthwise else (1, 0))))
    dims = len(node.kernel)
    spec = view.base(node, f"{'Depthwise' if depthwise else ''}Conv{dims}D")
    spec |= _window(node, node.kernel, view, "filt")
    spec |= {
        "n_chan": node.n_in,
        "n_filt": node.n_out,
        ("depthwise_data" if depthwise else "weight_data"): weight,
        "bias_data": bias,
        "use_bias": True,
    }
    return spec, _weighted(node, weight, bias)


def _weighted(node: Node, weight: Array, bias: Array) -> dict[str, FixedPoint]:
    return {"accum": format_of(node), "weight": constant(weight), "bias": constant(bias)}


@layer.register
def _max_pool(node: MaxPool, view: View) -> Spec:
    dims = len(node.kernel)
    spec = view.base(node, f"MaxPooling{dims}D")
    spec |= _window(node, node.kernel, view, "pool")
    spec |= {"n_filt": node.shape[0], "count_pad": False}
    if dims == 1:
        spec |= {"n_in": spec.pop("in_width"), "n_out": spec.pop("out_width")}
    return spec, {"accum": format_of(view.graph.node(node.inputs[0]))}


def _window(node: Conv | MaxPool, kernel: tuple[int, ...], view: View, word: str) -> dict[str, Any]:
    names = ("width",) if len(kernel) == 1 else ("height", "width")
    sides = (("left", "right"),) if len(kernel) == 1 else (("top", "bottom"), ("left", "right"))
    before = view.graph.node(node.inputs[0]).shape[1:]
    found: dict[str, Any] = {"data_format": "channels_last"}
    for i, name in enumerate(names):
        found[f"in_{name}"], found[f"out_{name}"] = before[i], node.shape[1 + i]
        found[f"{word}_{name}"], found[f"stride_{name}"] = kernel[i], node.strides[i]
        for side, pad in zip(sides[i], node.pads[i], strict=True):
            found[f"pad_{side}"] = pad
    return found


# ---------------------------------------------------------------------- several inputs


@layer.register
def _add(node: Add, view: View) -> Spec:
    return {**view.base(node, "Merge"), "op": "add"}, {}


@layer.register
def _sub(node: Sub, view: View) -> Spec:
    return {**view.base(node, "Merge"), "op": "subtract"}, {}


@layer.register
def _mul(node: Mul, view: View) -> Spec:
    return {**view.base(node, "Merge"), "op": "multiply"}, {}


@layer.register
def _concat(node: Concat, view: View) -> Spec:
    axis = view.axes(node.name).index(node.axis)
    op = f"concatenate{len(node.shape)}d"
    return {**view.base(node, "Concatenate"), "op": op, "axis": axis + 1}, {}


@layer.register
def _matmul(node: Matmul, view: View) -> Spec:
    first, second = node.inputs
    rank = len(node.shape)
    front, (m, k, n) = _LETTERS[: rank - 2], "xyz"
    words = [
        "".join(logical[axis] for axis in view.axes(name))
        for name, logical in ((first, front + m + k), (second, front + k + n))
    ]
    spec = view.base(node, "Einsum")
    spec |= {
        "equation": f"{words[0]},{words[1]}->{front}{m}{n}",
        "inp0_shape": view.shape(first),
        "inp1_shape": view.shape(second),
        "out_shape": node.shape,
    }
    return spec, {"accum": format_of(node)}


# ---------------------------------------------------------------------- moves


@layer.register
def _reshape(node: Reshape, view: View) -> Spec:
    return _reshaped(node, view)


@layer.register
def _identity(node: Identity, view: View) -> Spec:
    if keeps_memory(node, view):
        return _reshaped(node, view)
    return {**view.base(node, "Transpose"), "perm": list(moved_axes(node, view))}, {}


def _reshaped(node: Node, view: View) -> Spec:
    """In a stream, only what a matrix product reads may stay packed as it is."""
    readers = view.graph.consumers(node.name)
    flat = len(node.shape) == 1 and len(readers) == 1 and isinstance(readers[0], Dense)
    kind = "Reshape" if view.io_type == "io_parallel" or flat else "Repack"
    return {**view.base(node, kind), "target_shape": list(view.shape(node.name))}, {}


@layer.register
def _select(node: Select, view: View) -> Spec:
    """Zeros around the sample; other selections are matrix products by now."""
    (source,) = node.inputs
    pads = zeros_around(node, view.graph.node(source).shape)
    if pads is None:
        raise BackendError(f"hls4ml: {node.name} ({node.kind}) is not supported")
    before = view.graph.node(source).shape
    names = ("width",) if len(pads) == 1 else ("height", "width")
    sides = (("left", "right"),) if len(pads) == 1 else (("top", "bottom"), ("left", "right"))
    spec = view.base(node, f"ZeroPadding{len(pads)}D")
    spec |= {"n_chan": before[0], "data_format": "channels_last"}
    for i, name in enumerate(names):
        spec[f"in_{name}"], spec[f"out_{name}"] = before[1 + i], node.shape[1 + i]
        for side, pad in zip(sides[i], pads[i], strict=True):
            spec[f"pad_{side}"] = pad
    return spec, {}
