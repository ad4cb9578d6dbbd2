"""What hls4ml can express, and why it cannot: asked before anything is written."""

from __future__ import annotations

from collections.abc import Iterator

from hls_export.backends.base import Capabilities, Settings
from hls_export.hardware import Dense, HardwareGraph, Node, Quantize
from torchq.errors import BackendError
from torchq.formats import FixedPoint, Overflow, Rounding

STRATEGIES = ("latency", "resource", "resource_unrolled")

CAPABILITIES = Capabilities(
    kinds=frozenset({"input", "quantize", "relu", "dense"}),
    io_types=frozenset({"io_parallel", "io_stream"}),
    strategies=STRATEGIES,
    roundings=frozenset(Rounding),
    overflows=frozenset(Overflow),
)

_MOST_BITS = 1023


def refuse(key: str, graph: HardwareGraph, settings: Settings) -> None:
    """Everything that cannot be expressed, at once."""
    reasons = CAPABILITIES.reasons(graph, settings)
    if len(graph.nodes) < 3:
        reasons.append("the model has no layer behind its input quantizer")
    for node in graph.nodes:
        grid = node.format
        if grid is None or not grid.is_scalar:
            continue
        if isinstance(node, Quantize):
            reasons += _quantizer_reasons(graph, node, grid)
        if int(grid.width) > _MOST_BITS:
            reasons.append(f"{node.name} needs {grid.width} bits, and ap_fixed has at most {_MOST_BITS}")
        if len(graph.consumers(node.name)) > 1:
            reasons.append(f"{node.name} is read more than once, which is not supported yet")
        if isinstance(node, Dense):
            reasons += _dense_reasons(node, settings)
    if reasons:
        raise BackendError("\n".join(f"{key}: {reason}" for reason in reasons))


def _quantizer_reasons(graph: HardwareGraph, node: Node, grid: FixedPoint) -> Iterator[str]:
    if isinstance(graph.node(node.inputs[0]), Quantize):
        first = node.inputs[0]
        yield f"{node.name} rounds what {first} has rounded already, and hls4ml keeps one; remove one"
    if grid.width == 0:
        yield f"{node.name} has zero bits; leave the layer out"
    if grid.width == 1 and grid.signed and grid.overflow is Overflow.SAT_SYM:
        yield f"{node.name} has one signed bit and symmetric saturation: it holds zero alone"


def _dense_reasons(node: Dense, settings: Settings) -> Iterator[str]:
    """hls4ml takes the nearest reuse factor that it can build and says so in passing; we refuse instead."""
    if len(node.shape) != 1:
        yield f"{node.name} (dense at every position) is not supported"
    size, factor = node.n_in * node.n_out, settings.reuse_factor
    if settings.strategy == "latency":
        return
    valid = [f for f in range(1, size + 1) if _buildable(node.n_in, node.n_out, f)]
    if settings.strategy == "resource_unrolled":
        valid = valid[1:-1]
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
