"""A search that trains in a blink: 3 features, 2 classes, one hidden layer or two."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from torchq.autoq import TrainAndPrice, Training
from torchq.models import jets_mlp
from torchq.scheme import Scheme
from torchq.search import Knob, Space

SIX = "quantized_bits(6,2,alpha=1)"
BASE = Scheme.uniform(SIX, SIX, "quantized_relu(6,2)", SIX)
WIDTHS = [f"quantized_bits({bits},2,alpha=1)" for bits in (4, 6, 8)]


def samples(rows: int = 256, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn(rows, 3, generator=torch.Generator().manual_seed(seed))
    return x, (x[:, 0] + x[:, 1] * x[:, 2] > 0).long()


def network(**options: Any) -> nn.Sequential:
    return jets_mlp(inputs=3, units=(8, 8), classes=2, seed=0, **options)


def space(*more: Knob) -> Space:
    return Space((Knob.quantizer("fc1", "weight", WIDTHS), Knob.units("fc1", [4, 8]), *more), BASE)


def evaluation(where: Space | None = None, **options: Any) -> TrainAndPrice:
    settings = {"training": Training(epochs=3, batch_size=64), **options}
    model = settings.pop("model", None) or network()
    return TrainAndPrice(model, samples(), samples(128, 1), where or space(), **settings)
