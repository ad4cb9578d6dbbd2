"""``evaluate`` in float64 against exact arithmetic with Python's fractions, over random networks."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from torchq.formats import FixedPoint
from torchq.graph import Graph, evaluate, trace
from torchq.nn import QActivation, QInput, QLinear, QReLU

Row = list[Fraction]


def nearest(value: Fraction, f: FixedPoint) -> Fraction:
    """Python rounds halves to even, as the formats do."""
    code = round(value / Fraction(f.lsb))
    return min(max(code, int(f.code_min)), int(f.code_max)) * Fraction(f.lsb)


def grid(node_format: object) -> FixedPoint:
    assert isinstance(node_format, FixedPoint)
    return node_format


def exactly(graph: Graph, row: Row) -> dict[str, Row]:
    """Every node's values, from float parameters and formats alone."""
    values = {graph.input: row}
    for node in graph.nodes[1:]:
        given_row = values[node.inputs[0]]
        module = node.module
        if isinstance(module, QLinear):
            w, b = (grid(module.quantizer(slot).format) for slot in ("weight", "bias"))  # type: ignore[union-attr]
            weight = [[nearest(Fraction(v), w) for v in line] for line in module.weight.tolist()]
            bias = [nearest(Fraction(v), b) for v in module.bias.tolist()]
            result = [
                sum((p * q for p, q in zip(line, given_row, strict=True)), start)
                for line, start in zip(weight, bias, strict=True)
            ]
            if module.output_quantizer is not None:
                result = [nearest(v, grid(node.format)) for v in result]
        elif node.kind in ("quantize", "relu") and module is not None and hasattr(module, "output_quantizer"):
            floor = node.kind == "relu"
            result = [nearest(max(v, Fraction(0)) if floor else v, grid(node.format)) for v in given_row]
        elif node.kind == "relu":
            result = [max(v, Fraction(0)) for v in given_row]
        else:
            result = given_row
        values[node.name] = result
    return values


def text(family: str) -> st.SearchStrategy[str]:
    bits, whole = st.integers(2, 9), st.integers(-1, 3)
    if family == "relu":
        return st.builds("quantized_relu({},{})".format, bits, st.integers(0, 3))
    return st.builds("quantized_bits({},{},alpha=1)".format, bits, whole)


@st.composite
def networks(draw: st.DrawFn) -> nn.Sequential:
    sizes = draw(st.lists(st.integers(1, 6), min_size=2, max_size=4))
    layers: list[nn.Module] = [QInput(draw(text("bits")))]
    for fan_in, fan_out in pairwise(sizes):
        output = draw(st.none() | text("bits"))
        layers.append(
            QLinear(
                fan_in,
                fan_out,
                weight_quantizer=draw(text("bits")),
                bias_quantizer=draw(text("bits")),
                output_quantizer=output,
            )
        )
        activation = draw(st.sampled_from(["QReLU", "relu", "QActivation", "dropout"]))
        if activation == "QReLU":
            layers.append(QReLU(draw(st.one_of(text("relu"), text("bits")))))
        elif activation == "QActivation" or output is None:
            layers.append(QActivation(draw(text("bits"))))
        else:
            layers.append(nn.ReLU(inplace=True) if activation == "relu" else nn.Dropout(0.5))
    model = nn.Sequential(*layers)
    seed = draw(st.integers(0, 2**16))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 2)
    return model


@settings(max_examples=40, deadline=None)
@given(networks(), st.integers(0, 2**16))
def test_float64_is_exact(model: nn.Sequential, seed: int) -> None:
    graph = trace(model)
    x = np.random.default_rng(seed).normal(scale=3, size=(5, *graph.node(graph.input).shape))
    ours = evaluate(graph, torch.from_numpy(x))
    for row, sample in enumerate(x):
        for name, values in exactly(graph, [Fraction(v) for v in sample]).items():
            assert [Fraction(v) for v in ours[name][row].tolist()] == values, name
    for name, tensor in ours.items():
        f = graph.node(name).format
        assert f is None or grid(f).holds(tensor.numpy()).all()


@settings(max_examples=15, deadline=None)
@given(networks())
def test_float32_agrees_where_no_sum_needs_more_than_24_bits(model: nn.Sequential) -> None:
    graph = trace(model)
    widest = max(grid(node.format).width for node in graph.nodes[1:])
    assume(widest <= 24)
    x = torch.randn(20, *graph.node(graph.input).shape)
    narrow, wide = evaluate(graph, x), evaluate(graph, x.double())
    assert all(torch.equal(narrow[name].double(), wide[name]) for name in wide)
    assert torch.equal(model.eval()(x), narrow[graph.output])
