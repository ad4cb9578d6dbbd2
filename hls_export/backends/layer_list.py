"""The nodes of a graph as hls4ml's layer list: plain dicts with the types of all that is in them."""

# ruff: noqa: ARG001  (the functions of a table share a signature)

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import singledispatch
from typing import Any

import numpy as np

from hls_export.hardware import (
    MOVES,
    Add,
    Array,
    Concat,
    Conv,
    Dense,
    Embedding,
    HardwareGraph,
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
    Transpose,
)
from hls_export.passes.channels_last import Axes, Placed
from hls_export.passes.padded_windows import zeros_around
from hls_export.passes.plain_formats import common_format
from hls_export.passes.rewrite import tight
from hls_export.passes.whole_kernels import is_depthwise
from hls_export.passes.wide_enough import needed_integer
from torchq.errors import BackendError
from torchq.formats import FixedPoint, Overflow, Rounding

ZERO = FixedPoint(1, 1, False, Rounding.TRN, Overflow.WRAP)
"""The type of constants that are all zero."""

_LETTERS = "abcdefghijklmnop"


@dataclass(frozen=True, eq=False)
class Layer:
    """One entry of the list.

    Args:
        node: the node that it computes.
        carries: the node whose tensor leaves it: its own, or a quantizer's that is fused into it.
        spec: hls4ml's dict.
        types: by hls4ml's word for them: ``result``, ``accum``, and each constant's.
    """

    node: Node
    carries: str
    spec: dict[str, Any]
    types: dict[str, FixedPoint]

    @property
    def name(self) -> str:
        """Its C++ name."""
        return str(self.spec["name"])


@dataclass(frozen=True, eq=False)
class View:
    """What the functions of this module look things up in.

    Args:
        placed: the graph, and its order in memory.
        names: node name -> C++ name.
        carries: node name -> the node whose tensor leaves its layer.
        io_type: of the project.
        at: node name -> C++ name of the layer that its tensor leaves; filled on the way.
    """

    placed: Placed
    names: Mapping[str, str]
    carries: Mapping[str, str]
    io_type: str
    at: dict[str, str] = field(default_factory=dict)

    @property
    def graph(self) -> HardwareGraph:
        """The graph."""
        return self.placed.graph

    def shape(self, name: str) -> tuple[int, ...]:
        """In memory."""
        return self.placed.shape(name)

    def axes(self, name: str) -> Axes:
        """In memory."""
        return self.placed.axes[name]

    def base(self, node: Node, kind: str) -> dict[str, Any]:
        """What all dicts have in common."""
        return {
            "class_name": kind,
            "name": self.names[node.name],
            "inputs": [self.at[name] for name in node.inputs],
        }


def layer_list(placed: Placed, names: Mapping[str, str], io_type: str) -> list[Layer]:
    """One layer a node that computes or moves something, in order.

    Args:
        placed: what to say.
        names: node name -> C++ name.
        io_type: of the project.
    """
    view = View(placed, names, fused(placed.graph), io_type)
    layers = []
    for node in placed.graph.nodes:
        source = node.inputs[0] if node.inputs else ""
        if isinstance(node, Quantize) and view.carries[source] == node.name:
            view.at[node.name] = view.at[source]
            continue
        if moves_nothing(node, view):
            view.at[node.name] = view.at[source]
            continue
        spec, types = layer(node, view)
        carried = view.carries[node.name]
        types = {"result": _result(placed.graph.node(carried), placed.graph), **types}
        layers.append(Layer(node, carried, spec, types))
        view.at[node.name] = view.names[node.name]
    return layers


def _result(node: Node, graph: HardwareGraph) -> FixedPoint:
    if not isinstance(node, Input):
        return format_of(node)
    grid = graph.consumers(node.name)[0].format
    if grid is None:
        raise BackendError(f"{node.name} has no format")
    return raw_format(grid)


def fused(graph: HardwareGraph) -> dict[str, str]:
    """For every node, whose tensor leaves its layer: that of the one quantizer that reads it, or its own."""
    carried = {}
    for node in graph.nodes:
        readers = graph.consumers(node.name)
        alone = len(readers) == 1 and isinstance(readers[0], Quantize) and node.name != graph.output
        computes = not isinstance(node, (Quantize, *MOVES))
        fits = alone and computes and _roundable(node, graph, readers[0].format)
        carried[node.name] = readers[0].name if fits else node.name
    return carried


def _roundable(node: Node, graph: HardwareGraph, grid: FixedPoint | None) -> bool:
    """Whether what a layer computes has the bits that rounding to a format asks for."""
    if grid is None or not grid.is_scalar:
        return False
    return isinstance(node, Input) or _integer_bits(node, graph) >= needed_integer(grid)


def _integer_bits(node: Node, graph: HardwareGraph) -> int:
    """The integer bits of what a layer assigns to its result; its C++ type has at least those."""
    inputs = [int(format_of(graph.node(name)).integer) for name in node.inputs]
    if isinstance(node, Dense | Conv | Matmul):
        return int(format_of(node).integer)
    if isinstance(node, Table):
        return int(constant(node.values).integer)
    if isinstance(node, Embedding):
        return int(constant(node.weight).integer)
    if isinstance(node, ScaleShift):
        return inputs[0] + int(constant(node.scale).integer)
    if isinstance(node, LeakyRelu):
        return inputs[0] + min(int(constant(node.slope).integer), 0)
    return sum(inputs) if isinstance(node, Mul) else min(inputs)


def moves_nothing(node: Node, view: View) -> bool:
    """Whether a node's result is the memory that its input is, read in another way."""
    if isinstance(node, Transpose):
        return True
    if not _keeps_memory(node, view):
        return False
    last = view.io_type == "io_parallel" and _leads_out(node, view)  # hls4ml drops a reshape at the end
    return last or view.shape(node.inputs[0]) == view.shape(node.name)


def _keeps_memory(node: Node, view: View) -> bool:
    """Whether the values stay where they are, in a shape of its own."""
    if isinstance(node, Identity):
        axes = _moved_axes(node, view)
        shape = view.shape(node.inputs[0])
        long = [axis for axis in axes if shape[axis] > 1]
        return long == sorted(long)
    return isinstance(node, Reshape | Transpose)


def _moved_axes(node: Node, view: View) -> tuple[int, ...]:
    """Where the axes in memory come from."""
    before = view.axes(node.inputs[0])
    return tuple(before.index(axis) for axis in view.axes(node.name))


def _leads_out(node: Node, view: View) -> bool:
    """Whether nothing but other shapes of the same memory stands between a node and the output."""
    if node.name == view.graph.output:
        return True
    readers = view.graph.consumers(node.name)
    return bool(readers) and all(_keeps_memory(r, view) and _leads_out(r, view) for r in readers)


@singledispatch
def layer(node: Node, view: View) -> tuple[dict[str, Any], dict[str, FixedPoint]]:
    """The dict of one node, and the types of what is in it beside its result."""
    raise BackendError(f"hls4ml: {node.name} ({node.kind}) is not supported")


Spec = tuple[dict[str, Any], dict[str, FixedPoint]]


def format_of(node: Node) -> FixedPoint:
    """The format of an edge that has one; of all its elements, where theirs differ."""
    if node.format is None:
        raise BackendError(f"{node.name} has no format")
    if node.format.is_scalar:
        return node.format
    return replace(common_format(node.format), rounding=Rounding.TRN, overflow=Overflow.WRAP)


def raw_format(grid: FixedPoint) -> FixedPoint:
    """The type of an input whose elements are then rounded (``TRN`` or ``RND``) to formats of their own.

    Both ask for the bits down to one below their last one, and for nothing further down.

    Example:
        >>> str(raw_format(FixedPoint(np.array([4, 3]), 2, rounding="RND")))
        'ap_fixed<5,2,TRN,SAT>'
    """
    common = common_format(grid)
    integer = max(int(common.integer), needed_integer(grid))
    below = 1 if grid.rounding is Rounding.RND else 0
    overflow = Overflow.WRAP if grid.overflow is Overflow.WRAP else Overflow.SAT
    width = integer + int(common.fraction) + below
    return FixedPoint(max(width, 1), integer, common.signed, Rounding.TRN, overflow)


def constant(values: Array) -> FixedPoint:
    """The type of a constant."""
    return tight(values) if np.any(values) else ZERO


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
    if _keeps_memory(node, view):
        return _reshaped(node, view)
    return {**view.base(node, "Transpose"), "perm": list(_moved_axes(node, view))}, {}


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
