"""Input vectors that find faults: edges of the grid, ties, saturation, extremes of the first sums.

All of them are raw float64, so that the input quantizer is tested too. A vector set is a function of the
graph, the number and the seed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from hls_export.hardware import Conv, Dense, Embedding, HardwareGraph, Quantize, Relu, Reshape
from torchq.errors import ExportError
from torchq.formats import FixedPoint

Array = npt.NDArray[np.float64]

FAR = (2.0, 1e3, 1e6, 1e12, 1e30)
"""How far beyond the range the far vectors reach, in units of its largest magnitude."""


def adversarial(graph: HardwareGraph, n: int, seed: int = 0) -> Array:
    """Vectors that hit what random ones miss.

    First the few that are always worth having (zeros, all low, all high, far beyond the range, one-hot
    extremes, the inputs that drive each sum of the first matrix product to its ends), then in equal parts:
    ties and their neighbours one ulp away, edges of the grid, values on the grid, values beside it, sparse
    extremes, values beyond the range. Where the input picks rows of an embedding, whole numbers of rows.

    Args:
        graph: tells the input's shape and format.
        n: how many.
        seed: of everything random in it.

    Returns:
        ``[n, *input shape]`` float64.

    Raises:
        ExportError: no quantizer reads the input.

    Example:
        >>> from hls_export.hardware import Input
        >>> x = Input(name="x", shape=(3,))
        >>> q = Quantize(name="q", inputs=("x",), shape=(3,), format=FixedPoint(4, 2))
        >>> v = adversarial(HardwareGraph((x, q), "x", "q"), 50, seed=1)
        >>> v.shape, v[0].tolist(), v[1].tolist()
        ((50, 3), [0.0, 0.0, 0.0], [-2.0, -2.0, -2.0])
    """
    shape = graph.input_shape
    size = math.prod(shape)
    rows = _rows(graph)
    if rows is not None:
        numbers = np.random.default_rng([seed, 1]).integers(rows, size=(n, *shape)).astype(np.float64)
        ends = [np.zeros(shape), np.full(shape, rows - 1.0)]
        return np.ascontiguousarray(np.concatenate([ends, numbers])[:n])
    grid = _input_format(graph)
    lsb, low, high = (
        np.broadcast_to(np.asarray(v), shape).reshape(size) for v in (grid.lsb, grid.lo, grid.hi)
    )
    always = _Always(graph, lsb, low, high)
    chosen = np.arange(len(always))
    if len(always) > n // 2:
        keep = np.random.default_rng([seed, 1]).permutation(len(always) - 3)[: max(n // 2 - 3, 0)] + 3
        chosen = np.concatenate([chosen[: min(3, n)], np.sort(keep)])
    fixed = np.array([always[int(i)] for i in chosen]).reshape(-1, size)
    rest = _drawn(n - len(fixed), lsb, low, high, np.random.default_rng([seed, 2]))
    return np.ascontiguousarray(np.concatenate([fixed, rest])[:n].reshape(n, *shape)) + 0.0


def _rows(graph: HardwareGraph) -> int | None:
    """How many rows the input's numbers pick from; None if they are no numbers of rows."""
    for node in graph.nodes:
        if isinstance(node, Embedding):
            return len(node.weight)
    return None


def _input_format(graph: HardwareGraph) -> FixedPoint:
    formats = [n.format for n in graph.consumers(graph.input) if isinstance(n, Quantize) and n.format]
    if not formats:
        raise ExportError(f"no quantizer reads the input {graph.input!r}")
    return formats[0]


class _Always:
    """The vectors that are always worth having, each made when asked for: an image has 100,000 of them."""

    def __init__(self, graph: HardwareGraph, lsb: Array, low: Array, high: Array) -> None:
        self.lsb, self.low, self.high = lsb, low, high
        self.first = list(_ends(lsb, low, high))
        self.alone = (low, high, lsb / 2, -lsb / 2)
        self.weights = _first_weights(graph).T

    def __len__(self) -> int:
        return len(self.first) + len(self.alone) * len(self.lsb) + 2 * len(self.weights)

    def __getitem__(self, place: int) -> Array:
        if place < len(self.first):
            return self.first[place]
        element, extreme = divmod(place - len(self.first), len(self.alone))
        if element < len(self.lsb):
            vector = np.zeros_like(self.lsb)
            vector[element] = self.alone[extreme][element]
            return vector
        column, side = divmod(place - len(self.first) - len(self.alone) * len(self.lsb), 2)
        up, down = (self.high, self.low) if side == 0 else (self.low, self.high)
        return np.where(self.weights[column] > 0, up, down)


def _ends(lsb: Array, low: Array, high: Array) -> Iterator[Array]:
    yield np.zeros_like(lsb)
    yield low
    yield high
    top = np.maximum(np.abs(low), np.abs(high))
    for factor in FAR:
        yield top * factor
        yield -top * factor
    yield high + lsb / 2
    yield low - lsb / 2


def _first_weights(graph: HardwareGraph) -> Array:
    """The weight of the product that reads the input's quantizer: a column of the input's size an output."""
    size = math.prod(graph.input_shape)
    for node in graph.nodes:
        if isinstance(node, Dense | Conv):
            source = graph.node(node.inputs[0])
            while isinstance(source, Relu | Reshape):
                source = graph.node(source.inputs[0])
            if source.inputs == (graph.input,):
                shape = graph.node(node.inputs[0]).shape
                return _repeated(node, shape) if isinstance(node, Conv) else _at_all(node, size)
    return np.zeros((size, 0))


def _at_all(node: Dense, size: int) -> Array:
    """The weight at every position."""
    return np.tile(node.weight, (size // node.n_in, 1))


def _repeated(node: Conv, shape: tuple[int, ...]) -> Array:
    """The kernel again and again over the sample, for the group that an output reads; zeros elsewhere."""
    n_in, n_out = node.n_in // node.groups, node.n_out // node.groups
    columns = np.zeros((node.n_out, *shape))
    pairs = zip(shape[1:], node.kernel, node.dilations, strict=True)
    places: Any = (slice(None), *np.ix_(*(np.arange(length) // d % k for length, k, d in pairs)))
    for o in range(node.n_out):
        first = o // n_out * n_in
        columns[o, first : first + n_in] = node.weight[o][places]
    return columns.reshape(node.n_out, -1).T


def _drawn(n: int, lsb: Array, low: Array, high: Array, random: np.random.Generator) -> Array:
    """Random vectors, one sixth of each sort, in turn."""
    shape = (max(n, 0), len(lsb))
    span = high - low + lsb
    code = np.floor(random.uniform(size=shape) * span / lsb)
    on_grid = low + code * lsb
    ties = on_grid + lsb / 2
    side = random.integers(-1, 2, size=shape)
    ties = np.where(side == 0, ties, np.nextafter(ties, np.where(side > 0, np.inf, -np.inf)))
    edge = np.where(random.random(shape) < 0.5, low, high) + lsb * random.choice(
        [-1, -0.5, 0, 0.5, 1], size=shape
    )
    beside = random.normal(size=shape) * (span / 4) + (high + low) / 2
    sparse = np.where(random.random(shape) < 0.75, 0.0, np.where(random.random(shape) < 0.5, low, high))
    beyond = random.normal(size=shape) * span * np.exp2(random.integers(0, 12, size=(shape[0], 1)))
    sorts = np.stack([ties, edge, on_grid, beside, sparse, beyond])
    turn = np.arange(shape[0]) % len(sorts)
    return np.asarray(sorts[turn, np.arange(shape[0])])
