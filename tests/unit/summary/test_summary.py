"""The table of a model: what it shows, and that it changes nothing."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from torchq.convert import quantize
from torchq.nn import QInput, QLinear, QReLU
from torchq.quantizers import QUANTIZERS
from torchq.scheme import Scheme
from torchq.summary import summary

SIX = "quantized_bits(6,0,alpha=1)"


def jets() -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            fc1=nn.Linear(16, 8),
            bn1=nn.BatchNorm1d(8),
            relu1=nn.ReLU(),
            drop=nn.Dropout(),
            fc2=nn.Linear(8, 5),
        )
    )


def scheme(**layers: Any) -> Scheme:
    base: dict[str, Any] = {"*": {"weight": SIX, "bias": SIX, "output": "quantized_relu(4)"}}
    return Scheme(base | layers, input="quantized_bits(16,6,alpha=1)")


TEXT = """\
Sequential

layer  type     output shape  format                       quantizers                   operations
--------------------------------------------------------------------------------------------------
input  input    3             -                            -                            -
0      QInput   3             binary<-1,1>                 output: binary(alpha=1.0)    -
1      QLinear  2             ap_fixed<4,4,TRN,WRAP>       weight: ternary(alpha=1.0)   6 smux_2_1
2      QReLU    2             ap_ufixed<3,0,RND_CONV,SAT>  output: quantized_relu(3,0)  -
3      Linear   1             float                        -                            -

weights   count  bits each  bits  zero
----------------------------------------
1.weight  6      2          12    66.7 %
3.weight  2      32         64    0.0 %
3.bias    1      32         32    0.0 %
total     9                 108   44.4 %

operation  count
----------------
smux_2_1   6

not quantized:
  3 is a float Linear
"""


def test_the_text() -> None:
    model = nn.Sequential(
        QInput("binary(alpha=1)"),
        QLinear(3, 2, bias=False, weight_quantizer="ternary(alpha=1)"),
        QReLU("quantized_relu(3)"),
        nn.Linear(2, 1),
    )
    with torch.no_grad():
        model.get_submodule("1").weight.copy_(torch.eye(2, 3))  # type: ignore[operator, union-attr]
        for parameter in model.get_submodule("3").parameters():
            parameter.fill_(1.0)
    assert summary(model).text() == TEXT
    assert str(summary(model)) == TEXT


def test_numbers() -> None:
    model = quantize(jets(), scheme(fc2={"weight": "ternary(alpha=1)"}))
    with torch.no_grad():
        model.get_submodule("fc2").weight.copy_(torch.eye(5, 8))
        model.get_submodule("fc2").bias.fill_(0.3)
    made = summary(model)
    assert made.operations == {"smult_6_16": 128, "smux_2_4": 40}
    assert (made.parameters, made.parameter_bits) == (128 + 8 + 40 + 5, 136 * 6 + 40 * 2 + 5 * 6)
    rows = {row.name: row for row in made.rows}
    assert list(rows) == ["input", "input_quantizer", "fc1", "relu1", "drop", "fc2"]
    assert rows["fc1"].type == "QLinearBatchNorm1d"
    assert rows["fc1"].shape == (8,)
    assert rows["relu1"].quantizers == {"output": "quantized_relu(4,0)"}
    assert rows["fc1"].format == "ap_fixed<26,12,TRN,WRAP>"
    weight, bias = rows["fc2"].weights
    assert (weight.name, weight.count, weight.width, weight.bits, weight.zeros) == ("weight", 40, "2", 80, 35)
    assert (bias.width, bias.zeros) == ("6", 0)
    assert 0 < made.sparsity < 1
    assert made.unquantized == ()


def test_a_float_model() -> None:
    made = summary(jets())
    assert made.parameters == 128 + 8 + 16 + 45
    assert made.parameter_bits == 32 * made.parameters
    assert made.unquantized[0] == "fc1 is a float Linear"
    assert "not quantized:\n  fc1 is a float Linear\n  bn1 is a float BatchNorm1d\n" in made.text()


def test_a_module_called_again_counts_its_weights_once() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.act = nn.Linear(4, 4), nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            y = self.act(self.fc(x))
            return self.act(self.fc(y)) + y  # type: ignore[no-any-return]

    made = summary(quantize(Twice(), scheme()), (4,))
    assert made.parameters == 20
    assert made.operations == {"sadder_4_4": 4, "smult_6_16": 16, "smult_6_4": 16}
    assert [row.weights != () for row in made.rows if row.type == "QLinear"] == [True, False]


QUANTIZER_TEXTS = [
    str(example)
    for name, cls in QUANTIZERS.items()
    for example in cls.examples()[:2]
    if not isinstance(getattr(example, "alpha", None), list)
]


@pytest.mark.parametrize("text", QUANTIZER_TEXTS)
@pytest.mark.parametrize("training", [True, False])
def test_it_changes_nothing(text: str, training: bool) -> None:
    torch.manual_seed(0)
    model = quantize(jets(), scheme(fc2={"weight": text, "bias": SIX})).train(training)
    x = torch.randn(6, 16)
    model(x)
    modes = [module.training for module in model.modules()]
    before = {key: value.clone() for key, value in model.state_dict().items()}
    torch.manual_seed(1)
    expected = model.eval()(x)
    model.train(training)
    state = torch.get_rng_state()
    text = summary(model).text()
    assert torch.equal(torch.get_rng_state(), state)
    assert [module.training for module in model.modules()] == modes
    after = model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[key], value) or bool(value.isnan().any()) for key, value in before.items())
    torch.manual_seed(1)
    assert torch.equal(model.eval()(x), expected)
    model.train(training)
    assert summary(model).text() == text
