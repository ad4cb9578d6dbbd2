"""Convolutional networks on scikit-learn's digits: quantized, trained, saved, loaded, frozen, exact."""

from __future__ import annotations

import io

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torchq.convert import freeze, left_float, quantize
from torchq.cost import estimate
from torchq.graph import evaluate, trace
from torchq.scheme import Scheme

Q = "quantized_bits(6,1,alpha=1)"
SIGNED = {"output": "quantized_bits(8,3,alpha=1)"}


class Residual(nn.Module):
    """Convolutions with batch norms, a residual, both kinds of pools."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.conv2, self.norm2 = nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.relu1, self.relu2 = nn.ReLU(), nn.ReLU()
        self.largest, self.average = nn.MaxPool2d(2), nn.AvgPool2d(2)
        self.flatten, self.output = nn.Flatten(), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        h = self.relu1(self.norm1(self.conv1(x)))
        h = self.relu2(self.norm2(self.conv2(h)) + h)
        result: Tensor = self.output(self.flatten(self.average(self.largest(h))))
        return result


class Separable(nn.Module):
    """A depthwise convolution with a batch norm, and a pointwise one."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.relu1 = nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.ReLU()
        self.depthwise, self.norm = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False), nn.BatchNorm2d(8)
        self.relu2, self.pointwise, self.relu3 = nn.ReLU(), nn.Conv2d(8, 16, 1), nn.ReLU()
        self.flatten, self.output = nn.Flatten(), nn.Linear(256, 10)

    def forward(self, x: Tensor) -> Tensor:
        h = self.relu2(self.norm(self.depthwise(self.relu1(self.conv1(x)))))
        result: Tensor = self.output(self.flatten(self.relu3(self.pointwise(h))))
        return result


SCHEME = Scheme.uniform(Q, Q, output="quantized_relu(6,2)", input="quantized_bits(8,1,alpha=1)")
CASES = [(Residual, Scheme({**SCHEME.layers, "conv2": SIGNED}, SCHEME.input)), (Separable, SCHEME)]


@pytest.mark.parametrize(("network", "scheme"), CASES)
def test_trained_saved_loaded_and_frozen(network: type[nn.Module], scheme: Scheme) -> None:
    from sklearn.datasets import load_digits

    torch.manual_seed(0)
    pixels, labels = load_digits(return_X_y=True)
    x = torch.tensor(pixels / 16, dtype=torch.float32).reshape(-1, 1, 8, 8)
    y = torch.tensor(labels)
    model = quantize(network(), scheme, (1, 8, 8))
    assert left_float(model) == {}
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(3):
        for rows in torch.randperm(1400).split(64):
            optimizer.zero_grad()
            F.cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()
    model.eval()
    right = (model(x[1400:]).argmax(1) == y[1400:]).float().mean().item()
    assert right > 0.5  # one class has a tenth

    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    loaded = quantize(network(), scheme, (1, 8, 8)).eval()
    loaded.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(loaded(x), model(x))

    frozen, samples = freeze(model).double(), x[1400:].double()
    graph = trace(frozen, (1, 8, 8))
    assert torch.equal(frozen(samples), model.double()(samples))
    assert torch.equal(evaluate(graph, samples)[graph.output], frozen(samples))
    assert estimate(graph).total["energy_pj"] > 0
