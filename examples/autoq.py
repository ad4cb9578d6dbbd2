"""Your own network and samples: search, compare with float, BF and Q6, export the winner. A few minutes."""

import sys
from pathlib import Path

import torch
from torch import Tensor, nn

import hls_export
from torchq.autoq import AutoQResult, Training, autoq
from torchq.data import load
from torchq.search import Filters, build_space
from torchq.train import fit


class Tagger(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(16, 32)
        self.relu1 = nn.ReLU()
        self.fc2 = nn.Linear(32, 16)
        self.relu2 = nn.ReLU()
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.relu2(self.fc2(self.relu1(self.fc1(x)))))


def main(out: Path, trials: int = 48, jets: int | None = None, epochs: int = 6) -> AutoQResult:
    data = load("jets", limit=jets)
    train, valid = (data.train.x, data.train.y), (data.valid.x, data.valid.y)
    torch.manual_seed(0)
    network = Tagger()
    fit(network, train, valid, epochs=4 * epochs, batch_size=512, lr=1e-2)

    weights = ["ternary(alpha=1)", *(f"quantized_bits({bits},0,alpha=1)" for bits in (2, 3, 4, 6))]
    biases = [f"quantized_bits({bits},0,alpha=1)" for bits in (4, 6)]
    space = build_space(
        network,
        {
            **{layer: {"weight": weights} for layer in ("fc1", "fc2", "head")},
            "class:Linear": {"bias": biases},  # one choice for all three
            "relu1": {"output": [f"quantized_relu({bits},2)" for bits in (2, 3, 4, 6)]},
            "relu2": {"output": [f"quantized_relu({bits},2)" for bits in (2, 3, 4, 6)]},
        },
        input=["quantized_bits(16,6,alpha=1)"],
        limits={"head": {"weight": 4}},
        filters=Filters("layer", multipliers=(0.5, 0.75, 1.0, 1.5)),
    )
    found = autoq(
        network,
        train,
        valid,
        space,
        "energy_pj",
        trials=trials,
        journal=out / "trials.jsonl",  # started again, it goes on
        training=Training(epochs=epochs),
        final=Training(epochs=5 * epochs),
    )
    print(found.text())
    print(f"asking took {100 * found.search.ask_share:.0f} % of the search; {found.evaluation.log.text()}")
    hls_export.export(found.model, out / "model.onnx", example=torch.from_numpy(data.test.x[:1]))
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/autoq"))
