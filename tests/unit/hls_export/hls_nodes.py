"""Random hardware graphs of every kind of node, with branches that meet again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hls_networks import ALL_MODES

from hls_export.hardware import (
    Add,
    Concat,
    Conv,
    Dense,
    HardwareGraph,
    Input,
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
    placed,
)
from hls_export.passes import annotate
from torchq.formats import FixedPoint


@dataclass
class Grower:
    """A graph that grows at random; nodes that stand on a grid of a quantizer are remembered."""

    random: np.random.Generator
    modes: Any = ALL_MODES
    nodes: list[Node] = field(default_factory=list)
    grids: list[Node] = field(default_factory=list)

    def add(self, cls: type[Node], *sources: Node, shape: tuple[int, ...], **fields: Any) -> Node:
        name = f"{cls.kind}{len(self.nodes)}"
        node = cls(name=name, inputs=tuple(s.name for s in sources), shape=shape, **fields)
        self.nodes.append(node)
        return node

    def quantize(self, source: Node, grid: FixedPoint | None = None) -> Node:
        grid = grid or self.format()
        node = self.add(Quantize, source, shape=source.shape, format=grid)
        self.grids.append(node)
        return node

    def format(self) -> FixedPoint:
        signed, width = bool(self.random.integers(2)), int(self.random.integers(2, 9))
        integer = int(self.random.integers(0, 4))
        return FixedPoint(width, integer, signed, self.any(*self.modes[0]), self.any(*self.modes[1]))

    def values(self, shape: tuple[int, ...]) -> tuple[np.ndarray, FixedPoint]:
        grid = self.format()
        kept = self.random.random(shape) > self.random.choice([0.0, 0.5])
        return grid.quantize(self.random.normal(size=shape) * grid.hi * kept), grid

    def any(self, *options: Any) -> Any:
        return options[self.random.integers(len(options))]

    def upto(self, most: int) -> int:
        return int(self.random.integers(1, most + 1))

    # ------------------------------------------------------------------ one node of each kind

    def relu(self, x: Node) -> Node:
        return self.add(Relu, x, shape=x.shape)

    def leaky_relu(self, x: Node) -> Node:
        shape = (x.shape[0], *[1] * (len(x.shape) - 1)) if self.random.random() < 0.5 else (1,)
        slope, grid = self.values(shape)
        return self.add(LeakyRelu, x, shape=x.shape, slope=slope, slope_format=grid)

    def scale_shift(self, x: Node) -> Node:
        shape = (x.shape[0], *[1] * (len(x.shape) - 1)) if self.random.random() < 0.5 else (1,)
        scale, grid = self.values(shape)
        shift, other = self.values(shape) if self.random.random() < 0.6 else (None, None)
        return self.add(
            ScaleShift, x, shape=x.shape, scale=scale, scale_format=grid, shift=shift, shift_format=other
        )

    def table(self, x: Node) -> Node:
        width = self.upto(8)
        address = FixedPoint(width, int(self.random.integers(-2, 5)), bool(self.random.integers(2)))
        values = self.format().quantize(self.random.normal(size=1 << width) * 4)
        q = self.quantize(x, address)
        return self.add(Table, q, shape=x.shape, address=address, values=values)

    def dense(self, x: Node) -> Node:
        n = self.upto(5)
        weight, grid = self.values((x.shape[-1], n))
        bias, other = self.values((n,)) if self.random.random() < 0.6 else (None, None)
        shape = (*x.shape[:-1], n)
        return self.add(
            Dense, x, shape=shape, weight=weight, weight_format=grid, bias=bias, bias_format=other
        )

    def _window(self, x: Node) -> tuple[dict[str, Any], tuple[int, ...]] | None:
        axes = len(x.shape) - 1
        kernel = tuple(self.upto(3) for _ in range(axes))
        fields = {
            "strides": tuple(self.upto(2) for _ in range(axes)),
            "pads": tuple(
                (int(self.random.integers(k)), int(self.random.integers(k))) if k > 1 else (0, 0)
                for k in kernel
            ),
            "dilations": tuple(self.upto(2) for _ in range(axes)),
        }
        rows = zip(x.shape[1:], kernel, fields["strides"], fields["pads"], fields["dilations"], strict=True)
        places = tuple(placed(*row) for row in rows)
        return None if 0 in places or axes not in (1, 2) else ({**fields, "kernel": kernel}, places)

    def conv(self, x: Node) -> Node | None:
        found = self._window(x)
        if found is None:
            return None
        fields, places = found
        groups = self.any(*[g for g in range(1, x.shape[0] + 1) if x.shape[0] % g == 0])
        n_out = groups * self.upto(2)
        kernel = fields.pop("kernel")
        weight, grid = self.values((n_out, x.shape[0] // groups, *kernel))
        bias, other = self.values((n_out,)) if self.random.random() < 0.6 else (None, None)
        return self.add(
            Conv,
            x,
            shape=(n_out, *places),
            weight=weight,
            weight_format=grid,
            bias=bias,
            bias_format=other,
            groups=groups,
            **fields,
        )

    def max_pool(self, x: Node) -> Node | None:
        found = self._window(x)
        if found is None:
            return None
        fields, places = found
        fields["pads"] = tuple((0, 0) for _ in places)
        rows = zip(x.shape[1:], fields["kernel"], fields["strides"], fields["pads"], strict=True)
        places = tuple(placed(*row, d) for row, d in zip(rows, fields["dilations"], strict=True))
        return self.add(MaxPool, x, shape=(x.shape[0], *places), **fields) if 0 not in places else None

    def sum_pool(self, x: Node) -> Node | None:
        found = self._window(x)
        if found is None:
            return None
        fields, places = found
        return self.add(SumPool, x, shape=(x.shape[0], *places), **fields)

    def reduce(self, x: Node) -> Node:
        cls = self.any(ReduceSum, ReduceMax)
        axis = int(self.random.integers(len(x.shape)))
        shape = tuple(1 if i == axis else n for i, n in enumerate(x.shape))
        return self.add(cls, x, shape=shape, axes=(axis,), keepdims=True)

    def transpose(self, x: Node) -> Node:
        axes = tuple(int(i) for i in self.random.permutation(len(x.shape)))
        return self.add(Transpose, x, shape=tuple(x.shape[i] for i in axes), axes=axes)

    def reshape(self, x: Node) -> Node:
        size = int(np.prod(x.shape))
        first = self.any(*[n for n in range(1, size + 1) if size % n == 0])
        return self.add(Reshape, x, shape=self.any((size,), (first, size // first)))

    def select(self, x: Node) -> Node:
        size = int(np.prod(x.shape))
        shape = (self.upto(3), self.upto(4))
        return self.add(Select, x, shape=shape, indices=self.random.integers(-1, size, size=shape))

    def merge(self, x: Node) -> Node | None:
        others = [node for node in self.grids if node.shape == x.shape]
        if not others:
            return None
        other = self.any(*others)
        cls = self.any(Add, Sub, Mul, Concat)
        if cls is Concat:
            axis = int(self.random.integers(len(x.shape)))
            shape = tuple(2 * n if i == axis else n for i, n in enumerate(x.shape))
            return self.add(Concat, x, other, shape=shape, axis=axis)
        return self.add(cls, x, other, shape=x.shape)

    def square(self, x: Node) -> Node:
        return self.add(Mul, x, x, shape=x.shape)

    def matmul(self, x: Node) -> Node | None:
        if len(x.shape) < 2:
            return None
        axes = (*range(len(x.shape) - 2), len(x.shape) - 1, len(x.shape) - 2)
        turned = self.add(Transpose, x, shape=tuple(x.shape[i] for i in axes), axes=axes)
        return self.add(Matmul, x, turned, shape=(*x.shape[:-1], x.shape[-2]))


KINDS = (
    "relu",
    "leaky_relu",
    "scale_shift",
    "table",
    "dense",
    "conv",
    "max_pool",
    "sum_pool",
    "reduce",
    "transpose",
    "reshape",
    "select",
    "merge",
    "square",
    "matmul",
)


def random_nodes(seed: int, *, first: str | None = None, depth: int = 7) -> HardwareGraph:
    """A random graph; ``first`` is the kind of the first node behind the input's quantizer."""
    grow = Grower(np.random.default_rng(seed))
    axes = grow.upto(3) if first not in ("conv", "max_pool", "sum_pool", "matmul") else grow.any(2, 3)
    shape = tuple(grow.upto(4) for _ in range(axes))
    x = grow.quantize(grow.add(Input, shape=shape))
    for i in range(depth):
        kind = first if first and i == 0 else grow.any(*KINDS)
        made = getattr(grow, kind)(x)
        if made is None:
            continue
        x = made if grow.random.random() < 0.3 and kind not in ("square", "matmul") else grow.quantize(made)
        if np.prod(x.shape) > 256:
            x = grow.quantize(grow.add(ReduceSum, x, shape=(1, *x.shape[1:]), axes=(0,), keepdims=True))
    nodes = tuple(grow.nodes)
    return annotate(HardwareGraph(nodes, nodes[0].name, x.name, "random"))
