"""Convolutional stacks drawn at random: one or two axes, kernels, strides, groups, pools, batch norms."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import Any

import torch
from drawn_stacks import ACTIVATIONS, BIASES, INPUTS, WEIGHTS, Drawn, started
from torch import nn

from torchq.errors import TorchqError
from torchq.nn import QActivation, QConv1d, QConv2d, QInput, QLinear, QReLU
from torchq.nn.folded import QConv1dBatchNorm, QConv2dBatchNorm
from torchq.nn.pool import QAvgPool1d, QAvgPool2d
from torchq.nn.pool_whole import QGlobalAvgPool1d, QGlobalAvgPool2d
from torchq.prune import ConstantSparsity

LAYERS: dict[int, dict[str, Any]] = {
    1: {"conv": QConv1d, "folded": QConv1dBatchNorm, "norm": nn.BatchNorm1d, "largest": nn.MaxPool1d},
    2: {"conv": QConv2d, "folded": QConv2dBatchNorm, "norm": nn.BatchNorm2d, "largest": nn.MaxPool2d},
}
LAYERS[1] |= {"average": QAvgPool1d, "whole": QGlobalAvgPool1d}
LAYERS[2] |= {"average": QAvgPool2d, "whole": QGlobalAvgPool2d}


def drawn_images(seed: int, dtype: torch.dtype = torch.float64) -> Drawn:
    """A case; the same seed gives the same one."""
    draw = random.Random(seed)
    torch.manual_seed(seed)
    axes, channels, classes = draw.choice([1, 2, 2]), draw.randint(1, 3), draw.randint(2, 4)
    size = tuple(draw.randint(5, 9) for _ in range(axes))
    made: list[nn.Module] = []
    while not made:
        plan, count = _plan(draw, axes), draw.randint(2, 4)
        with suppress(TorchqError, RuntimeError):  # a window may be larger than what comes
            made = [_model(draw, plan, axes, channels, size, classes).to(dtype) for _ in range(count)]
    rows, epochs = draw.randint(6, 40), draw.randint(1, 3)

    def samples(count: int) -> tuple[torch.Tensor, torch.Tensor]:
        y = torch.randint(0, classes, (count,))
        y[0] = classes - 1
        return torch.randn(count, channels, *size, dtype=torch.float64).to(dtype), y

    schedule = ConstantSparsity(0.5, begin=1, frequency=2) if draw.random() < 0.2 else None
    return Drawn(
        made,
        samples(rows),
        samples(draw.randint(3, 20)),
        [draw.randint(0, 99) for _ in made],
        [draw.choice([1e-3, 5e-3, 2e-2]) for _ in made],
        [schedule if _has_zeros(model) else None for model in made],
        {
            "epochs": epochs,
            "batch_size": draw.choice([rows, draw.randint(2, 20)]),
            "patience": draw.choice([None, 1]),
            "weight_decay": draw.choice([0.0, 0.1]),
            "best_from": 1,
        },
    )


def _has_zeros(model: nn.Module) -> bool:
    texts = [str(getattr(layer, "weight_quantizer", "")) for layer in model.modules()]
    return not any(text.startswith(("binary", "quantized_po2", "quantized_bits(1,")) for text in texts)


def _plan(draw: random.Random, axes: int) -> list[tuple[str, dict[str, Any]]]:
    """Kinds of layers and what all candidates share of them."""

    def each(*values: int) -> tuple[int, ...]:
        return tuple(draw.choice(values) for _ in range(axes))

    plan: list[tuple[str, dict[str, Any]]] = [("input", {})] if draw.random() < 0.7 else []
    for number in range(draw.randint(1, 3)):
        kind = draw.choice(["conv", "conv", "folded"])
        options: dict[str, Any] = {"kernel_size": each(1, 2, 3), "bias": draw.random() < 0.7}
        options |= {"stride": each(1, 1, 2), "padding": each(1, 1, 2), "dilation": each(1, 1, 2)}
        if draw.random() < 0.2:
            options |= {"stride": 1, "padding": "same", "kernel_size": (3,) * axes}
        if number and draw.random() < 0.4:
            options["groups"] = draw.choice(["each", 2])
        if kind == "folded":
            options["folding"] = draw.choice(["ema_stats", "batch_stats"])
        plan.append((kind, options))
        if draw.random() < 0.3:
            plan.append(("norm", {"affine": draw.random() < 0.8, "eps": draw.choice([1e-5, 1e-3])}))
        plan.append((draw.choice(["relu", "relu", "activation"]), {}))
        pool = draw.choice(["largest", "average", "", ""])
        if pool:
            plan.append((pool, {"kernel_size": each(2, 2, 3), "stride": each(1, 2), "padding": each(0, 1)}))
            if pool == "largest" and draw.random() < 0.3:
                plan[-1][1]["ceil_mode"] = True
    if draw.random() < 0.3:
        plan.append(("whole", {}))
    return [*plan, ("flatten", {})]


def _model(
    draw: random.Random,
    plan: list[tuple[str, dict[str, Any]]],
    axes: int,
    channels: int,
    size: tuple[int, ...],
    classes: int,
) -> nn.Module:
    layers: list[nn.Module] = []
    kinds = LAYERS[axes]
    for kind, options in plan:
        if kind == "input":
            layers.append(QInput(draw.choice(INPUTS)))
        elif kind == "relu":
            quantizer = draw.choice(ACTIVATIONS)
            layers.append(nn.ReLU() if quantizer is None else QReLU(quantizer))
        elif kind == "activation":
            layers.append(QActivation(draw.choice(ACTIVATIONS[1:])))
        elif kind == "norm":
            layers.append(started(kinds[kind](channels, **options), draw))
        elif kind in ("average", "whole"):
            average = draw.choice([None, "quantized_bits(6,0,alpha=1)"])
            output = draw.choice(ACTIVATIONS[1:]) if kind == "whole" else None
            layers.append(kinds[kind](**options, average_quantizer=average, output_quantizer=output))
        elif kind == "largest":
            layers.append(kinds[kind](**options))
        elif kind == "flatten":
            layers.append(nn.Flatten())
        else:
            groups = options.get("groups", 1)
            outputs = 2 * channels if groups == "each" else draw.choice([2, 4, 6]) if groups == 1 else 4
            if groups == 2:  # shared by all candidates
                layers.append(kinds["conv"](channels, 4, 1, weight_quantizer="fixed(6,1)"))
                channels = 4
            given = {**options, "groups": channels if groups == "each" else groups}
            given["weight_quantizer"] = draw.choice(WEIGHTS)
            given["bias_quantizer"] = draw.choice(BIASES)
            layers.append(kinds[kind](channels, outputs, **given))
            if kind == "folded":
                started(layers[-1].batch_norm, draw)  # type: ignore[arg-type]
            channels = outputs
    with torch.no_grad():
        count = nn.Sequential(*layers).eval()(torch.zeros(1, _first(layers), *size)).numel()
    last = QLinear(count, classes, weight_quantizer=draw.choice(WEIGHTS))
    return nn.Sequential(*layers, last).train()


def _first(layers: list[nn.Module]) -> int:
    return next(int(layer.in_channels) for layer in layers if isinstance(layer, nn.Conv1d | nn.Conv2d))
