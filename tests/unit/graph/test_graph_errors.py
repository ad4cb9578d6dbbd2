"""What cannot be traced is refused with the names of the places and what to do."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torchq.errors import GraphError
from torchq.graph import evaluate, trace
from torchq.nn import QActivation, QInput, QLinear, QReLU

Q = "quantized_bits(6,0,alpha=1)"


def linear(inputs: int, outputs: int, **options: Any) -> QLinear:
    return QLinear(inputs, outputs, weight_quantizer=Q, bias_quantizer=Q, **options)


def sequential(**layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(layers))


class Model(nn.Module):
    """A model with a forward of one's own."""

    def __init__(self, function: Callable[..., Any], **layers: nn.Module) -> None:
        super().__init__()
        self.function = function
        self.q = QInput(Q)
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x: Tensor) -> Any:
        return self.function(self, self.q(x))


def sentence(model: nn.Module, example: Any = (4,)) -> str:
    with pytest.raises(GraphError) as caught:
        trace(model, example)
    return str(caught.value)


def test_a_sum_that_a_linear_reads() -> None:
    model = sequential(q=QInput(Q), fc1=linear(4, 4), fc2=linear(4, 2))
    assert sentence(model) == "fc2 reads a tensor that no quantizer made (fc1); put a quantizer after fc1"


def test_the_raw_input() -> None:
    model = sequential(fc1=linear(4, 4))
    assert sentence(model) == "fc1 reads a tensor that no quantizer made (input); put a quantizer after input"


def test_all_places_are_named_at_once_and_dropouts_are_passed_by() -> None:
    model = sequential(
        fc1=linear(4, 4),
        relu1=nn.ReLU(),
        drop=nn.Dropout(),
        fc2=QLinear(4, 4, weight_quantizer=Q),
        q=QActivation(Q),
        fc3=QLinear(4, 4, bias=False),
        fc4=nn.Linear(4, 4),
        bn=nn.BatchNorm1d(4),
    )
    assert sentence(model).splitlines() == [
        "fc1 reads a tensor that no quantizer made (input); put a quantizer after input",
        "fc2 reads a tensor that no quantizer made (relu1); put a quantizer after relu1",
        "the bias of fc2 has no quantizer; give it a bias_quantizer",
        "the weight of fc3 has no quantizer; give it a weight_quantizer",
        "fc4 is a float Linear; quantize(model, scheme) turns Linear into QLinear",
        "bn is a float BatchNorm1d; quantize(model, scheme) turns BatchNorm1d into QBatchNorm1d",
    ]


@pytest.mark.parametrize(
    ("function", "start"),
    [
        (lambda m, x: torch.sub(m.fc(x), x), "sub is not supported; supported: QA"),
        (lambda m, x: F.mish(m.fc(x)), "mish is not supported; "),
        (lambda m, x: m.fc(x).abs(), "abs_1 (abs) is not supported; "),
        (lambda m, x: m.conv(m.fc(x)), "conv (Conv3d) is not supported; "),
        (
            lambda m, x: m.fc(x) * m.scale.weight,
            "scale.weight is read by forward itself; ",
        ),
        (lambda m, x: (m.fc(x), x), "Model must return one tensor, got a tuple"),
        (
            lambda m, x: m.fc(m.fc(x)),
            "fc_1 reads a tensor that no quantizer made (fc); put a quantizer after fc",
        ),
        (
            lambda m, x: m.fc(x.view(x.size(1), -1)),
            "size asks for a length that is not the batch's; write the ",
        ),
        (
            lambda m, x: m.fc(x.reshape(-1, 2)),
            "reshape mixes the samples of a batch: 2 samples give [4, 2], 3",
        ),
        (lambda m, x: m.fc(x.t()), "t is not supported; "),
        (lambda m, x: m.fc(m.softmax(x)), "softmax (Softmax) may only be the last step of a model"),
        (lambda m, x: m.fc(x) if x.sum() > 0 else x, "Model cannot be traced: symbolically traced variables"),
        (lambda m, x: m.fc(x)[len(x)], "Model cannot be traced: "),
        (lambda m, x: m.nothing(x), "Model cannot be traced: 'Model' object has no attribute 'nothing'"),
    ],
)
def test_what_is_not_supported(function: Callable[..., Any], start: str) -> None:
    model = Model(
        function,
        fc=linear(4, 4),
        conv=nn.Conv3d(1, 1, 1),
        scale=nn.Linear(4, 4),
        act=nn.ReLU(),
        softmax=nn.Softmax(-1),
    )
    assert sentence(model).startswith(start)


def test_several_unsupported_steps_are_named_together() -> None:
    text = sentence(Model(lambda m, x: torch.sin(m.fc(torch.exp(x))), fc=linear(4, 4)))
    assert text.startswith("exp is not supported\nsin is not supported; supported: ")
    assert "QLinear" in text
    assert "Dropout" in text


def test_inputs_that_are_not_one() -> None:
    class Two(nn.Module):
        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return a + b

    assert sentence(Two()) == "Two must have exactly one input, got 2 (a, b)"


def test_shapes_that_do_not_fit() -> None:
    model = sequential(q=QInput(Q), fc1=linear(4, 3), relu=QReLU(), fc2=linear(4, 2))
    assert sentence(model) == "fc2 needs 4 values on the last axis, got samples of shape (3,) from relu"
    deep = sequential(q=QInput(Q), fc1=linear(4, 3))
    assert sentence(deep, (4, 2)) == "fc1 needs 4 values on the last axis, got samples of shape (4, 2) from q"
    floating = sequential(q=QInput(Q), fc=nn.Linear(3, 2))
    assert sentence(floating).startswith("fc cannot read samples of shape (4,) from q: mat1 and mat2")


def test_examples_that_are_none() -> None:
    assert sentence(sequential(q=QInput(Q)), None) == (
        "the shape of the input does not follow from the model; give an example"
    )
    assert sentence(sequential(q=QInput(Q)), torch.zeros(4)) == (
        "the example must be a batch [n, ...], got a tensor of shape (4,); "
        "add the batch axis with example.unsqueeze(0)"
    )


def test_samples_of_another_shape() -> None:
    graph = trace(sequential(q=QInput(Q), fc1=linear(4, 3)))
    with pytest.raises(GraphError) as caught:
        evaluate(graph, torch.zeros(2, 5))
    assert str(caught.value) == "input has samples of shape (4,), got (5,)"


def test_sums_too_wide_for_float64() -> None:
    wide = "quantized_bits(28,0,alpha=1)"
    graph = trace(sequential(q=QInput(wide), fc1=QLinear(4, 3, weight_quantizer=wide, bias_quantizer=wide)))
    with pytest.raises(GraphError) as caught:
        evaluate(graph, torch.zeros(2, 4, dtype=torch.float64))
    assert str(caught.value) == (
        "fc1 needs 58 bits, and float64 is exact up to 53; use narrower weights or activations"
    )
    assert evaluate(graph, torch.zeros(2, 4))["fc1"].shape == (2, 3)
