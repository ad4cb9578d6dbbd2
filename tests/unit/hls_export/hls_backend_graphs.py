"""Small hardware graphs of every kind of node, with constants drawn from a seed."""

from __future__ import annotations

import math

import numpy as np

from hls_export import hardware as hw
from hls_export.hardware import HardwareGraph, Node, placed
from hls_export.passes import annotate
from torchq.formats import FixedPoint, Overflow, Rounding

A = FixedPoint(5, 2)
U = FixedPoint(4, 2, signed=False)
W = FixedPoint(4, 1)


class Build:
    """A graph, node by node; every method returns the name of what it made."""

    def __init__(self, *shape: int, grid: FixedPoint = A, seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[Node] = [hw.Input(name="x", shape=shape)]
        self.last = self.quant(grid=grid)

    def shape(self, name: str) -> tuple[int, ...]:
        return next(node.shape for node in self.nodes if node.name == name)

    def add(self, kind: type[Node], shape: tuple[int, ...], inputs=None, name: str = "", **fields) -> str:
        name = name or f"{kind.kind}_{len(self.nodes)}"
        sources = (self.last,) if inputs is None else tuple(inputs)
        self.nodes.append(kind(name=name, inputs=sources, shape=tuple(shape), **fields))
        self.last = name
        return name

    def quant(self, x=None, grid: FixedPoint = A, name: str = "") -> str:
        x = x or self.nodes[-1].name
        return self.add(hw.Quantize, self.shape(x), [x], name, format=grid)

    def values(self, *shape: int, grid: FixedPoint = W):
        return grid.quantize(self.random.normal(size=shape) * 0.7)

    def same(self, kind: type[Node], x=None, **fields) -> str:
        x = x or self.last
        return self.add(kind, self.shape(x), [x], **fields)

    def relu(self, x=None) -> str:
        return self.same(hw.Relu, x)

    def dense(self, n: int, x=None, bias: bool = True, name: str = "") -> str:
        x = x or self.last
        before = self.shape(x)
        more = {"bias": self.values(n), "bias_format": W} if bias else {}
        weight = self.values(before[-1], n)
        return self.add(hw.Dense, (*before[:-1], n), [x], name, weight=weight, weight_format=W, **more)

    def conv(self, n: int, kernel, x=None, strides=None, pads=None, dilations=None, groups=1, name="") -> str:
        x = x or self.last
        before = self.shape(x)
        window = self.window(kernel, strides, pads, dilations)
        strides, pads, dilations = window["strides"], window["pads"], window["dilations"]
        return self.add(
            hw.Conv,
            (n, *self.places(before, kernel, strides, pads, dilations)),
            [x],
            name,
            weight=self.values(n, before[0] // groups, *kernel),
            weight_format=W,
            bias=self.values(n),
            bias_format=W,
            strides=strides,
            pads=pads,
            dilations=dilations,
            groups=groups,
        )

    def pool(self, kind: type[Node], kernel, x=None, strides=None, pads=None) -> str:
        x = x or self.last
        before = self.shape(x)
        window = self.window(kernel, strides or kernel, pads, None)
        sizes = self.places(before, *(window[k] for k in ("kernel", "strides", "pads", "dilations")))
        return self.add(kind, (before[0], *sizes), [x], **window)

    @staticmethod
    def window(kernel, strides, pads, dilations):
        ones = (1,) * len(kernel)
        return {
            "kernel": tuple(kernel),
            "strides": tuple(strides or ones),
            "pads": tuple(pads or ((0, 0),) * len(kernel)),
            "dilations": tuple(dilations or ones),
        }

    @staticmethod
    def places(before, kernel, strides, pads, dilations):
        return tuple(map(placed, before[1:], kernel, strides, pads, dilations))

    def reshape(self, *shape: int, x=None) -> str:
        return self.add(hw.Reshape, shape, [x or self.last])

    def flat(self, x=None) -> str:
        x = x or self.last
        return self.reshape(math.prod(self.shape(x)), x=x)

    def merge(self, kind: type[Node], *inputs: str) -> str:
        shape = np.broadcast_shapes(*(self.shape(name) for name in inputs))
        return self.add(kind, shape, inputs)

    def concat(self, *inputs: str, axis: int = 0) -> str:
        shape = list(self.shape(inputs[0]))
        shape[axis] = sum(self.shape(name)[axis] for name in inputs)
        return self.add(hw.Concat, tuple(shape), inputs, axis=axis)

    def transpose(self, *axes: int, x=None) -> str:
        before = self.shape(x or self.last)
        return self.add(hw.Transpose, tuple(before[a] for a in axes), [x or self.last], axes=axes)

    def matmul(self, a: str, b: str) -> str:
        return self.add(hw.Matmul, (*self.shape(a)[:-1], self.shape(b)[-1]), (a, b))

    def reduce(self, kind: type[Node], *axes: int, keepdims: bool = True, x=None) -> str:
        x = x or self.last
        before = self.shape(x)
        shape = [1 if i in axes else n for i, n in enumerate(before)]
        if not keepdims:
            shape = [n for i, n in enumerate(before) if i not in axes]
        return self.add(kind, tuple(shape), [x], axes=axes, keepdims=keepdims)

    def scale(self, *shape: int, x=None) -> str:
        x = x or self.last
        scale, shift = self.values(*shape), self.values(*shape)
        fields = {"scale": scale, "scale_format": W, "shift": shift, "shift_format": W}
        return self.add(hw.ScaleShift, self.shape(x), [x], **fields)

    def leaky(self, *shape: int, x=None) -> str:
        x = x or self.last
        slope = W.quantize(np.abs(self.values(*shape)) + 0.125)
        return self.add(hw.LeakyRelu, self.shape(x), [x], slope=slope, slope_format=W)

    def table(self, function, grid: FixedPoint, address: FixedPoint = A, x=None) -> str:
        x = self.quant(x or self.last, address)
        codes = np.arange(1 << address.width)
        codes = np.where(codes >= len(codes) // 2, codes - len(codes), codes) if address.signed else codes
        values = grid.quantize(function(codes * address.lsb))
        return self.add(hw.Table, self.shape(x), [x], address=address, values=values)

    def select(self, indices, x=None) -> str:
        indices = np.asarray(indices)
        return self.add(hw.Select, indices.shape, [x or self.last], indices=indices)

    def embedding(self, rows: int, width: int, x=None) -> str:
        x = x or self.last
        weight = self.values(rows, width)
        return self.add(hw.Embedding, (*self.shape(x), width), [x], weight=weight, weight_format=W)

    def softmax(self, x=None) -> str:
        """Along the last axis, step by step."""
        x = x or self.last
        axis = len(self.shape(x)) - 1
        top = self.reduce(hw.ReduceMax, axis, x=x)
        below = self.merge(hw.Sub, x, top)
        exp = self.table(np.exp, FixedPoint(7, 1, signed=False), FixedPoint(6, 3), x=below)
        total = self.reduce(hw.ReduceSum, axis, x=exp)
        address = FixedPoint(6, 3, signed=False)
        inverse = self.table(
            lambda v: 1 / np.maximum(v, 0.125), FixedPoint(8, 2, signed=False), address, x=total
        )
        return self.quant(self.merge(hw.Mul, exp, inverse), FixedPoint(7, 1, signed=False))

    def done(self) -> HardwareGraph:
        return annotate(HardwareGraph(tuple(self.nodes), "x", self.last, "built"))


def mode(width: int, integer: int, rounding: str, overflow: str, *, signed: bool = True) -> FixedPoint:
    return FixedPoint(width, integer, signed, Rounding(rounding), Overflow(overflow))


# ---------------------------------------------------------------------- one small network a kind


def conv2d(seed: int = 0) -> HardwareGraph:
    """Two convolutions with pads and strides, relu, pooling, flattening, a matrix product."""
    b = Build(2, 5, 6, seed=seed)
    b.conv(3, (3, 2), pads=((1, 1), (0, 1)), name="conv1")
    b.relu()
    b.quant(grid=U)
    b.conv(2, (2, 3), strides=(1, 2), name="conv2")
    b.quant(grid=A)
    b.pool(hw.MaxPool, (2, 2), strides=(1, 1))
    b.flat()
    b.dense(3, name="fc")
    return b.done()


def rows_skipped(seed: int = 0) -> HardwareGraph:
    """A kernel of one row that skips rows: hls4ml alone mixes up its rows in io_stream."""
    b = Build(1, 5, 5, seed=seed)
    b.conv(2, (1, 2), strides=(2, 2), pads=((1, 0), (0, 1)))
    return b.done()


def conv1d(seed: int = 0) -> HardwareGraph:
    """Likewise along one axis; the output is an image."""
    b = Build(3, 8, seed=seed)
    b.conv(4, (3,), pads=((2, 1),), strides=(2,), name="conv1")
    b.quant(grid=A)
    b.pool(hw.MaxPool, (2,))
    b.conv(3, (1,), name="conv2")
    return b.done()


def kernels(seed: int = 0) -> HardwareGraph:
    """Depthwise, grouped, dilated."""
    b = Build(4, 6, 6, seed=seed)
    b.conv(4, (3, 3), groups=4, pads=((1, 1), (1, 1)), name="depthwise")
    b.quant(grid=A)
    b.conv(4, (2, 2), groups=2, name="grouped")
    b.quant(grid=A)
    b.conv(2, (2, 2), dilations=(2, 2), name="dilated")
    return b.done()


def kernels1d(seed: int = 0) -> HardwareGraph:
    b = Build(4, 9, seed=seed)
    b.conv(4, (3,), groups=4, pads=((1, 1),), name="depthwise")
    b.quant(grid=A)
    b.conv(4, (2,), groups=2, strides=(2,), name="grouped")
    b.quant(grid=A)
    b.conv(2, (2,), dilations=(2,), name="dilated")
    return b.done()


def pools(seed: int = 0) -> HardwareGraph:
    """Sums of windows, padded maxima of what is not negative, a global average."""
    b = Build(2, 6, 6, grid=U, seed=seed)
    b.pool(hw.MaxPool, (3, 3), strides=(2, 2), pads=((1, 1), (1, 0)))
    b.pool(hw.SumPool, (2, 2), strides=(1, 1), pads=((1, 0), (0, 0)))
    b.add(hw.ScaleShift, b.shape(b.last), scale=np.array([0.25]), scale_format=FixedPoint(2, 0))
    b.quant(grid=U)
    b.reduce(hw.ReduceSum, 1, 2, keepdims=False)
    b.dense(2)
    return b.done()


def signed_pool(seed: int = 0) -> HardwareGraph:
    b = Build(2, 5, seed=seed)
    b.pool(hw.MaxPool, (3,), strides=(2,), pads=((1, 1),))
    b.relu()
    return b.done()


def residual(seed: int = 0) -> HardwareGraph:
    """One tensor read by several, sums of three, differences, products, concatenations."""
    b = Build(4, seed=seed)
    q = b.last
    h = b.quant(b.dense(4, q, name="fc1"), grid=A)
    g = b.quant(b.dense(4, h, name="fc2"), grid=A)
    total = b.merge(hw.Add, q, h, g)
    less = b.merge(hw.Sub, h, total)
    square = b.merge(hw.Mul, less, g)
    b.concat(b.quant(square, grid=A), b.quant(total, grid=U), h)
    b.dense(2, name="fc3")
    return b.done()


def images(seed: int = 0) -> HardwareGraph:
    """Branches of images: sums, concatenations of channels, batch norm and slopes by channel."""
    b = Build(2, 4, 4, seed=seed)
    q = b.last
    a = b.quant(b.scale(3, 1, 1, x=b.conv(3, (3, 3), q, pads=((1, 1), (1, 1)))), grid=A)
    c = b.quant(b.leaky(3, 1, 1, x=b.conv(3, (1, 1), q)), grid=A)
    both = b.concat(b.merge(hw.Add, a, c), q)
    b.quant(both, grid=A)
    b.reduce(hw.ReduceMax, 1, 2)
    return b.done()


def moves(seed: int = 0) -> HardwareGraph:
    """Transposes, slices, reshapes of sequences; a matrix product at every position."""
    b = Build(3, 4, seed=seed)
    q = b.last
    t = b.quant(b.dense(2, b.transpose(1, 0), name="positions"), grid=A)  # [4, 2]
    s = b.select(np.arange(12).reshape(3, 4)[1:, ::-1], q)  # [2, 4]
    b.merge(hw.Add, b.transpose(1, 0, x=s), t)
    b.reshape(2, 2, 2)
    b.transpose(2, 0, 1)
    b.relu()
    return b.done()


def tables(seed: int = 0) -> HardwareGraph:
    b = Build(4, seed=seed)
    b.dense(3)
    b.table(np.tanh, FixedPoint(6, 1))
    b.dense(3)
    b.table(lambda v: v * (v > 0.5), A, FixedPoint(4, 1, signed=False))
    return b.done()


def fitted(seed: int = 0) -> HardwareGraph:
    """A table with more addresses than its input has numbers; other shapes of one place at the end."""
    b = Build(3, 4, grid=FixedPoint(4, 2), seed=seed)
    b.table(np.tanh, FixedPoint(6, 1), FixedPoint(6, 3))
    b.pool(hw.SumPool, (4,))
    b.reshape(3, x=b.quant(b.last, A))
    return b.done()


def softmax(seed: int = 0) -> HardwareGraph:
    b = Build(4, seed=seed)
    b.dense(3)
    b.quant(grid=A)
    b.softmax()
    return b.done()


def attention(seed: int = 0) -> HardwareGraph:
    """Two heads over three positions."""
    b = Build(3, 4, seed=seed)
    q = b.last
    heads = []
    for name in ("query", "key", "value"):
        made = b.quant(b.dense(4, q, name=name), grid=A)
        heads.append(b.transpose(1, 0, 2, x=b.reshape(3, 2, 2, x=made)))
    scores = b.quant(b.matmul(heads[0], b.transpose(0, 2, 1, x=heads[1])), grid=A)
    mixed = b.quant(b.matmul(b.softmax(scores), heads[2]), grid=A)
    b.reshape(3, 4, x=b.transpose(1, 0, 2, x=mixed))
    b.dense(2, name="out")
    return b.done()


def rows(seed: int = 0) -> HardwareGraph:
    b = Build(3, grid=FixedPoint(3, 3, signed=False), seed=seed)
    b.embedding(6, 2)
    b.flat()
    b.dense(2)
    return b.done()


def recurrent(seed: int = 0) -> HardwareGraph:
    """A cell of two steps with a gate: slices, sums, products, tables."""
    b = Build(2, 3, seed=seed)
    q = b.last
    state = None
    for step in range(2):
        x = b.select(np.arange(6).reshape(2, 3)[step], q)
        summed = b.dense(2, x, name=f"in{step}")
        if state is not None:
            summed = b.merge(hw.Add, summed, b.dense(2, state, bias=False, name=f"hidden{step}"))
        gate = b.table(lambda v: 1 / (1 + np.exp(-v)), U, x=summed)
        new = b.quant(b.merge(hw.Mul, gate, b.table(np.tanh, A, x=summed)), grid=A)
        state = new if state is None else b.quant(b.merge(hw.Add, new, state), grid=A)
    return b.done()


def elements(seed: int = 0) -> HardwareGraph:
    """Formats that differ by element, some of no bits; at the input as well."""
    widths, integers = np.array([4, 0, 6]), np.array([2, 0, 1])
    first = FixedPoint(widths, integers, rounding=Rounding.RND)
    b = Build(3, grid=first, seed=seed)
    b.dense(4)
    b.quant(
        grid=FixedPoint(np.array([3, 5, 0, 2]), np.array([1, 2, 0, 4]), np.array([True, False, True, False]))
    )
    b.dense(2)
    b.quant(grid=FixedPoint(np.array([4, 4]), 2, overflow=Overflow.WRAP))
    return b.done()


def coarse(seed: int = 0) -> HardwareGraph:
    """Rounding far above what there is, behind a product, a sum, a relu and a pool."""
    b = Build(2, 4, grid=FixedPoint(4, -6), seed=seed)
    q = b.last
    c = b.quant(b.conv(2, (2,), q), grid=mode(3, 6, "TRN", "WRAP"))
    p = b.quant(b.pool(hw.MaxPool, (2,), q, strides=(1,)), grid=mode(3, 5, "TRN", "SAT"))
    r = b.quant(b.merge(hw.Mul, b.relu(q), q), grid=mode(3, 4, "RND_INF", "SAT"))
    s = b.merge(hw.Add, c, p)
    b.concat(s, b.select(np.arange(8).reshape(2, 4)[:, :3], r))
    return b.done()


NETWORKS = {
    make.__name__: make
    for make in (
        conv2d, rows_skipped, conv1d, kernels, kernels1d, pools, signed_pool, residual, images, moves, tables,
        fitted, softmax, attention, rows, recurrent, elements, coarse,
    )
}  # fmt: skip
"""One network for each of the kinds of node, in several settings."""


# ---------------------------------------------------------------------- random ones


def random_graph(seed: int, *, parallel: bool) -> HardwareGraph:
    """A random network of branches over images or vectors: any rounding, any overflow, widths 1 to 9.

    Args:
        seed: of everything.
        parallel: whether products of two tensors and formats by element may be in it.
    """
    random = np.random.default_rng([seed, 1])

    def grid() -> FixedPoint:
        signed = bool(random.integers(2))
        overflow = Overflow.SAT if not signed else random.choice(list(Overflow))
        width = int(random.integers(2 if signed else 1, 8))
        return FixedPoint(width, int(random.integers(-1, 4)), signed, random.choice(list(Rounding)), overflow)

    image = bool(random.integers(2))
    b = Build(*((2, 4, 5) if image else (5,)), grid=grid(), seed=seed)
    edges = [b.last]
    for _ in range(int(random.integers(2, 6))):
        b.last = x = edges[int(random.integers(len(edges)))]
        shape = b.shape(x)
        step = int(random.integers(9))
        if len(shape) == 3 and step < 3 and min(shape[1:]) >= 2:
            kernel = tuple(int(k) for k in random.integers(1, 3, size=2))
            pads = tuple((int(p), int(q)) for p, q in random.integers(0, 2, size=(2, 2)))
            groups = int(random.choice([1, shape[0]]))
            strides = tuple(int(s) for s in random.integers(1, 3, size=2))
            n_out = shape[0] * int(random.integers(1, 3))
            b.conv(
                n_out, kernel, x, strides, pads, tuple(int(d) for d in random.integers(1, 3, size=2)), groups
            )
            if min(b.shape(b.last)) < 1:
                b.nodes.pop()
                b.last = x
                continue
        elif len(shape) == 3 and step < 5 and min(shape[1:]) >= 2:
            kind = [hw.MaxPool, hw.SumPool][step - 3]
            b.pool(kind, (2, 2), x, strides=(1, int(random.integers(1, 3))))
        elif step < 5:
            if len(shape) == 3:
                b.flat(x)
            b.dense(int(random.integers(1, 6)))
        elif step == 5:
            scale = (shape[0], *(1,) * (len(shape) - 1))
            b.scale(*scale, x=x) if random.integers(2) else b.leaky(*scale, x=x)
        elif step == 6:
            others = [e for e in edges if b.shape(e) == shape]
            other = others[int(random.integers(len(others)))]
            b.merge([hw.Add, hw.Sub, hw.Mul][int(random.integers(3))], x, other)
        elif step == 7:
            same = [e for e in edges if b.shape(e)[1:] == shape[1:]]
            b.concat(x, same[int(random.integers(len(same)))])
        else:
            b.table(lambda v: np.tanh(v) + 0.3 * v, grid(), grid(), x)
        if random.integers(3) == 0:
            b.relu()
        edges.append(b.quant(b.last, grid()))
    if len(b.nodes) < 4:
        b.dense(2)
    if parallel and random.integers(4) == 0:
        size = b.shape(b.last)
        widths = random.integers(1, 6, size=size)
        b.quant(b.last, FixedPoint(widths, random.integers(0, 3, size=size)))
        b.relu()
    return b.done()
