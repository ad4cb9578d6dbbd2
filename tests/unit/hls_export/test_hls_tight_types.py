"""The tight types of ``data_types`` are those that the lowering's own interval arithmetic finds."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from hls_export.hardware import Dense, HardwareGraph, Input, Node, Quantize, Relu
from hls_export.passes import annotate, bounds
from torchq.cost import data_types
from torchq.formats import FixedPoint
from torchq.graph import trace
from torchq.graph.intervals import Interval, intervals
from torchq.nn import QInput, QLinear, QReLU


def fixed(format: object) -> FixedPoint:
    assert isinstance(format, FixedPoint)
    return format


def as_hardware(model: nn.Sequential, size: int) -> HardwareGraph:
    """The same network, node by node: a relu before its quantizer."""
    nodes: list[Node] = [Input(name="x", shape=(size,))]
    for name, module in model.named_children():
        read = (nodes[-1].name,)
        shape = nodes[-1].shape
        if isinstance(module, QLinear):
            with torch.no_grad():
                weight, bias = module.quantized_weight().double().numpy(), module.quantized_bias()
            nodes.append(
                Dense(
                    name=name,
                    inputs=read,
                    shape=(weight.shape[0],),
                    weight=np.ascontiguousarray(weight.T),
                    weight_format=fixed(module.quantizer("weight").format),  # type: ignore[union-attr]
                    bias=None if bias is None else bias.detach().double().numpy(),
                    bias_format=None if bias is None else fixed(module.quantizer("bias").format),  # type: ignore[union-attr]
                )
            )
            continue
        assert isinstance(module, QInput | QReLU)
        if isinstance(module, QReLU):
            nodes.append(Relu(name=f"{name}_before", inputs=read, shape=shape))
        format = fixed(module.output_quantizer.format)
        nodes.append(Quantize(name=name, inputs=(nodes[-1].name,), shape=shape, format=format))
    return HardwareGraph(tuple(nodes), "x", nodes[-1].name)


parameters = st.sampled_from(
    ["fixed(6,1)", "fixed(3,3)", "quantized_bits(4,0,alpha=1)", "quantized_bits(5,2,alpha=0.25)"]
)
activations = st.sampled_from(
    [
        "quantized_relu(6)",
        "quantized_relu(4,2)",
        "fixed(5,2,rounding='TRN')",
        "fixed(4,1,overflow='WRAP')",
        "fixed(6,2,signed=False,rounding='RND_INF')",
    ]
)


@st.composite
def networks(draw: st.DrawFn) -> tuple[nn.Sequential, int]:
    torch.manual_seed(draw(st.integers(0, 999)))
    sizes = draw(st.lists(st.integers(1, 6), min_size=2, max_size=4))
    model = nn.Sequential(QInput(draw(st.sampled_from(["fixed(8,3)", "quantized_bits(16,6,alpha=1)"]))))
    for number, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        bias = draw(st.booleans())
        fc = QLinear(
            fan_in,
            fan_out,
            bias=bias,
            weight_quantizer=draw(parameters),
            bias_quantizer=draw(parameters) if bias else None,
        )
        scale = draw(st.sampled_from([0.0, 0.3, 2.0]))
        for parameter in fc.parameters():
            nn.init.uniform_(parameter, -scale, scale)
        model.add_module(f"fc{number}", fc)
        model.add_module(f"relu{number}", QReLU(draw(activations)))
    return model, sizes[0]


@given(networks())
@settings(max_examples=50)
def test_dense_layers_have_the_type_that_the_lowering_gives_them(case: tuple[nn.Sequential, int]) -> None:
    model, size = case
    hardware = as_hardware(model, size)
    lowered, known = annotate(hardware), bounds(hardware)
    graph = trace(model, (size,))
    found, table = intervals(graph), data_types(graph)
    for name, module in model.named_children():
        ours, theirs = found[name].value, known[name]
        assert isinstance(ours, Interval)
        assert ours.fraction == theirs.fraction
        assert ours.low.tolist() == theirs.low.tolist()
        assert ours.high.tolist() == theirs.high.tolist()
        row = table.row(name)
        assert row.tight_output == theirs.format()
        if isinstance(module, QLinear):
            assert row.tight_accumulator == lowered.node(name).format
