"""Your own module, your own loop: quantize, train, price, export, lower, verify.  Takes about a minute."""

import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import hls_export
from torchq import Scheme, estimate, quantize
from torchq.data import load


class Tagger(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(16, 32)
        self.bn1 = nn.BatchNorm1d(32)
        self.fc2 = nn.Linear(32, 16)
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.bn1(self.fc1(x)))
        return self.head(torch.relu(self.fc2(x)))


def main(out: Path) -> None:
    torch.manual_seed(0)
    jets = load("jets")
    x, y = torch.from_numpy(jets.train.x), torch.from_numpy(jets.train.y)
    weight = "quantized_bits(5,0,alpha=1)"
    scheme = Scheme.uniform(
        input="quantized_bits(12,3,alpha=1)", weight=weight, bias=weight, output="quantized_relu(5,2)"
    ).with_slot("head", "weight", "quantized_bits(6,0,alpha=1)")
    model = quantize(Tagger(), scheme, example=x[:1])
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for epoch in range(10):
        for rows in torch.randperm(len(x)).split(512):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch + 1}: loss {loss.item():.3f}")
    model.eval()
    test = torch.from_numpy(jets.test.x)
    accuracy = (model(test).argmax(1).numpy() == jets.test.y).mean()
    print(f"accuracy {accuracy:.4f}\n{estimate(model, test[:1]).text()}")
    hls_export.export(model, out / "model.onnx", example=test[:1])
    project = hls_export.lower(out / "model.onnx", out / "hls", clock_ns=5)
    print(hls_export.verify(model, out / "model.onnx", project, test.numpy().astype(np.float64)))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/example"))
