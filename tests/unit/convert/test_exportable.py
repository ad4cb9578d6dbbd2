"""What cannot become hardware is told when it is put into a model that shall, not at export."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import hls_export
from torchq import Scheme, estimate, evaluate, quantize, trace
from torchq.convert import hardware_reasons
from torchq.errors import SchemeError

GOOD = "quantized_bits(6,0,alpha=1)"


def scheme(weight: str = GOOD, output: str = "quantized_relu(6,2)") -> Scheme:
    return Scheme.uniform(weight=weight, bias=GOOD, output=output, input="quantized_bits(8,3,alpha=1)")


def mlp() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 3))


def test_all_slots_without_a_grid_are_named_together() -> None:
    with pytest.raises(SchemeError) as caught:
        quantize(mlp(), scheme("quantized_bits(6,0,alpha=0.3)", "quantized_ulaw(6)"), exportable=True)
    lines = str(caught.value).splitlines()
    assert [line.partition(":")[0] for line in lines] == ["0.weight", "1.output", "2.weight"]
    assert "quantized_bits(6,0,alpha=0.3)" in lines[0]
    assert lines[-1].endswith("; or quantize without exportable, for torch alone")


def test_without_the_promise_the_same_model_trains() -> None:
    model = quantize(mlp(), scheme("quantized_bits(6,0,alpha=0.3)"))
    assert set(hardware_reasons(model)) == {"0.weight", "2.weight"}
    model(torch.randn(4, 8)).sum().backward()


def test_a_good_model_is_exportable() -> None:
    assert hardware_reasons(quantize(mlp(), scheme(), exportable=True)) == {}


def test_linear_at_every_position(tmp_path: object) -> None:
    model = quantize(mlp(), scheme(), example=(5, 8), exportable=True).double().eval()
    x = torch.randn(7, 5, 8, dtype=torch.float64)
    graph = trace(model, (5, 8))
    alone = trace(model, (8,))
    expected = torch.stack([evaluate(alone, x[:, i])[alone.output] for i in range(5)], dim=1)
    assert torch.equal(evaluate(graph, x)[graph.output], expected)
    assert estimate(graph).layer("0").macs == 5 * estimate(alone).layer("0").macs
    assert estimate(graph).total["bits"] == estimate(alone).total["bits"]
    exported = hls_export.export(model, f"{tmp_path}/m.onnx", example=(5, 8))
    assert np.array_equal(hls_export.emulate(exported.graph, x.numpy()), expected.numpy())
