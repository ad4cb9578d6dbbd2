"""A GRU and a small attention model on handwritten digits whose rows are time steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hls_export import adversarial, emulate, execute, export
from torchq.convert import freeze, left_float, quantize
from torchq.cost import estimate
from torchq.graph import evaluate, trace
from torchq.scheme import Scheme
from torchq.train import fit, predict_logits

W, B, X = "quantized_bits(8,0,alpha=1)", "quantized_bits(8,2,alpha=1)", "quantized_relu(5,0)"


class Recurrent(nn.Module):
    """Eight rows of eight pixels, and the output after the last one."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(8, 24, batch_first=True)
        self.fc = nn.Linear(24, 10)

    def forward(self, x: Tensor) -> Tensor:
        y, _ = self.gru(x)
        return self.fc(y[:, -1])  # type: ignore[no-any-return]


class Attending(nn.Module):
    """Rows attend to each other, are normalised and read together."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm = nn.LayerNorm(8)
        self.fc1 = nn.Linear(8 * 8, 32)
        self.tanh = nn.Tanh()
        self.fc2 = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        y, _ = self.attention(x, x, x, need_weights=False)
        y = self.tanh(self.fc1(self.norm(x + y).flatten(1)))
        return self.fc2(y)  # type: ignore[no-any-return]


SCHEMES = {
    Recurrent: Scheme(
        {"*": {"weight": W, "bias": B}, "gru": {"recurrent": W, "state": "fixed(9,1)"}}, input=X
    ),
    Attending: Scheme(
        {
            "*": {"weight": W, "bias": B},
            "attention": {"output": "fixed(10,3)"},
            "add": {"output": "fixed(12,4)"},
            "tanh": {"output": "fixed(8,1)", "input": "fixed(10,3)"},
            "norm": {
                "output": "fixed(9,4)",
                "weight": "fixed(8,2)",
                "input": "fixed(12,3)",
                "mean": "fixed(12,3)",
                "variance": "fixed(12,1,signed=False)",
                "rsqrt": "fixed(12,6,signed=False)",
            },
        },
        input=X,
    ),
}


def digits() -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    from sklearn.datasets import load_digits

    loaded = load_digits()
    x = torch.from_numpy(loaded.images.astype(np.float32) / 16)
    y = torch.from_numpy(loaded.target.astype(np.int64))
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    x, y = x[order], y[order]
    return (x[:1400], y[:1400]), (x[1400:], y[1400:])


@pytest.mark.parametrize("cls", [Recurrent, Attending])
def test_quantized_trained_saved_and_loaded(cls: type[nn.Module], tmp_path: Path) -> None:
    torch.manual_seed(0)
    train, valid = digits()
    floats = cls()
    model = quantize(floats, SCHEMES[cls], (8, 8))
    assert left_float(model) == {}
    fit(model, train, valid, epochs=3, batch_size=32, lr=2e-2, patience=10, seed=0)
    model.eval()
    logits = torch.from_numpy(predict_logits(model, valid[0]))
    accuracy = (logits.argmax(1) == valid[1]).float().mean().item()
    assert accuracy > 0.8, accuracy

    torch.save(model.state_dict(), tmp_path / "model.pt")
    again = quantize(cls(), SCHEMES[cls], (8, 8)).eval()
    assert not torch.equal(again(valid[0]), logits)
    again.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
    assert torch.equal(again(valid[0]), model(valid[0]))

    graph = trace(model, (8, 8))
    wide = valid[0].double()
    exact = evaluate(graph, wide)
    for node in graph.nodes:
        values = exact[node.name]
        if node.format is not None and isinstance(values, Tensor):
            assert node.format.as_fixed().holds(values.numpy()).all(), node.name
    assert torch.equal(exact[graph.output].float(), model(valid[0]))
    assert torch.equal(freeze(model).double()(wide), exact[graph.output])
    cost = estimate(model, (8, 8)).total
    assert cost["bits"] == 8 * sum(p.numel() for p in model.parameters())
    assert cost["energy_pj"] > 0


@pytest.mark.slow  # each step of a cell is written out
@pytest.mark.parametrize("cls", [Recurrent, Attending])
def test_they_become_hardware_bit_for_bit(cls: type[nn.Module], tmp_path: Path) -> None:
    torch.manual_seed(3)
    model = quantize(cls(), SCHEMES[cls], (8, 8)).double().eval()
    exported = export(model, tmp_path / "model.onnx", (8, 8))
    x = np.concatenate([adversarial(exported.graph, 100, 1), np.random.default_rng(0).random((100, 8, 8))])
    graph = trace(model, (8, 8))
    expected = evaluate(graph, torch.from_numpy(x))[graph.output].numpy()
    assert np.array_equal(execute(tmp_path / "model.onnx", x), expected)
    assert np.array_equal(emulate(exported.graph, x), expected)
