"""Convolutional models: residual ones with batch norms and one relu, and several branches that are joined."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hls_export import export
from torchq.convert import dequantize, freeze, left_float, quantize
from torchq.errors import ExportError
from torchq.graph import evaluate, trace, workloads
from torchq.scheme import Scheme

W, WIDE, RELU = "quantized_bits(6,1,alpha=1)", "quantized_bits(12,4,alpha=1)", "quantized_relu(6,2)"
SCHEME = Scheme(
    {"*": {"weight": W, "bias": W, "output": WIDE}, "class:ReLU": {"output": RELU}},
    "quantized_bits(8,2,alpha=1)",
)


class Residual(nn.Module):
    """Convolutions with batch norms, one of them depthwise, a shortcut, and one relu for all places."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(2, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.conv2, self.bn2 = nn.Conv2d(4, 4, 3, padding=1, groups=4), nn.BatchNorm2d(4)
        self.conv3, self.bn3 = nn.Conv2d(4, 4, 1, bias=False), nn.BatchNorm2d(4)
        self.act = nn.ReLU()
        self.drop = nn.Dropout2d(0.1)
        self.head = nn.Linear(4 * 5 * 5, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.bn1(self.conv1(x)))
        y = self.act(self.bn2(self.conv2(x)))
        x = self.act(x + self.bn3(self.conv3(y)))
        return self.head(self.drop(x).view(x.size(0), -1))  # type: ignore[no-any-return]


class Branches(nn.Module):
    """Three branches over the same picture."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(2, 3, 1), nn.Conv2d(2, 2, 3, padding=1)
        self.act, self.flat = nn.ReLU(), nn.Flatten()
        self.head = nn.Linear(7 * 5 * 5, 3)

    def forward(self, x: Tensor) -> Tensor:
        joined = torch.cat((self.act(self.a(x)), self.act(self.b(x)), x), dim=1)
        return self.head(self.flat(joined))  # type: ignore[no-any-return]


@pytest.fixture(params=[Residual, Branches])
def model(request: Any) -> nn.Module:
    torch.manual_seed(2)
    made: nn.Module = request.param().train()
    for _ in range(3):
        made(torch.randn(20, 2, 5, 5) * 2)
    return made.eval()


def test_all_is_quantized_and_exact(model: nn.Module) -> None:
    made = quantize(model, SCHEME, (2, 5, 5))
    assert left_float(made) == {}
    graph = trace(made, (2, 5, 5))
    x = torch.randn(30, 2, 5, 5, dtype=torch.float64) * 4
    values = evaluate(graph, x)
    for node in graph.nodes[1:]:
        assert node.format is not None
        assert node.format.as_fixed().holds(values[node.name].numpy()).all(), node.name
    frozen = freeze(made)
    assert torch.equal(frozen.double()(x), values[graph.output])
    assert sum(work.macs for work in workloads(graph)) > 1000


def test_it_learns(model: nn.Module) -> None:
    made = quantize(model, SCHEME, (2, 5, 5)).train()
    optimizer = torch.optim.Adam(made.parameters(), 1e-2)
    x, y = torch.randn(64, 2, 5, 5), torch.randint(3, (64,))
    losses = []
    for _ in range(25):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(made(x), y)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize("fold", ["train", "now"])
def test_folding_and_back(model: nn.Module, fold: Any) -> None:
    made = quantize(model, SCHEME, (2, 5, 5), fold=fold)
    back = dequantize(made).eval()
    x = torch.randn(10, 2, 5, 5)
    assert torch.allclose(back(x), model(x), atol=1e-4)
    names = {type(module).__name__ for module in made.modules()}
    if isinstance(model, Residual):
        assert ("QConv2dBatchNorm" in names) == (fold == "train")
        assert "BatchNorm2d" not in {type(module).__name__ for module in back.modules()}


def test_saved_and_loaded(model: nn.Module) -> None:
    made, other = quantize(model, SCHEME), quantize(type(model)(), SCHEME)
    other.load_state_dict(made.state_dict())
    x = torch.randn(10, 2, 5, 5)
    assert torch.equal(other.eval()(x), made.eval()(x))


def test_export_writes_it_or_names_what_it_cannot_write(model: nn.Module, tmp_path: Any) -> None:
    path = tmp_path / "model.onnx"
    made = quantize(model, SCHEME)
    kinds = {f"{node.name} ({node.kind})" for node in trace(made, (2, 5, 5)).nodes}
    refused = ""
    try:
        export(made, path, (2, 5, 5))
    except ExportError as fault:
        refused = str(fault)
    assert path.exists() == (not refused)
    assert not refused or any(kind in refused for kind in kinds)
