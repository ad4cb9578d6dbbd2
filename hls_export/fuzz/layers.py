"""Drawing layers: products, norms, pools, tables, merges."""

from __future__ import annotations

from typing import Any

from hls_export.fuzz.growing import Growing

_TABLES = (
    "QTanh",
    "QSigmoid",
    "QSiLU",
    "QGELU",
    "QELU",
    "QSoftplus",
    "QHardsigmoid",
    "QHardswish",
    "QHardtanh",
)
_FUNCTIONS = ("exp", "exp_negative", "tanh", "rsqrt", "reciprocal", "gelu")


def linear(g: Growing) -> None:
    """A dense layer, its batch norm folded in now and then."""
    bias = g.chance(0.7)
    args = [g.shape[-1], g.upto(6), bias]
    if len(g.shape) == 1 and g.chance(0.15):
        g.grounded("QLinearBatchNorm1d", g.constants(), args=args, options=_folding(g))
    else:
        g.grounded("QLinear", g.constants(bias=bias), args=args)


def _folding(g: Growing) -> dict[str, Any]:
    return {"folding": g.any(["ema_stats", "batch_stats"])}


def _group(g: Growing) -> int:
    channels = g.shape[0]
    return int(g.any([n for n in range(1, channels + 1) if channels % n == 0]))


def conv(g: Growing) -> None:
    """A convolution: strides, paddings, dilations, groups, depthwise, padding modes, a folded batch norm."""
    channels, axes, groups = g.shape[0], len(g.shape) - 1, _group(g)
    bias = g.chance(0.7)
    padding: Any = g.any([0, 1, [g.upto(2, 0) for _ in range(axes)], "same"])
    stride: Any = 1 if padding == "same" else g.any([1, 1, 2, [g.upto(2) for _ in range(axes)]])
    dilation = g.any([1, 1, 2])
    mode = g.any(["zeros"] * 4 + ["reflect", "replicate", "circular"])
    kernel = [g.upto(3) for _ in range(axes)]
    out = groups * g.upto(3)
    args = [channels, out, kernel, stride, padding, dilation, groups, bias, mode]
    if g.chance(0.2):
        g.grounded(f"QConv{axes}dBatchNorm", g.constants(), args=args, options=_folding(g))
    else:
        g.grounded(f"QConv{axes}d", g.constants(bias=bias), args=args)


def conv_transpose(g: Growing) -> None:
    """A transposed convolution."""
    axes, groups = len(g.shape) - 1, _group(g)
    bias, stride = g.chance(0.7), g.upto(2)
    more, padding = g.upto(stride - 1, 0) if stride > 1 else 0, g.upto(1, 0)
    out = groups * g.upto(2)
    args = [g.shape[0], out, g.upto(3), stride, padding, more, groups, bias, g.upto(2)]
    g.grounded(f"QConvTranspose{axes}d", g.constants(bias=bias), args=args)


def batch_norm(g: Growing) -> None:
    """A batch norm that is not folded; with quantizers of gamma and variance now and then."""
    axes = max(len(g.shape) - 1, 1)
    slots = {"inverse": g.plain(), "mean": g.plain(), "shift": g.plain()}
    slots |= g.some(
        scale="quantized_relu_po2(6,2048)", variance="quantized_relu_po2(6,quadratic_approximation=True)"
    )
    g.grounded(f"QBatchNorm{axes}d", slots, args=[g.shape[0]])


def scale_shift(g: Growing) -> None:
    """A factor and an addend, for all or for each channel."""
    g.grounded("QScaleShift", g.constants(), args=[g.any([1, g.shape[0]])])


def max_pool(g: Growing) -> None:
    """A maximum over windows."""
    axes, kernel = len(g.shape) - 1, g.upto(3)
    args = [kernel, g.upto(2), g.upto(kernel // 2, 0), g.upto(2), g.chance(0.3)]
    g.add(op=f"max_pool{axes}d", args=args)


def average_pool(g: Growing) -> None:
    """An average over windows, to a size, or over everything."""
    axes = len(g.shape) - 1
    average = {"average": f"quantized_bits({g.upto(9, 4)},0,alpha=1)"}
    kind = g.any(["window", "adaptive", "global"])
    if kind == "window":
        kernel = g.upto(3)
        g.grounded(f"QAvgPool{axes}d", average, args=[kernel, g.upto(2), g.upto(kernel // 2, 0)])
    elif kind == "adaptive":
        sizes = [g.any([k for k in range(1, n + 1) if n % k == 0]) for n in g.shape[1:]]
        g.grounded(f"QAdaptiveAvgPool{axes}d", average, args=[sizes if axes > 1 else sizes[0]])
    else:
        g.grounded(f"QGlobalAvgPool{axes}d", average)


def table(g: Growing) -> None:
    """A function of one value: of a layer of its own, or by its name."""
    slots = {"input": g.address(), "output": g.activation()}
    if g.chance(0.7):
        g.add(op=g.any(_TABLES), slots=slots)
        return
    function = g.any(_FUNCTIONS)
    options = {"eps": 0.125} if function == "rsqrt" else {}
    if function in ("rsqrt", "reciprocal"):
        slots["input"] = g.address(signed=False)
    g.add(op="QTable", args=[function], options=options, slots=slots)


def merge(g: Growing) -> None:
    """A sum, a product or a concatenation with one or two earlier tensors; lengths of one are spread."""
    op = g.any(["QAdd", "QMul", "QConcat"])
    at = g.upto(len(g.shape)) if op == "QConcat" else 0
    places = [i for i, shape in enumerate(g.shapes) if g.on_grid[i] and _fits(shape, g.shape, at)]
    others = [g.any(places) for _ in range(2 if op != "QMul" and g.chance(0.2) else 1)]
    g.grounded(op, {}, args=[at] if at else [], **{"with": others})


def _fits(shape: tuple[int, ...], other: tuple[int, ...], at: int) -> bool:
    """Whether two samples can be joined along an axis (from 1), or added where there is none (0)."""
    if len(shape) != len(other):
        return False
    pairs = enumerate(zip(shape, other, strict=True), 1)
    return all(a == b or (i == at if at else 1 in (a, b)) for i, (a, b) in pairs)


def quantize(g: Growing) -> None:
    """A quantizer alone."""
    g.quantized()


# ---------------------------------------------------------------------- moves


def flatten(g: Growing) -> None:
    """One axis of all."""
    if len(g.shape) > 1:
        g.add(op="flatten")


def permute(g: Growing) -> None:
    """Axes in another order."""
    g.add(op="permute", args=[int(axis) + 1 for axis in g.random.permutation(len(g.shape))])


def split(g: Growing) -> None:
    """Two axes of one."""
    if len(g.shape) == 1:
        size = g.shape[0]
        first = g.any([n for n in range(1, size + 1) if size % n == 0])
        g.add(op="split", args=[first, size // first])


def part(g: Growing) -> None:
    """A part of the first axis."""
    start = g.upto(g.shape[0], 1) - 1
    g.add(op="part", args=[start, g.upto(g.shape[0], start + 1)])


def one(g: Growing) -> None:
    """One place of the first axis."""
    if len(g.shape) > 1:
        g.add(op="one", args=[g.upto(g.shape[0]) - 1])


def same(g: Growing) -> None:
    """What changes nothing."""
    g.add(op="contiguous")
