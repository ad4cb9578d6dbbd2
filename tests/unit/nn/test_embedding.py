"""The table of quantized vectors: conformance reads floats, so all of it is tested here."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from torchq.convert import freeze, left_float, quantize
from torchq.cost import estimate
from torchq.errors import TorchqError
from torchq.graph import evaluate, trace, workloads
from torchq.nn import QEmbedding, QLinear
from torchq.nn.types import fixed
from torchq.scheme import Scheme

Q = "quantized_bits(4,1,alpha=1)"


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(6)


def test_it_is_torchs_with_a_quantized_table() -> None:
    plain = nn.Embedding(8, 3, padding_idx=0)
    layer = QEmbedding(8, 3, padding_idx=0)
    layer.load_state_dict(plain.state_dict())
    index = torch.tensor([[0, 3], [7, 3]])
    assert torch.equal(layer(index), plain(index))
    layer.set_quantizer("weight", Q)
    assert torch.equal(layer(index), layer.quantized_weight()[index])
    layer(index).sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad[0].tolist() == [0.0] * 3  # the padding
    assert layer.weight.grad[3].tolist() == [2.0] * 3
    assert layer(index[:0]).shape == (0, 2, 3)


@pytest.mark.parametrize("example", QEmbedding.examples())
def test_traced_priced_frozen(example: Any) -> None:
    net = nn.Sequential(*example.modules(), nn.Flatten(), nn.Linear(15, 2))
    linear = {"weight": Q, "bias": Q}
    model = quantize(net, Scheme({"0": example.slots, "2": linear}), torch.zeros(2, 5, dtype=torch.long))
    assert isinstance(model.get_submodule("0"), QEmbedding)
    assert isinstance(model.get_submodule("2"), QLinear)
    assert left_float(model) == {}
    graph = trace(model, (5,))
    index = torch.randint(0, 8, (20, 5))
    values = evaluate(graph, index)
    for name in ("0", "2"):
        f = fixed(graph.node(name).format)
        assert f is not None
        assert f.holds(values[name].numpy()).all()
    frozen = freeze(model)
    assert torch.equal(frozen(index), model.eval()(index))
    assert str(trace(frozen, (5,))) == str(graph)
    work = workloads(graph)[0]
    assert (work.kind, work.macs, work.parameter_bits) == ("embedding", 0, 8 * 3 * 4)
    assert estimate(graph).total["bits"] == 8 * 3 * 4 + (2 * 15 + 2) * 4
    assert estimate(graph).total["energy_pj"] > 0


def sentence(call: Any) -> str:
    with pytest.raises(TorchqError) as caught:
        call()
    return str(caught.value)


def test_what_cannot_be_is_refused() -> None:
    assert sentence(lambda: QEmbedding(4, 2, sparse=True)) == (
        "QEmbedding quantizes the whole table, so it has no max_norm and no sparse gradients; "
        "use max_norm=None and sparse=False"
    )
    assert sentence(lambda: QEmbedding(4, 2)(torch.ones(2))) == (
        "QEmbedding reads whole numbers, got float32; convert them first, with x.long()"
    )
    assert sentence(lambda: trace(nn.Sequential(QEmbedding(4, 2)), (3,))) == (
        "the weight of 0 has no quantizer; give it a weight_quantizer"
    )
