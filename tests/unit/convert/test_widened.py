"""Filters as well as neurons, more of them as well as fewer, and batch norms that stay layers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from torchq.convert import neurons, quantize, widened
from torchq.cost import estimate
from torchq.errors import SchemeError
from torchq.models import jets_mlp
from torchq.scheme import Scheme

Q = "quantized_bits(12,5,alpha=1)"
UNIFORM = Scheme.uniform(Q, Q, output="quantized_relu(12,5)", input=Q)


def images() -> nn.Sequential:
    torch.manual_seed(0)
    net = nn.Sequential(
        *(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(4, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(24, 8), nn.ReLU(), nn.Linear(8, 3)),
    )
    return net.eval()


def test_neurons_and_filters_that_may_change() -> None:
    assert neurons(images()) == {"0": 4, "4": 6, "7": 8}
    assert neurons(nn.Sequential(nn.Conv2d(4, 4, 3, groups=4), nn.Flatten(), nn.Linear(4, 2))) == {}


def test_filters_that_do_nothing_are_the_first_to_go() -> None:
    net = images()
    x = torch.randn(3, 1, 10, 10, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        for layer, gone in (("0", [1, 3]), ("4", [0, 5]), ("7", [2, 4])):
            module = net.get_submodule(layer)
            assert isinstance(module, nn.Conv2d | nn.Linear)
            assert module.bias is not None
            module.weight[gone] = 0.0
            module.bias[gone] = 0.0
        norm = net.get_submodule("1")
        assert isinstance(norm, nn.BatchNorm2d)
        norm.bias.zero_()
        small = quantize(net, Scheme(units={"0": 2, "4": 4, "7": 6}))
        assert [tuple(p.shape) for n, p in small.named_parameters() if n.endswith("weight")] == [
            (2, 1, 3, 3),
            (2,),
            (4, 2, 3, 3),
            (6, 16),
            (3, 6),
        ]
        torch.testing.assert_close(small(x), net(x))


@pytest.mark.parametrize("batch_norm", [False, True])
def test_more_neurons_change_nothing_until_they_are_trained(batch_norm: bool) -> None:
    net, x = jets_mlp(batch_norm=batch_norm, seed=0).eval(), torch.randn(4, 16)
    wide = widened(net, {"fc1": 96, "fc3": 40, "fc2": 8}, seed=3)
    assert neurons(wide) == {"fc1": 96, "fc2": 32, "fc3": 40}
    torch.testing.assert_close(wide(x), net(x))
    again = widened(net, {"fc1": 96, "fc3": 40, "fc2": 8}, seed=3)
    assert all(torch.equal(a, b) for a, b in zip(wide.parameters(), again.parameters(), strict=True))
    wide.train()
    wide(x).square().sum().backward()
    going_out = wide.get_submodule("fc2")
    assert isinstance(going_out, nn.Linear)
    assert going_out.weight.grad is not None
    assert bool(going_out.weight.grad[:, 64:].any()), "new neurons learn"


def test_more_filters_change_nothing_until_they_are_trained() -> None:
    net, x = images(), torch.randn(3, 1, 10, 10)
    wide = widened(net, {"0": 6, "4": 9, "7": 10})
    assert neurons(wide) == {"0": 6, "4": 9, "7": 10}
    torch.testing.assert_close(wide(x), net(x))


def test_a_grouped_convolution_keeps_its_filters() -> None:
    net = nn.Sequential(nn.Conv2d(4, 4, 3, groups=2), nn.Flatten(), nn.Linear(4, 2))
    with pytest.raises(SchemeError) as caught:
        quantize(net, Scheme(units={"0": 2}))
    assert str(caught.value) == "units: 0 is a convolution of 2 groups; keep all filters of it"


def test_batch_norms_of_their_own() -> None:
    net = jets_mlp(batch_norm=True, seed=0)
    norms = {f"bn{i}": {"inverse": Q, "mean": Q, "shift": Q} for i in (1, 2, 3)}
    sums = {f"fc{i}": {"output": Q} for i in (1, 2, 3)}
    scheme = Scheme({**UNIFORM.layers, **norms, **sums}, UNIFORM.input)
    apart = quantize(net, scheme, example=(16,), exportable=True, fold="apart")
    assert type(apart.get_submodule("bn1")).__name__ == "QBatchNorm1d"
    folded = quantize(net, UNIFORM, example=(16,), exportable=True)
    assert estimate(apart).total["energy_pj"] > estimate(folded).total["energy_pj"]
    with pytest.raises(SchemeError, match=r"bn1 .* has no slot 'inverse'; it is folded into fc1"):
        quantize(net, scheme)
