"""Whole networks that are synthesised to see how wrong the estimates are: nothing was fitted to any of them.

Two were trained by ``torchq run jets/autoq_energy`` and stand beside this file as it exported them. The
others have the formats that are written here and weights drawn by numpy, bell-shaped as trained ones are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from torchq.convert import quantize
from torchq.models import jets_mlp
from torchq.scheme import Scheme

FOLDER = Path(__file__).parent / "networks"
_INPUT, _SMALL_INPUT = "quantized_bits(16,6,alpha=1)", "quantized_bits(8,2,alpha=1)"


@dataclass(frozen=True)
class Whole:
    """One network.

    Args:
        name: what it is called in the table.
        what: how its weights came about, in words.
        write: writes its ONNX file to a path.
    """

    name: str
    what: str
    write: Callable[[Path], None]


def networks() -> tuple[Whole, ...]:
    """All of them, the cheapest synthesis first."""
    return (
        Whole(
            "ternary 16-16-16-16-5", "drawn", lambda path: _mlp(path, (16, 16, 16), "ternary(alpha=1)", 0.5)
        ),
        Whole("picked", "trained: a pick of jets/autoq_energy", lambda path: _shipped(path, "picked")),
        Whole("QE's formats", "drawn", _qe),
        Whole("4 bits 16-32-16-16-5", "drawn", lambda path: _mlp(path, (32, 16, 16), _bits(4))),
        Whole("CNN 8x8, 4 bits", "drawn", _cnn),
        Whole("shortcut 16-24-24-5, 5 bits", "drawn", _shortcut),
        Whole("4 bits 16-64-32-32-5", "drawn", lambda path: _mlp(path, (64, 32, 32), _bits(4))),
        Whole("Q6", "trained: Q6 of jets/autoq_energy", lambda path: _shipped(path, "q6")),
    )


def _shipped(path: Path, name: str) -> None:
    path.write_bytes((FOLDER / f"{name}.onnx").read_bytes())


def _bits(width: int) -> str:
    return f"quantized_bits({width},0,alpha=1)"


def _mlp(path: Path, units: tuple[int, int, int], weight: str, spread: float = 0.25) -> None:
    scheme = Scheme.uniform(input=_INPUT, weight=weight, bias=_bits(4), output="quantized_relu(4,2)")
    _export(jets_mlp(units=units), scheme, (16,), path, {"": spread})


def _qe(path: Path) -> None:
    """The formats that arXiv:2006.10159 gives for QE, without its batch norms."""
    layers: Mapping[str, Mapping[str, str]] = {
        "fc1": {"weight": _bits(4), "bias": _bits(4)},
        "relu1": {"output": "quantized_relu(4,2)"},
        "fc2": {"weight": "ternary(alpha=1)", "bias": _bits(4)},
        "relu2": {"output": "quantized_relu(3,1)"},
        "fc3": {"weight": "quantized_bits(2,1,alpha=1)", "bias": _bits(4)},
        "relu3": {"output": "quantized_relu(4,2)"},
        "output": {"weight": "binary(alpha=1)", "bias": "quantized_bits(8,3,alpha=1)"},
    }
    spread = {"": 0.25, "fc2": 0.5, "fc3": 0.8}
    _export(jets_mlp(units=(32, 16, 16)), Scheme(layers, input=_INPUT), (16,), path, spread)


def _cnn(path: Path) -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(36, 16),
        nn.ReLU(),
        nn.Linear(16, 10),
    )
    scheme = Scheme.uniform(input=_SMALL_INPUT, weight=_bits(4), bias=_bits(4), output="quantized_relu(4,2)")
    _export(model, scheme, (1, 8, 8), path, {"": 0.25})


class Shortcut(nn.Module):
    """Two hidden layers, the first of which is added to the second."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.relu1 = nn.Linear(16, 24), nn.ReLU()
        self.fc2, self.relu2 = nn.Linear(24, 24), nn.ReLU()
        self.output = nn.Linear(24, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of ``[n, 16]`` samples."""
        first = self.relu1(self.fc1(x))
        found: torch.Tensor = self.output(self.relu2(self.fc2(first)) + first)
        return found


def _shortcut(path: Path) -> None:
    scheme = Scheme.uniform(input=_SMALL_INPUT, weight=_bits(5), bias=_bits(5), output="quantized_relu(5,2)")
    scheme = scheme.with_slot("add", "output", "quantized_bits(7,3,alpha=1)")
    _export(Shortcut(), scheme, (16,), path, {"": 0.25})


def _export(
    model: nn.Module, scheme: Scheme, shape: tuple[int, ...], path: Path, spread: Mapping[str, float]
) -> None:
    """Draw the weights, quantize and write: the same network on every machine.

    Args:
        model: in floats.
        scheme: of formats.
        shape: of its input.
        path: the file.
        spread: standard deviation of a layer's weights; under ``""`` that of all others.
    """
    import hls_export

    rng = np.random.default_rng(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            wide = spread.get(name.rpartition(".")[0], spread[""])
            drawn = rng.normal(0, wide, tuple(parameter.shape))
            parameter.copy_(torch.from_numpy(drawn))
    example = torch.zeros(1, *shape)
    quantized = quantize(model.eval(), scheme, example=example, exportable=True)
    hls_export.export(quantized, path, example=example)
