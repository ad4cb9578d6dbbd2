"""Random small networks of all kinds of layers, and checks that values stay inside their ranges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from torchq.graph import Graph, evaluate, trace
from torchq.graph.intervals import Found, Interval, intervals
from torchq.nn import LAYERS, QActivation, QAdd, QConcat, QInput, QMul, QReLU

INPUTS = ("fixed(4,2)", "fixed(6,3)", "quantized_relu(4,2)", "quantized_bits(5,1,alpha=1)")
WEIGHTS = (
    "quantized_bits(4,1,alpha=1)",
    "quantized_bits(3,0,alpha=2)",
    "ternary(alpha=1)",
    "binary(alpha=0.5)",
    "quantized_po2(4)",
    "fixed(5,2,signed=True,rounding='TRN')",
)
ACTIVATIONS = (
    "fixed(5,2)",
    "fixed(4,1,rounding='TRN_ZERO')",
    "fixed(5,2,overflow='WRAP')",
    "fixed(4,2,overflow='SAT_SYM',rounding='RND_INF')",
    "quantized_bits(4,1,alpha=1)",
    "quantized_bits(4,1,alpha=0.5)",
    "quantized_linear(5,2)",
    "quantized_relu(4,1)",
    "quantized_relu(5,2,negative_slope=0.25)",
    "quantized_relu(5,3,relu_upper_bound=6.0,is_quantized_clip=False)",
    "quantized_relu(4,1,use_sigmoid=True)",
    "quantized_tanh(4)",
    "quantized_sigmoid(4,sigmoid='smooth')",
    "quantized_tanh(5,use_real_tanh=True)",
    "quantized_hswish(6,2)",
    "quantized_po2(3)",
    "quantized_relu_po2(3,negative_slope=0.5)",
    "ternary(alpha=1)",
    "binary(alpha=1)",
    "binary(use_01=True)",
    "stochastic_ternary(alpha=0.5)",
    "binary_tanh()",
)


class Fork(nn.Module):
    """Two chains of one tensor that meet."""

    def __init__(self, left: nn.Module, right: nn.Module, merge: nn.Module) -> None:
        super().__init__()
        self.left, self.right, self.merge = left, right, merge

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.merge(self.left(x), self.right(x))
        return result


class Turned(nn.Module):
    """The axes of a sample in another order, and a slice of it."""

    def forward(self, x: Tensor) -> Tensor:
        return x.transpose(1, -1)[:, :2]


def layer(name: str, *args: Any, **options: Any) -> nn.Module:
    made: Any = LAYERS.get(name)
    module: nn.Module = made(*args, **options)
    return module


@st.composite
def activations(draw: st.DrawFn) -> nn.Module:
    quantizer = draw(st.sampled_from(ACTIVATIONS))
    return draw(st.sampled_from((QActivation, QReLU)))(quantizer)


@st.composite
def flat_networks(draw: st.DrawFn) -> tuple[nn.Module, tuple[int, ...]]:
    """Vectors: linear layers, batch norms, branches, tables, softmax, layer normalisation."""
    torch.manual_seed(draw(st.integers(0, 999)))
    size = draw(st.integers(1, 5))
    first = size
    steps: list[nn.Module] = [QInput(draw(st.sampled_from(INPUTS)))]
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(("linear", "fork", "table", "softmax", "norm", "scale", "relu")))
        weight = draw(st.sampled_from(WEIGHTS))
        bias = draw(st.sampled_from(("fixed(4,1)", "fixed(7,2)")))
        if kind == "linear":
            out = draw(st.integers(1, 4))
            linear = layer("QLinear", size, out, weight_quantizer=weight, bias_quantizer=bias)
            nn.init.uniform_(linear.weight, -3, 3)  # type: ignore[arg-type]
            steps += [linear, draw(activations())]
            size = out
        elif kind == "fork":
            merge: nn.Module = draw(st.sampled_from((QAdd, QMul, QConcat)))()
            steps += [Fork(draw(activations()), draw(activations()), merge), draw(activations())]
            size = 2 * size if isinstance(merge, QConcat) else size
        elif kind == "table":
            function = draw(st.sampled_from(("tanh", "exp", "silu", "gelu")))
            steps += [layer("QTable", function, "fixed(6,3)", input_quantizer="fixed(6,3)")]
        elif kind == "softmax":
            slots = {"output_quantizer": "quantized_relu(8)", "input_quantizer": "fixed(6,3)"}
            steps += [layer("QSoftmax", -1, **slots)]
        elif kind == "norm":
            norm = {"weight_quantizer": weight, "bias_quantizer": bias, "output_quantizer": "fixed(7,3)"}
            steps += [layer("QLayerNorm", size, **norm)]
        elif kind == "scale":
            scale = layer("QScaleShift", size, weight_quantizer=weight, bias_quantizer=bias)
            nn.init.uniform_(scale.weight, -3, 3)  # type: ignore[arg-type]
            nn.init.uniform_(scale.bias, -1, 1)  # type: ignore[arg-type]
            steps += [scale, draw(activations())]
        else:
            steps += [nn.ReLU(), nn.Dropout(0.5)]
    return nn.Sequential(*steps), (first,)


@st.composite
def image_networks(draw: st.DrawFn) -> tuple[nn.Module, tuple[int, ...]]:
    """Images: convolutions, pools, moves, and a linear layer at the end."""
    torch.manual_seed(draw(st.integers(0, 999)))
    channels, shape = 2, (2, 4, 4)
    steps: list[nn.Module] = [QInput(draw(st.sampled_from(INPUTS)))]
    weight, other = draw(st.sampled_from(WEIGHTS)), draw(st.sampled_from(WEIGHTS))
    kind = draw(st.sampled_from(("QConv2d", "depthwise", "QConvTranspose2d", "QConv2dBatchNorm")))
    quantizers = {"weight_quantizer": weight, "bias_quantizer": "fixed(5,1)"}
    if kind == "QConvTranspose2d":
        conv = layer(kind, channels, 2, 2, 2, **quantizers)
    elif kind == "depthwise":
        mode = draw(st.sampled_from(("zeros", "reflect", "circular", "replicate")))
        conv = layer("QConv2d", 2, 4, 3, padding=1, groups=2, padding_mode=mode, **quantizers)
    else:
        conv = layer(kind, channels, 3, 3, draw(st.integers(1, 2)), draw(st.integers(0, 1)), **quantizers)
    nn.init.uniform_(conv.weight, -3, 3)  # type: ignore[arg-type]
    steps += [conv, draw(activations())]
    pool = draw(st.sampled_from(("max", "QAvgPool2d", "QGlobalAvgPool2d", "turned")))
    if pool == "max":
        steps += [nn.MaxPool2d(2, 1, 1)]
    elif pool == "turned":
        steps += [Turned()]
    elif pool == "QAvgPool2d":
        average = draw(st.sampled_from((None, "fixed(6,1)")))
        steps += [layer(pool, 2, 1, 1, average_quantizer=average), draw(activations())]
    else:
        steps += [layer(pool, average_quantizer="fixed(6,1)"), draw(activations())]
    steps += [nn.Flatten()]
    with torch.no_grad():
        size = nn.Sequential(*steps).eval()(torch.zeros(2, *shape)).shape[1]
    steps += [layer("QLinear", size, 3, weight_quantizer=other, bias=False)]
    return nn.Sequential(*steps), shape


def traced(model: nn.Module, shape: tuple[int, ...]) -> tuple[Graph, Mapping[str, Found]]:
    graph = trace(model.eval(), shape)
    return graph, intervals(graph)


def samples(shape: tuple[int, ...], count: int = 64) -> Tensor:
    """Small ones, large ones, and the ends of every range."""
    size = torch.tensor([0.5, 4.0, 1e4], dtype=torch.float64).repeat(count)[:count]
    x = torch.randn(count, *shape, dtype=torch.float64) * size.reshape(-1, *[1] * len(shape))
    return torch.cat([x, x.sign() * 1e6, torch.zeros(1, *shape, dtype=torch.float64)])


def check_values_inside(graph: Graph, found: Mapping[str, Found], x: Tensor) -> int:
    """Compare every value of every node with its range, and count the nodes."""
    compared = 0
    for name, values in evaluate(graph, x).items():
        compared += inside(found[name].value, values, len(x), graph.node(name).batch_axis, name)
    return compared


def inside(value: Any, values: Any, count: int, axis: int, name: str) -> int:
    """Check one node's values, or tuple of values: 1 if they were compared."""
    if isinstance(value, tuple):
        pairs = zip(value, values, strict=True)
        return int(sum(inside(v, w, count, axis, name) for v, w in pairs) > 0)
    if not isinstance(value, Interval) or values is None:
        return 0
    if values.shape[axis] != count or values.ndim != len(value.shape) + 1:
        axis = 1  # the states of a recurrent layer
    along = values.movedim(axis, 0)
    assert tuple(along.shape[1:]) == value.shape, name
    assert value.contains(along.numpy()), name
    assert value.format().holds(along.numpy()).all(), name
    return 1
