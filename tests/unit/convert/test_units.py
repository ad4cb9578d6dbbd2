"""``Scheme.units``: the strongest neurons are kept, and everything that reads them follows."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from torch import Tensor, nn

from torchq.convert import quantize
from torchq.errors import SchemeError
from torchq.graph import trace
from torchq.nn import QLinear
from torchq.scheme import Scheme

Q = "quantized_bits(8,2,alpha=1)"
UNIFORM = Scheme.uniform(Q, Q, output="quantized_relu(8,3)", input=Q)


def model(norm_after: str = "none") -> nn.Sequential:
    layers: list[tuple[str, nn.Module]] = [
        ("fc1", nn.Linear(3, 4)),
        ("relu1", nn.ReLU()),
        ("drop", nn.Dropout()),
    ]
    if norm_after != "none":
        layers.insert(1 if norm_after == "fc1" else 2, ("bn1", nn.BatchNorm1d(4)))
    layers.append(("fc2", nn.Linear(4, 2)))
    return nn.Sequential(OrderedDict(layers))


def set_(parameter: Tensor, values: list[float] | list[list[float]]) -> None:
    with torch.no_grad():
        parameter.copy_(torch.tensor(values))


def with_importance(net: nn.Sequential, coming_in: list[float], going_out: list[float]) -> nn.Sequential:
    first, last = net.get_submodule("fc1"), net.get_submodule("fc2")
    set_(first.weight, [[0.6 * v, 0.0, 0.8 * v] for v in coming_in])
    set_(first.bias, [10.0, 20.0, 30.0, 40.0])
    set_(last.weight, [[0.8 * v for v in going_out], [0.6 * v for v in going_out]])
    return net


def kept(result: nn.Module) -> list[int]:
    """Which neurons of fc1 are left; their biases tell."""
    return [int(v // 10) - 1 for v in result.get_submodule("fc1").bias.tolist()]


@pytest.mark.parametrize(
    ("coming_in", "going_out", "count", "expected"),
    [
        ([1, 4, 2, 3], [1, 1, 1, 1], 2, [1, 3]),
        ([1, 1, 1, 1], [9, 1, 8, 2], 2, [0, 2]),
        ([4, 1, 1, 2], [1, 5, 3, 1], 2, [0, 1]),
        ([4, 1, 1, 2], [1, 5, 3, 1], 3, [0, 1, 2]),
        ([1, 2, 3, 4], [1, 1, 1, 1], 4, [0, 1, 2, 3]),
    ],
)
def test_the_strongest_stay_in_their_order(
    coming_in: list[float], going_out: list[float], count: int, expected: list[int]
) -> None:
    net = with_importance(model(), coming_in, going_out)
    result = quantize(net, UNIFORM.with_units("fc1", count), (3,))
    assert kept(result) == expected
    fc1, fc2 = result.get_submodule("fc1"), result.get_submodule("fc2")
    assert isinstance(fc1, QLinear)
    assert isinstance(fc2, QLinear)
    assert (fc1.out_features, fc2.in_features) == (count, count)
    assert torch.equal(fc2.weight, net.get_submodule("fc2").weight[:, expected])
    assert [node.shape for node in trace(result).nodes if node.kind == "linear"] == [(count,), (2,)]


@pytest.mark.parametrize("norm_after", ["fc1", "relu1"])
@pytest.mark.parametrize("fold", ["train", "now"])
def test_the_scale_of_a_batch_norm_counts_and_its_channels_follow(norm_after: str, fold: str) -> None:
    net = with_importance(model(norm_after), [1, 1, 1, 1], [1, 1, 1, 1])
    norm = net.get_submodule("bn1")
    set_(norm.weight, [1.0, -3.0, 2.0, 1.0])
    set_(norm.running_var, [0.5, 1.0, 100.0, 0.01])
    set_(norm.running_mean, [1.0, 2.0, 3.0, 4.0])
    result = quantize(net, UNIFORM.with_units("fc1", 2), fold=fold)  # type: ignore[arg-type]
    if norm_after == "relu1":
        left = result.get_submodule("bn1")
    elif fold == "train":
        left = result.get_submodule("fc1.batch_norm")
    else:
        bias = result.get_submodule("fc1").bias
        torch.testing.assert_close(bias, torch.tensor([-3.0 * 18, 10 * 36.0]), atol=0.5, rtol=0)
        return
    assert kept(result) == [1, 3]
    assert left.running_mean.tolist() == [2.0, 4.0]
    assert left.weight.tolist() == [-3.0, 1.0]
    assert left.num_features == 2


def test_dead_neurons_can_go_without_a_change() -> None:
    net = with_importance(model(), [1, 2, 3, 4], [1, 0, 1, 0]).eval()
    wide = Scheme.uniform(*["quantized_bits(24,6,alpha=1)"] * 2, output="quantized_relu(24,6)")
    x = torch.randn(40, 3)
    small = quantize(net, wide.with_units("fc1", 2))
    assert kept(small) == [0, 2]
    torch.testing.assert_close(small(x), quantize(net, wide)(x))


def test_one_layer_after_the_other() -> None:
    net = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2))
    result = quantize(net, UNIFORM.with_units("0", 3).with_units("2", 2), (3,))
    shapes = {n: tuple(p.shape) for n, p in result.named_parameters() if n.endswith("weight")}
    assert shapes == {"0.weight": (3, 3), "2.weight": (2, 3), "4.weight": (2, 2)}


def test_frozen_parameters_stay_frozen() -> None:
    net = model()
    net.get_submodule("fc1").requires_grad_(False)
    result = quantize(net, UNIFORM.with_units("fc1", 2))
    assert [p.requires_grad for p in result.parameters()] == [False, False, True, True]


@pytest.mark.parametrize(
    ("units", "sentence"),
    [
        (
            {"fc1": 5},
            "units: fc1 has 4 neurons, 5 are asked for; "
            "units are only taken away; make the float model larger",
        ),
        ({"fc2": 1}, "units: fc2 makes the model's 2 outputs; only the layers before it can lose neurons"),
        (
            {"relu1": 1},
            "units: relu1 is a ReLU; only a float Linear, Conv1d or Conv2d has neurons to choose from",
        ),
        (
            {"fc3": 1},
            "the scheme names 'fc3', which matches no layer; did you mean 'fc2'? Layers: fc1, relu1, fc2",
        ),
    ],
)
def test_slips_are_named(units: dict[str, int], sentence: str) -> None:
    with pytest.raises(SchemeError) as caught:
        quantize(model(), Scheme(UNIFORM.layers, units=units))
    assert str(caught.value) == sentence


def test_quantized_layers_have_no_neurons_to_choose_from() -> None:
    quantized = quantize(model(), UNIFORM)
    with pytest.raises(SchemeError) as caught:
        quantize(quantized, Scheme(units={"fc1": 2}))
    assert (
        str(caught.value)
        == "units: fc1 is a QLinear; only a float Linear, Conv1d or Conv2d has neurons to choose from"
    )
    half = nn.Sequential(OrderedDict(fc1=nn.Linear(3, 4), fc2=quantized.get_submodule("fc2")))
    with pytest.raises(SchemeError) as reader:
        quantize(half, Scheme(units={"fc1": 2}))
    assert str(reader.value) == (
        "units: fc2, which reads fc1, is a QLinear already; change the number of neurons of the float model"
    )


def test_all_outputs_may_be_named() -> None:
    assert quantize(model(), UNIFORM.with_units("fc2", 2)).get_submodule("fc2").out_features == 2
