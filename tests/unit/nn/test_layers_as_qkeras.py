"""Our layers against outputs, gradients and statistics recorded from QKeras."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from torchq.nn import QLinear, QLinearBatchNorm1d

GOLDEN = Path(__file__).parents[2] / "golden" / "layers"
CASES: list[dict[str, Any]] = json.loads((GOLDEN / "dense.json").read_text())
with np.load(GOLDEN / "dense.npz") as _file:
    ARRAYS = {name: _file[name] for name in _file.files}

KNOWN = ("quantized_bits", "quantized_linear", "quantized_relu")
MOMENTUM = 0.1
"""Recorded with Keras's 0.9, the share of the old value; torch's is that of the new one."""


def tensor(case: Mapping[str, Any], key: str) -> Tensor:
    return torch.from_numpy(np.array(ARRAYS[f"{case['id']}_{key}"]))


def weights(case: Mapping[str, Any], prefix: str = "w") -> dict[str, Tensor]:
    keys = {name: f"{prefix}{i}" for i, name in enumerate(case["weights"])}
    return {name: tensor(case, key) for name, key in keys.items() if f"{case['id']}_{key}" in ARRAYS}


def title(case: Mapping[str, Any]) -> str:
    mode = "training" if case["training"] else "evaluation"
    return f"{case['name']}, {mode}".replace(" ", "_")


def put(parameter: Tensor | None, value: Tensor) -> None:
    assert parameter is not None
    with torch.no_grad():
        parameter.copy_(value)


DENSE = [c for c in CASES if c["layer"] == "QDense" and c["quantizers"][0].startswith(KNOWN)]


@pytest.mark.parametrize("case", DENSE, ids=title)
def test_dense(case: dict[str, Any]) -> None:
    given, back = weights(case), weights(case, "gw")
    rows, columns = given["kernel"].shape
    layer = QLinear(
        rows,
        columns,
        weight_quantizer=case["quantizers"][0],
        bias_quantizer=case["quantizers"][1],
        output_quantizer=case["activation"],
    )
    put(layer.weight, given["kernel"].T)
    put(layer.bias, given["bias"])
    x = tensor(case, "x").requires_grad_()
    y = layer(x)
    y.backward(tensor(case, "gy"))
    torch.testing.assert_close(y, tensor(case, "y"), atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(x.grad, tensor(case, "gx"), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(layer.weight.grad, back["kernel"].T, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(layer.bias.grad, back["bias"], atol=1e-5, rtol=1e-5)


FOLDED = [c for c in CASES if c["layer"] == "QConv2DBatchnorm"]


def patches(images: Tensor, size: int) -> Tensor:
    """Shape ``[positions, size * size * channels]``, in the order of a Keras kernel."""
    windows = images.unfold(1, size, 1).unfold(2, size, 1)  # n, rows, columns, channels, size, size
    return windows.permute(0, 1, 2, 4, 5, 3).reshape(-1, size * size * images.shape[-1])


@pytest.mark.parametrize("case", FOLDED, ids=title)
def test_folded_batch_norm(case: dict[str, Any]) -> None:
    given, back = weights(case), weights(case, "gw")
    size, _, channels, outputs = given["kernel"].shape
    delay = case["freeze_delay"]
    layer = QLinearBatchNorm1d(
        size * size * channels,
        outputs,
        bias="bias" in given,
        eps=1e-3,
        momentum=MOMENTUM,
        folding=case["folding"].removesuffix("_folding"),
        freeze_delay=None if delay is None else delay + 2,
        weight_quantizer=case["quantizers"][0],
        bias_quantizer=case["quantizers"][1],
    ).train(case["training"])
    put(layer.weight, given["kernel"].reshape(-1, outputs).T)
    if "bias" in given:
        put(layer.bias, given["bias"])
    norm = layer.batch_norm
    put(norm.weight, given["gamma"])
    put(norm.bias, given["beta"])
    put(norm.running_mean, given["moving_mean"])
    put(norm.running_var, given["moving_variance"])

    images = tensor(case, "x").requires_grad_()
    y = layer(patches(images, size))
    y.backward(tensor(case, "gy").reshape(-1, outputs))

    torch.testing.assert_close(y, tensor(case, "y").reshape(-1, outputs), atol=2e-5, rtol=1e-5)
    torch.testing.assert_close(images.grad, tensor(case, "gx"), atol=2e-4, rtol=1e-4)
    kernel = back["kernel"].reshape(-1, outputs).T
    torch.testing.assert_close(layer.weight.grad, kernel, atol=2e-4, rtol=1e-3)
    torch.testing.assert_close(norm.weight.grad, back["gamma"], atol=2e-4, rtol=1e-3)
    torch.testing.assert_close(norm.bias.grad, back["beta"], atol=2e-4, rtol=1e-4)
    after = {name: tensor(case, key) for name, key in case["after"].items()}
    torch.testing.assert_close(norm.running_mean, after.get("moving_mean", given["moving_mean"]))
    torch.testing.assert_close(norm.running_var, after.get("moving_variance", given["moving_variance"]))


def test_the_recordings_cover_both_foldings_in_both_modes() -> None:
    seen = {(c["folding"], c["training"]) for c in FOLDED}
    assert len(seen) == 4
    assert {c["freeze_delay"] for c in FOLDED} == {None, 0, 10}
    assert len(DENSE) == 4
