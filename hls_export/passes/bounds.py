"""Interval arithmetic on the actual weights: which values each edge can take, and the type that holds them.

Everything is done in integers of any size, so that the answer is a proof and not an estimate. A sum is also
followed through its partial sums: :attr:`Bounds.reach` bounds every one of them in any order of summation,
which is what decides whether a float can do the sum exactly.
"""

# ruff: noqa: ARG001  (the functions of a table share a signature)

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import singledispatch

import numpy as np
import numpy.typing as npt

from hls_export.hardware import Dense, HardwareGraph, Identity, Input, Node, Quantize, Relu, Reshape
from hls_export.integers import Codes, code_range, objects, quantize, to_codes
from torchq.errors import ExportError
from torchq.formats import FixedPoint, Overflow, Rounding

_INT64_BITS = 62
_MANTISSA = 53


@dataclass(frozen=True, eq=False)
class Bounds:
    """The range of every element of an edge, in codes: ``value = code * 2**-fraction``.

    Args:
        low: smallest codes, Python integers, of the node's shape.
        high: largest codes, likewise.
        fraction: bits after the point.
        reach: no value and no partial sum on the way to it is larger than this code, in magnitude.
    """

    low: Codes
    high: Codes
    fraction: int
    reach: int

    @property
    def bits(self) -> int:
        """The bits of mantissa with which a float does this edge exactly."""
        return self.reach.bit_length()

    def format(self) -> FixedPoint:
        """The smallest fixed-point type that holds every value.

        Example:
            >>> codes = objects([-3, 0], (2,)), objects([4, 0], (2,))
            >>> str(Bounds(*codes, fraction=2, reach=4).format())
            'ap_fixed<4,2,TRN,WRAP>'
        """
        low, high = min(self.low.ravel().tolist(), default=0), max(self.high.ravel().tolist(), default=0)
        signed = low < 0
        magnitude = max((-low - 1).bit_length() if signed else 0, high.bit_length())
        width = max(magnitude + int(signed), 1)
        return FixedPoint(width, width - self.fraction, signed, Rounding.TRN, Overflow.WRAP)


def bounds(graph: HardwareGraph) -> dict[str, Bounds]:
    """The bounds of every edge behind a quantizer, by node name; the raw input has none.

    Raises:
        ExportError: something other than a quantizer reads the raw input.
    """
    known: dict[str, Bounds] = {}
    for node in graph.nodes:
        if isinstance(node, Input):
            continue
        sources = [known.get(name) for name in node.inputs]
        if isinstance(node, Quantize):
            known[node.name] = _quantized(node, sources[0])
            continue
        if any(source is None for source in sources):
            raise ExportError(
                f"{node.name} reads the raw input", hint="put a quantizer directly behind the input"
            )
        known[node.name] = _bounds(node, [source for source in sources if source is not None])
    return known


def annotate(graph: HardwareGraph) -> HardwareGraph:
    """The graph with the exact type of every sum, and of what follows it, as the edge's format.

    Example:
        >>> x = Input(name="x", shape=(2,))
        >>> q = Quantize(name="q", inputs=("x",), shape=(2,), format=FixedPoint(4, 2))
        >>> grid, w = FixedPoint(3, 2), np.array([[1.0], [-0.5]])
        >>> fc = Dense(name="fc", inputs=("q",), shape=(1,), weight=w, weight_format=grid)
        >>> str(annotate(HardwareGraph((x, q, fc), "x", "fc")).node("fc").format)
        'ap_fixed<6,3,TRN,WRAP>'
    """
    known = bounds(graph)
    return graph.with_nodes(
        node if isinstance(node, Input | Quantize) else replace(node, format=known[node.name].format())
        for node in graph.nodes
    )


def finest(values: npt.NDArray[np.float64]) -> int:
    """The fewest bits after the point with which all values are whole codes; 0 for zeros alone.

    Example:
        >>> finest(np.array([0.75, 3.0])), finest(np.array([4.0, 0.0])), finest(np.zeros(2))
        (2, -2, 0)
    """
    values = np.asarray(values, dtype=np.float64)
    mantissa, exponent = np.frexp(values[values != 0])
    if not mantissa.size:
        return 0
    whole = np.abs(np.ldexp(mantissa, _MANTISSA)).astype(np.int64)
    zeros = np.frexp((whole & -whole).astype(np.float64))[1] - 1
    return int(np.max(_MANTISSA - exponent - zeros))


@singledispatch
def _bounds(node: Node, sources: list[Bounds]) -> Bounds:
    raise ExportError(f"{node.name}: no bounds are known for {node.kind}")


@_bounds.register
def _identity(node: Identity, sources: list[Bounds]) -> Bounds:
    return sources[0]


@_bounds.register
def _reshape(node: Reshape, sources: list[Bounds]) -> Bounds:
    (x,) = sources
    return replace(x, low=x.low.reshape(node.shape), high=x.high.reshape(node.shape))


@_bounds.register
def _relu(node: Relu, sources: list[Bounds]) -> Bounds:
    (x,) = sources
    return replace(x, low=np.maximum(x.low, 0), high=np.maximum(x.high, 0))


@_bounds.register
def _dense(node: Dense, sources: list[Bounds]) -> Bounds:
    (x,) = sources
    weight_fraction = finest(node.weight)
    weight = to_codes(node.weight, weight_fraction)
    fraction = x.fraction + weight_fraction
    low, high, reach = _matmul_range(x, weight)
    if node.bias is not None:
        bias_fraction = finest(node.bias)
        final = max(fraction, bias_fraction) if np.any(node.bias) else fraction
        bias = to_codes(node.bias, final)
        up = 1 << (final - fraction)
        low, high, reach = low * up + bias, high * up + bias, reach * up + abs(bias)
        fraction = final
    return Bounds(low, high, fraction, max(reach.ravel().tolist(), default=0))


def _matmul_range(x: Bounds, weight: Codes) -> tuple[Codes, Codes, Codes]:
    """Smallest and largest ``x @ weight``, and the largest sum of magnitudes; in int64 where that is safe."""
    most = np.maximum(abs(x.low), abs(x.high))
    top = max(map(int, most.ravel().tolist()), default=0)
    largest = max([abs(int(code)) for code in weight.ravel().tolist()], default=0)
    bits = top.bit_length() + largest.bit_length() + len(weight).bit_length()
    kind = np.int64 if bits <= _INT64_BITS else object
    low, high, most, w = (v.astype(kind) for v in (x.low, x.high, most, weight))
    up, down = np.maximum(w, 0), np.minimum(w, 0)
    results = (low @ up + high @ down, high @ up + low @ down, most @ (up - down))
    smallest, biggest, reach = (objects(r.ravel().tolist(), r.shape) for r in results)
    return smallest, biggest, reach


def _quantized(node: Quantize, source: Bounds | None) -> Bounds:
    grid = node.format
    if grid is None:
        raise ExportError(f"{node.name} is a quantizer without a format")
    low, high, fraction = full_range(grid, node.shape)
    if source is not None:
        first, f = quantize(source.low, source.fraction, grid)
        last, _ = quantize(source.high, source.fraction, grid)
        wraps = grid.overflow is Overflow.WRAP and _leaves(source, grid)
        if not wraps:
            low, high, fraction = first, last, f
    reach = max([abs(c) for c in [*low.ravel().tolist(), *high.ravel().tolist()]], default=0)
    return Bounds(low, high, fraction, reach)


def full_range(grid: FixedPoint, shape: tuple[int, ...]) -> tuple[Codes, Codes, int]:
    """The lowest and highest code of each element of a format, on its finest grid."""
    fractions = np.broadcast_to(np.asarray(grid.fraction), shape).ravel().tolist()
    widths = np.broadcast_to(np.asarray(grid.width), shape).ravel().tolist()
    signs = np.broadcast_to(np.asarray(grid.signed), shape).ravel().tolist()
    finest_fraction = max(fractions, default=0)
    ranges = [code_range(w, bool(s), grid.overflow) for w, s in zip(widths, signs, strict=True)]
    ups = [1 << (finest_fraction - f) for f in fractions]
    low = objects([r[0] * u for r, u in zip(ranges, ups, strict=True)], shape)
    high = objects([r[1] * u for r, u in zip(ranges, ups, strict=True)], shape)
    return low, high, finest_fraction


def _leaves(source: Bounds, grid: FixedPoint) -> bool:
    """Whether any value of the source lies outside a format's range, once rounded."""
    for codes in (source.low, source.high):
        wrapped, f = quantize(codes, source.fraction, grid)
        free = replace(
            grid, width=np.asarray(grid.width) * 0 + 4096, integer=4096 - np.asarray(grid.fraction)
        )
        unwrapped, g = quantize(codes, source.fraction, free)
        if not (wrapped * (1 << max(g - f, 0)) == unwrapped * (1 << max(f - g, 0))).all():
            return True
    return False
