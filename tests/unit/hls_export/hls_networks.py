"""Random perceptrons: as hardware graphs, and as ONNX files made by hand of the same numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hls_export.hardware import Dense, HardwareGraph, Input, Node, Quantize, Relu
from hls_export.passes import annotate
from hls_export.qonnx.emit import Emitter
from torchq.formats import FixedPoint, Overflow, Rounding

ONNX_MODES = ([Rounding.RND_CONV, Rounding.TRN], [Overflow.SAT, Overflow.SAT_SYM])
ALL_MODES = (list(Rounding), list(Overflow))


def random_format(random: np.random.Generator, modes=ONNX_MODES, *, signed: bool | None = None) -> FixedPoint:
    signed = bool(random.integers(2)) if signed is None else signed
    overflow = modes[1][random.integers(len(modes[1]))]
    if not signed and overflow is Overflow.SAT_SYM:
        overflow = Overflow.SAT
    width = int(random.integers(2 if signed else 1, 17))
    return FixedPoint(
        width, int(random.integers(-2, 7)), signed, modes[0][random.integers(len(modes[0]))], overflow
    )


def random_graph(seed: int, modes=ONNX_MODES, *, widest: int = 9, layers: int | None = None) -> HardwareGraph:
    """1 to 4 matrix products; relus, quantizers behind sums, an output quantizer: each or not."""
    random = np.random.default_rng(seed)
    n = int(random.integers(1, widest))
    nodes: list[Node] = [
        Input(name="x", shape=(n,)),
        Quantize(name="in", inputs=("x",), shape=(n,), format=random_format(random, modes)),
    ]
    depth = layers or int(random.integers(1, 5))
    for i in range(1, depth + 1):
        source, fan_in, n = nodes[-1].name, n, int(random.integers(1, widest))
        kept = random.random((fan_in, n)) > random.choice([0.0, 0.5, 0.9])
        weight_format = random_format(random, modes)
        bias_format = random_format(random, modes)
        weight = weight_format.quantize(random.normal(size=(fan_in, n)) * weight_format.hi * kept)
        bias = bias_format.quantize(random.normal(size=n) * bias_format.hi) if random.random() < 0.8 else None
        nodes.append(
            Dense(
                name=f"fc{i}",
                inputs=(source,),
                shape=(n,),
                weight=weight,
                bias=bias,
                weight_format=weight_format,
                bias_format=None if bias is None else bias_format,
            )
        )
        if random.random() < 0.7:
            nodes.append(Relu(name=f"relu{i}", inputs=(nodes[-1].name,), shape=(n,)))
        if i < depth or random.random() < 0.3:
            grid = random_format(random, modes)
            nodes.append(Quantize(name=f"q{i}", inputs=(nodes[-1].name,), shape=(n,), format=grid))
    return annotate(HardwareGraph(tuple(nodes), "x", nodes[-1].name, "random"))


def onnx_of(graph: HardwareGraph, path: Path) -> Path:
    """The graph as an ONNX file; tensors are called after nodes."""
    emit = Emitter(graph.name)
    for node in graph.nodes:
        source = node.inputs[0] if node.inputs else ""
        if isinstance(node, Input):
            emit.input(node.name, node.shape)
        elif isinstance(node, Quantize):
            emit.quant(source, node.format, node.name, shape=node.shape)
        elif isinstance(node, Relu):
            emit.node("Relu", [source], node.name, name=node.name, shape=node.shape)
        elif isinstance(node, Dense):
            weight = emit.parameter(f"{node.name}.weight", node.weight, node.weight_format)
            product = node.name if node.bias is None else f"{node.name}.matmul"
            emit.node("MatMul", [source, weight], product, name=node.name, shape=node.shape)
            if node.bias is not None:
                bias = emit.parameter(f"{node.name}.bias", node.bias, node.bias_format)
                emit.node("Add", [product, bias], node.name, name=f"{node.name}.bias", shape=node.shape)
    model = emit.model(graph.output, graph.output_shape, graph.metadata)
    path.write_bytes(model.SerializeToString(deterministic=True))
    return path
