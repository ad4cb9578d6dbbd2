"""Pruned weights stay zero on the whole way: quantize carries the masks, freeze closes the last gap."""

from __future__ import annotations

import torch
from torch import nn

from torchq import Scheme, freeze, quantize
from torchq.prune import ConstantSparsity, Pruner


def pruned_twin() -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 4))
    Pruner(model, ConstantSparsity(0.5))
    scheme = Scheme.uniform(
        weight="quantized_bits(6,0,alpha=1)",
        bias="quantized_bits(6,0,alpha=1)",
        output="quantized_relu(6,2)",
        input="quantized_bits(8,3,alpha=1)",
    )
    return quantize(model, scheme)


def test_quantize_carries_the_masks() -> None:
    twin = pruned_twin()
    for name in ("0", "2"):
        layer = twin.get_submodule(name)
        assert int(layer.weight_pruned.sum()) == layer.weight.numel() // 2
        assert (layer.weight[layer.weight_pruned] == 0).all()


def test_freeze_sees_no_weight_that_an_optimizer_woke_up() -> None:
    twin = pruned_twin()
    layer = twin.get_submodule("0")
    mask = layer.weight_pruned.clone()
    with torch.no_grad():
        layer.weight += 0.5  # a bare optimizer step: no forward pass, no pruner
    assert (freeze(twin).get_submodule("0").weight[mask] == 0).all()
