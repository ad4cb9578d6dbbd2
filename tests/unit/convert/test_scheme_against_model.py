"""A scheme that does not fit the model is refused with the nearest name."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytest
from torch import nn

from torchq.convert import quantize
from torchq.errors import SchemeError
from torchq.scheme import Scheme

Q = "quantized_bits(6,0,alpha=1)"


def model() -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            fc1=nn.Linear(4, 4, bias=False),
            bn1=nn.BatchNorm1d(4),
            relu1=nn.ReLU(),
            drop=nn.Dropout(),
            fc2=nn.Linear(4, 4, bias=False),
            relu2=nn.ReLU(),
            output=nn.Linear(4, 2),
        )
    )


LAYERS = "Layers: fc1, bn1, relu1, fc2, relu2, output"


@pytest.mark.parametrize(
    ("layers", "sentence"),
    [
        (
            {"fc11": {"weight": Q}},
            f"the scheme names 'fc11', which matches no layer; did you mean 'fc1'? {LAYERS}",
        ),
        ({"conv*": {"weight": Q}}, f"the scheme names 'conv*', which matches no layer; {LAYERS}"),
        ({"drop": {"output": Q}}, f"the scheme names 'drop', which matches no layer; {LAYERS}"),
        (
            {"Linear": {"weight": Q}},
            "the scheme names 'Linear', which matches no layer; "
            "write class:Linear for all layers of this class",
        ),
        (
            {"class:Linaer": {"weight": Q}},
            "the scheme names 'class:Linaer', and no layer is one; did you mean 'class:Linear'? "
            "Classes: class:BatchNorm1d, class:Linear, class:QActivation, class:QBatchNorm1d, class:QLinear, "
            "class:QLinearBatchNorm1d, class:QReLU, class:ReLU",
        ),
        ({"re:^x": {"weight": Q}}, f"the scheme names 're:^x', which matches no layer; {LAYERS}"),
        ({"relu1": {"weight": Q}}, "relu1 (ReLU) has no slot 'weight'; its slots: output"),
        (
            {"bn1": {"weight": Q}},
            "bn1 (BatchNorm1d) has no slot 'weight'; it is folded into fc1; give that the quantizer",
        ),
        ({"fc2": {"bias": Q}}, "fc2 (Linear) has no bias; take the bias of fc2 out of the scheme"),
    ],
)
def test_slips_are_named(layers: Any, sentence: str) -> None:
    with pytest.raises(SchemeError) as caught:
        quantize(model(), Scheme(layers))
    assert str(caught.value) == sentence


def test_all_slips_are_named_at_once() -> None:
    with pytest.raises(SchemeError) as caught:
        quantize(model(), Scheme({"fc9": {}, "relu1": {"bias": Q}}, units={"cf1": 3}))
    assert str(caught.value).splitlines() == [
        f"the scheme names 'fc9', which matches no layer; did you mean 'fc2'? {LAYERS}",
        f"the scheme names 'cf1', which matches no layer; did you mean 'fc1'? {LAYERS}",
        "relu1 (ReLU) has no slot 'bias'; its slots: output",
    ]


def test_a_folded_batch_norm_brings_a_bias() -> None:
    quantize(model(), Scheme({"fc1": {"weight": Q, "bias": Q}}))


def test_a_relu_between_two_sums_is_not_put_in_silently() -> None:
    straight = nn.Sequential(OrderedDict(a=nn.Linear(4, 4), drop=nn.Dropout(), b=nn.Linear(4, 2)))
    with pytest.raises(SchemeError) as caught:
        quantize(straight, Scheme.uniform(Q, Q, output="quantized_relu(6)"))
    assert str(caught.value) == (
        "a feeds b with no relu between, and quantized_relu(6,0) would cut its negative values off; "
        "give a an output quantizer of its own"
    )
    quantize(straight, Scheme.uniform(Q, Q, output="quantized_relu(6)").with_slot("a", "output", Q))


def test_classes_mean_float_and_quantized_layers() -> None:
    five = "quantized_bits(5,0,alpha=1.0)"
    found = quantize(
        model(),
        Scheme(
            {
                "class:Linear": {"weight": Q},
                "class:QLinearBatchNorm1d": {"weight": five, "bias": five},
                "class:ReLU": {"output": "quantized_relu(3)"},
                "re:2$": {"output": "quantized_relu(4)"},
            }
        ),
    )
    weights = [str(found.get_submodule(name).weight_quantizer) for name in ("fc1", "fc2", "output")]
    assert weights == [five, "quantized_bits(6,0,alpha=1.0)", "quantized_bits(6,0,alpha=1.0)"]
    outputs = [str(found.get_submodule(name).output_quantizer) for name in ("relu1", "relu2", "fc2")]
    assert outputs == ["quantized_relu(3,0)", "quantized_relu(4,0)", "quantized_relu(4,0)"]


def test_a_default_for_a_class_that_the_model_lacks() -> None:
    scheme = Scheme({"class:QSoftmax": {"output": Q}, "class:Linear": {"weight": Q}})
    assert (
        str(quantize(model(), scheme).get_submodule("fc2").weight_quantizer)
        == "quantized_bits(6,0,alpha=1.0)"
    )
