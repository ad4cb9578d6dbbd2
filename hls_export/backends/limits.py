"""What hls4ml can express, and why it cannot: asked before anything is written."""

from __future__ import annotations

import importlib.util
from collections.abc import Collection, Iterator
from dataclasses import replace

import numpy as np

from hls_export import hardware as hw
from hls_export.backends.base import Capabilities, Settings
from hls_export.backends.tools import Tool
from hls_export.hardware import (
    Conv,
    Dense,
    Embedding,
    HardwareGraph,
    Identity,
    MaxPool,
    Node,
    Quantize,
    Table,
)
from hls_export.passes.channels_last import Placed
from hls_export.passes.fit_tables import same_bits
from hls_export.passes.rewrite import ONE
from hls_export.passes.whole_kernels import is_depthwise
from torchq.advice import advice
from torchq.errors import BackendError
from torchq.formats import FixedPoint, Overflow, Rounding

_DA, _UNROLLED = "distributed_arithmetic", "resource_unrolled"

KINDS = frozenset(
    kind.kind
    for kind in (
        *(hw.Input, hw.Quantize, hw.Relu, hw.LeakyRelu, hw.Identity, hw.Reshape, hw.Transpose, hw.Select),
        *(hw.Dense, hw.Conv, hw.MaxPool, hw.SumPool, hw.ReduceSum, hw.ReduceMax, hw.ScaleShift, hw.Add),
        *(hw.Sub, hw.Mul, hw.Matmul, hw.Concat, hw.Table, hw.Embedding),
    )
)
"""Everything that a graph may have in it."""


def capabilities(tool: Tool) -> Capabilities:
    """What hls4ml can write for a tool."""
    return Capabilities(
        kinds=KINDS - tool.lacks,
        io_types=frozenset(tool.io_types),
        strategies=tool.strategies,
        roundings=frozenset(Rounding),
        overflows=frozenset(Overflow),
        formats_per_element=tool.by_element,
    )


_MOST_BITS = 1023
_MOST_ADDRESSES = 16
_MOST_CLONES = 7
_MOST_WIRES = 2**16


def refuse(tool: Tool, graph: HardwareGraph, settings: Settings) -> None:
    """What can be told from the graph as it is, at once.

    Raises:
        BackendError: all reasons, one a line.
    """
    reasons = capabilities(tool).reasons(graph, settings)
    reasons += _layer_option_reasons(graph, settings, tool)
    readers = graph.consumers(graph.input)
    if len({node.format for node in readers}) > 1:
        names = ", ".join(node.name for node in readers)
        reasons.append(f"{graph.input} is read by {names}, whose formats differ; put one quantizer in front")
    for node in graph.nodes:
        if isinstance(node, Quantize) and node.format is not None and node.format.is_scalar:
            reasons += _quantizer_reasons(node, node.format, tool)
        if tool.by_element and isinstance(node, Quantize) and node.format and not _uniform(node.format):
            reasons += _element_reasons(node, node.format, graph, settings)
    _raise(tool.key, reasons)


def refuse_prepared(tool: Tool, graph: HardwareGraph, placed: Placed, settings: Settings) -> None:
    """What shows in the nodes that hls4ml gets, at once.

    Args:
        tool: whose project it is to be.
        graph: as it came.
        placed: what hls4ml gets.
        settings: of the project.

    Raises:
        BackendError: all reasons, one a line.
    """
    reasons: list[str] = []
    if len(placed.graph.nodes) < 3:
        reasons.append("the model has no layer behind its input quantizer")
    layers = weighted(graph)
    for node in placed.graph.nodes:
        if settings.io_type == "io_stream" and node.kind in tool.wrong_streams:
            what = "what hls4ml makes of it in io_stream is wrong or does not compile"
            reasons.append(f"{node.name} ({node.kind}): {what}")
        if settings.io_type == "io_stream" and not tool.stream_moves and moved(node, placed):
            reasons.append(
                f"{node.inputs[0]} is needed with its axes in another order, which io_stream has not"
            )
        reasons += _reasons(node, placed, settings_of(node.name, layers, settings), tool)
    _raise(tool.key, reasons)


def weighted(graph: HardwareGraph) -> list[str]:
    """The layers with weights, which is what can be set layer by layer."""
    return [node.name for node in graph.nodes if isinstance(node, Dense | Conv)]


def settings_of(name: str, layers: Collection[str], settings: Settings) -> Settings:
    """What holds for a node that hls4ml gets: as the user's layer, or plain for what stands in between.

    Args:
        name: of the node.
        layers: the user's layers with weights.
        settings: of the project.

    Example:
        >>> settings_of("fc.product2", ["fc"], Settings(reuse_factor=4)).reuse_factor
        4
        >>> settings_of("add.spread1", ["fc"], Settings(reuse_factor=4)).reuse_factor
        1
    """
    layer = name.removesuffix(".product2")
    if layer in layers or name in layers:
        return settings.of(name if name in layers else layer)
    return replace(settings, layers={}, strategy="latency", reuse_factor=1)


def _layer_option_reasons(graph: HardwareGraph, settings: Settings, tool: Tool) -> Iterator[str]:
    known = weighted(graph)
    for name, options in settings.layers.items():
        if name not in graph.names:
            yield f"there is no layer {name!r}; {advice(name, known, 'Layers')}"
        elif name not in known:
            yield f"{name} ({graph.node(name).kind}) has no weights, and so no {' and no '.join(options)}"
        elif (strategy := settings.of(name).strategy) not in tool.strategies:
            hint = advice(strategy, tool.strategies, "Strategies")
            yield f"{name} has no strategy {strategy!r}; {hint}"
    used = {settings.strategy, *(settings.of(name).strategy for name in known)}
    if _DA in used:
        yield from _da_reasons(known, settings)


def _da_reasons(known: Collection[str], settings: Settings) -> Iterator[str]:
    if importlib.util.find_spec("da4ml") is None:
        yield f"strategy {_DA} needs da4ml; pip install 'da4ml>=0.5.2,<0.6'"
    for name in known:
        mine = settings.of(name)
        if mine.strategy == _DA and mine.reuse_factor != 1:
            yield f"{name} has strategy {_DA}, which has reuse factor 1 only; got {mine.reuse_factor}"


def moved(node: Node, placed: Placed) -> bool:
    """Whether memory is moved for a node: axes change their order, and not only those of length one."""
    if not isinstance(node, Identity):
        return False
    source = node.inputs[0]
    shape = placed.shape(source)
    axes = [placed.axes[source].index(axis) for axis in placed.axes[node.name]]
    long = [axis for axis in axes if shape[axis] > 1]
    return long != sorted(long)


def _raise(key: str, reasons: list[str]) -> None:
    if reasons:
        raise BackendError("\n".join(f"{key}: {reason}" for reason in dict.fromkeys(reasons)))


def _reasons(node: Node, placed: Placed, settings: Settings, tool: Tool) -> Iterator[str]:
    graph, grid = placed.graph, node.format
    if grid is not None and grid.is_scalar and int(grid.width) > _MOST_BITS:
        yield f"{node.name} needs {grid.width} bits, and ap_fixed has at most {_MOST_BITS}"
    readers = graph.consumers(node.name)
    if settings.io_type == "io_stream" and len(readers) + (node.name == graph.output) > _MOST_CLONES:
        yield f"{node.name} is read {len(readers)} times, and hls4ml copies a stream {_MOST_CLONES} times"
    source = graph.node(node.inputs[0]) if node.inputs else None
    if isinstance(node, Table):
        yield from _table_reasons(node, source)
    if isinstance(node, Embedding):
        yield from _embedding_reasons(node, source, settings)
    if isinstance(node, MaxPool):
        yield from _pool_reasons(node, settings)
    if isinstance(node, Dense) and node.weight_format == ONE and node.weight.size > _MOST_WIRES:
        yield (
            f"{node.name} wires {node.n_in:,} values to {node.n_out:,} by a product of zeros and ones; "
            f"at most {_MOST_WIRES:,} products are supported"
        )
    yield from weight_reasons(node, settings, tool)


def weight_reasons(node: Node, settings: Settings, tool: Tool) -> Iterator[str]:
    """Why a layer with weights cannot have its strategy or its reuse factor.

    Args:
        node: what hls4ml gets; one without weights has no reasons.
        settings: that hold for it.
        tool: whose project it is to be.
    """
    parallel = settings.io_type == "io_parallel"
    if isinstance(node, Dense):
        windows = len(node.shape) > 1 and parallel  # hls4ml builds it as a convolution of one point
        yield from _factor_reasons(
            node, node.n_in, node.n_out, settings, small=windows and tool.small_factors
        )
        if windows and settings.strategy == _UNROLLED:
            yield (
                f"{node.name} is built as a convolution of one point, "
                "which hls4ml cannot build with resource_unrolled in io_parallel"
            )
    if isinstance(node, Conv):
        yield from _conv_reasons(node, settings, small=parallel and tool.small_factors)


def _quantizer_reasons(node: Node, grid: FixedPoint, tool: Tool) -> Iterator[str]:
    if grid.width == 0:
        yield f"{node.name} has zero bits; leave the layer out"
    if grid.width == 1 and grid.signed and grid.overflow is Overflow.SAT_SYM:
        yield f"{node.name} has one signed bit and symmetric saturation: it holds zero alone"
    elif 0 < grid.width < tool.least_bits:
        yield f"{node.name} has one bit, and hls4ml writes {tool.name} types of {tool.least_bits} or more"


def _element_reasons(node: Node, grid: FixedPoint, graph: HardwareGraph, settings: Settings) -> Iterator[str]:
    if settings.io_type == "io_stream":
        yield f"{node.name} has a format that differs by element, which hls4ml has in io_parallel only"
    elif node.inputs[0] == graph.input and grid.rounding not in (Rounding.TRN, Rounding.RND):
        yield (
            f"{node.name} rounds the input {grid.rounding} to formats that differ by element; "
            "round TRN or RND, or put a quantizer of one format in front of it"
        )


def _uniform(grid: FixedPoint) -> bool:
    return all(np.unique(np.asarray(f)).size == 1 for f in (grid.width, grid.integer, grid.signed))


def _table_reasons(node: Table, source: Node | None) -> Iterator[str]:
    """hls4ml indexes a table with the raw bits of what it reads."""
    grid = None if source is None else source.format
    if grid is None or not grid.is_scalar or not same_bits(grid, node.address):
        name = "" if source is None else source.name
        yield f"{node.name} has addresses of {node.address}, and reads {name} of {grid}; quantize before"
    if int(node.address.width) > _MOST_ADDRESSES:
        yield f"{node.name} is a table of {node.address.width} bits; at most {_MOST_ADDRESSES} are supported"


def _embedding_reasons(node: Embedding, source: Node | None, settings: Settings) -> Iterator[str]:
    grid = None if source is None else source.format
    if grid is None or not grid.is_scalar or grid.signed or int(grid.fraction) != 0:
        yield f"{node.name} reads numbers of {grid}; it takes unsigned whole numbers"
    elif int(grid.width) > _MOST_ADDRESSES:
        yield f"{node.name} has row numbers of {grid.width} bits; at most {_MOST_ADDRESSES} are supported"
    if settings.io_type == "io_stream" and source is not None and len(source.shape) != 1:
        yield f"{node.name} reads a tensor of {len(source.shape)} axes, which hls4ml cannot do in io_stream"


def _pool_reasons(node: MaxPool, settings: Settings) -> Iterator[str]:
    if any(d != 1 for d in node.dilations):
        yield f"{node.name} has dilated windows, which hls4ml has not"
    elif any(map(any, node.pads)) and settings.io_type == "io_stream":
        yield (
            f"{node.name} pads numbers that may be negative, which hls4ml cannot do in io_stream; "
            "put a relu or an unsigned quantizer in front of it"
        )


def _conv_reasons(node: Conv, settings: Settings, *, small: bool) -> Iterator[str]:
    points = int(np.prod(node.kernel))
    n_in, n_out = points * node.n_in, node.n_out
    yield from _factor_reasons(node, n_in, n_out, settings, small=small)
    if is_depthwise(node) and settings.strategy in (_UNROLLED, _DA):
        yield f"{node.name} is depthwise, and cannot be built with {settings.strategy}"
    elif is_depthwise(node) and settings.strategy == "resource" and settings.io_type == "io_parallel":
        yield (
            f"{node.name} is depthwise, and what hls4ml makes of it with resource in io_parallel is wrong; "
            "build that layer with latency"
        )
    elif settings.strategy == _UNROLLED and settings.io_type == "io_parallel":
        yield f"{node.name} is a convolution, which hls4ml cannot build with resource_unrolled in io_parallel"


def _factor_reasons(node: Node, n_in: int, n_out: int, settings: Settings, *, small: bool) -> Iterator[str]:
    """hls4ml takes the nearest reuse factor that it can build and says so in passing; we refuse instead."""
    size, factor = n_in * n_out, settings.reuse_factor
    if settings.strategy in ("latency", _DA):
        return
    valid = [f for f in range(1, size + 1) if _buildable(n_in, n_out, f)]
    if settings.strategy == _UNROLLED:
        valid = valid[1:-1]
    elif small:
        valid = [f for f in valid if f <= n_in]
    if factor not in valid:
        listed = ", ".join(map(str, valid[:12])) + (", ..." if len(valid) > 12 else "")
        yield (
            f"{node.name} cannot have reuse factor {factor} with {settings.strategy}; "
            f"it can have {listed or 'none'}"
        )


def _buildable(n_in: int, n_out: int, factor: int) -> bool:
    """The rule of hls4ml's dense layers: whole columns, or whole multiples of them."""
    if (n_in * n_out) % factor:
        return False
    if factor < n_in:
        return -(-n_in * n_out // factor) % n_out == 0
    return factor % n_in == 0
