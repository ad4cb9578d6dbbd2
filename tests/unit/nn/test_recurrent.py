"""``QRNN``, ``QLSTM``, ``QGRU``: torch's numbers without quantizers, integer arithmetic with them."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from torchq.convert import freeze
from torchq.cost import Energy
from torchq.errors import GraphError, QuantizerError, TorchqError
from torchq.graph import evaluate, trace, workloads
from torchq.nn import QGRU, QLSTM, QRNN, QInput, QLinear
from torchq.nn.recurrent import Recurrent

W, B = "quantized_bits(6,0,alpha=1)", "quantized_bits(6,1,alpha=1)"
PAIRS: list[tuple[type[Any], type[Any]]] = [(nn.RNN, QRNN), (nn.LSTM, QLSTM), (nn.GRU, QGRU)]
every_pair = pytest.mark.parametrize(("theirs", "ours"), PAIRS)


def no_quantizers(cls: type[Recurrent]) -> dict[str, None]:
    return dict.fromkeys(cls.slots)


def flat(result: Any) -> list[Tensor]:
    return [result] if isinstance(result, Tensor) else [t for part in result for t in flat(part)]


@every_pair
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"num_layers": 2},
        {"bidirectional": True},
        {"num_layers": 3, "bidirectional": True, "batch_first": True, "bias": False},
    ],
)
def test_without_quantizers_it_is_torch(
    theirs: type[Any], ours: type[Any], arguments: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    module = theirs(3, 5, **arguments).double()
    layer = ours.from_float((module,), no_quantizers(ours))
    assert isinstance(layer, theirs)
    assert layer.missing_slots()
    x = torch.randn(4, 6, 3, dtype=torch.float64, requires_grad=True)
    for mine, reference in zip(flat(layer(x)), flat(module(x)), strict=True):
        assert torch.allclose(mine, reference, atol=1e-12)
    count = layer.num_layers * (2 if layer.bidirectional else 1)
    batch = 4 if layer.batch_first else 6
    h = torch.randn(count, batch, 5, dtype=torch.float64)
    hx = (h, torch.randn_like(h)) if theirs is nn.LSTM else h
    for mine, reference in zip(flat(layer(x, hx)), flat(module(x, hx)), strict=True):
        assert torch.allclose(mine, reference, atol=1e-12)
    single = torch.randn(6, 3, dtype=torch.float64)
    for mine, reference in zip(flat(layer(single)), flat(module(single)), strict=True):
        assert torch.allclose(mine, reference, atol=1e-12)
    first = torch.autograd.grad(layer(x)[0].square().sum(), [x, *layer.parameters()])
    second = torch.autograd.grad(module(x)[0].square().sum(), [x, *module.parameters()])
    assert all(torch.allclose(a, b, atol=1e-10) for a, b in zip(first, second, strict=True))


def test_relu_without_quantizers_is_torch() -> None:
    module = nn.RNN(3, 5, nonlinearity="relu")
    layer = QRNN.from_float((module,), no_quantizers(QRNN))
    x = torch.randn(4, 6, 3)
    assert torch.allclose(layer(x)[0], module(x)[0], atol=1e-6)
    assert "preactivation" not in layer.missing_slots()


def test_dropout_is_between_layers_in_training() -> None:
    layer = QGRU(3, 4, 2, dropout=1.0, weight_quantizer=W, recurrent_quantizer=W, bias_quantizer=B)
    x = torch.randn(5, 2, 3)
    silent = layer(torch.zeros_like(x))[0].detach()
    assert not torch.equal(layer.eval()(x)[0], silent)
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    layer.train()(x)[0].sum().backward()
    assert all(getattr(layer, name).grad is None or not getattr(layer, name).grad.any() for name in names)


# ---------------------------------------------------------------------- integer arithmetic


def code(value: Fraction | float, width: int, fraction: int, signed: bool = True) -> int:
    low, high = (-(2 ** (width - 1)), 2 ** (width - 1) - 1) if signed else (0, 2**width - 1)
    return max(low, min(high, round(Fraction(value) * 2**fraction)))


def sigmoid(pre: int) -> int:
    return code(1 / (1 + math.exp(-pre / 64)), 8, 8, False)


def tanh(pre: int) -> int:
    return code(math.tanh(pre / 64), 8, 7)


def integers(values: Tensor, fraction: int) -> list[Any]:
    scaled = values.double() * 2**fraction
    assert torch.equal(scaled, scaled.round())
    return scaled.long().tolist()  # type: ignore[no-any-return]


def sums(row: list[int], bias: int, x: list[int], places: int) -> Fraction:
    """The exact sum of products: weights have 5 bits behind the point, biases 4."""
    return Fraction(sum(w * v for w, v in zip(row, x, strict=True)), 2 ** (5 + places)) + Fraction(bias, 16)


def gates(layer: Any, x: list[int], h: list[int]) -> tuple[list[Fraction], list[Fraction]]:
    """Input sums and recurrent sums; inputs have 4 bits behind the point, states 7."""
    w, u = (integers(layer.quantized_parameter(n), 5) for n in ("weight_ih_l0", "weight_hh_l0"))
    b, c = (integers(layer.quantized_parameter(n), 4) for n in ("bias_ih_l0", "bias_hh_l0"))
    a = [sums(row, v, x, 4) for row, v in zip(w, b, strict=True)]
    return a, [sums(row, v, h, 7) for row, v in zip(u, c, strict=True)]


def pre(value: Fraction) -> int:
    return code(value, 10, 6)


def rnn_step(layer: Any, x: list[int], states: list[list[int]]) -> list[list[int]]:
    a, b = gates(layer, x, states[0])
    return [[tanh(pre(p + q)) for p, q in zip(a, b, strict=True)]]


def lstm_step(layer: Any, x: list[int], states: list[list[int]]) -> list[list[int]]:
    a, b = gates(layer, x, states[0])
    p = [pre(v + w) for v, w in zip(a, b, strict=True)]
    n = layer.hidden_size
    h, cells = [], []
    for k in range(n):
        i, f, o = sigmoid(p[k]), sigmoid(p[n + k]), sigmoid(p[3 * n + k])
        g = tanh(p[2 * n + k])
        c = code(Fraction(f * states[1][k], 2 ** (8 + 6)) + Fraction(i * g, 2 ** (8 + 7)), 10, 6)
        cells.append(c)
        h.append(code(Fraction(o * tanh(c), 2 ** (8 + 7)), 8, 7))
    return [h, cells]


def gru_step(layer: Any, x: list[int], states: list[list[int]]) -> list[list[int]]:
    a, b = gates(layer, x, states[0])
    n = layer.hidden_size
    h = []
    for k in range(n):
        r, z = (sigmoid(pre(a[j] + b[j])) for j in (k, n + k))
        new = tanh(pre(a[2 * n + k] + Fraction(r, 256) * b[2 * n + k]))
        h.append(code(Fraction((256 - z) * new + z * states[0][k], 2 ** (8 + 7)), 8, 7))
    return [h]


STEPS: list[tuple[type[Any], Callable[..., list[list[int]]]]] = [
    (QRNN, rnn_step),
    (QLSTM, lstm_step),
    (QGRU, gru_step),
]


@pytest.mark.parametrize(("cls", "step"), STEPS)
@pytest.mark.parametrize("spread", [0.3, 2.0])
def test_every_step_is_integer_arithmetic(
    cls: type[Any], step: Callable[..., list[list[int]]], spread: float
) -> None:
    torch.manual_seed(3)
    layer = cls(3, 4, weight_quantizer=W, recurrent_quantizer=W, bias_quantizer=B).double()
    with torch.no_grad():
        for p in layer.parameters():
            p.normal_(0.0, spread)
    x = QInput("fixed(8,4)")(torch.randn(12, 5, 3, dtype=torch.float64) * 2)
    outputs = flat(layer(x))
    for sample in range(5):
        states = [[0] * 4 for _ in cls.state_slots]
        for t in range(12):
            states = step(layer, integers(x[t, sample], 4), states)
            assert states[0] == integers(outputs[0][t, sample], 7), (sample, t)
        for state, final, places in zip(states, outputs[1:], (7, 6), strict=False):
            assert state == integers(final[0, sample], places)
    assert torch.equal(layer.float()(x.float())[0].double(), outputs[0])


# ---------------------------------------------------------------------- states, formats, models


@every_pair
def test_states_stand_on_their_grids(theirs: type[Any], ours: type[Any]) -> None:
    layer = ours.from_float((theirs(3, 4, 2, bidirectional=True),), {"weight": W, "bias": B}).double()
    assert str(layer.recurrent_quantizer) == str(layer.weight_quantizer)
    h = torch.randn(4, 2, 4, dtype=torch.float64)
    hx = (h, h * 3) if ours is QLSTM else h
    y, *states = flat(layer(torch.randn(5, 2, 3, dtype=torch.float64), hx))
    for values, slot in zip((y, *states), ("state", *ours.state_slots), strict=True):
        assert layer.quantizer(slot).format.holds(values.detach().numpy()).all()
    assert torch.equal(y[-1, :, :4], states[0][2])
    assert torch.equal(y[0, :, 4:], states[0][3])
    quantized = layer.state_quantizer(h)
    again = (quantized, layer.cell_quantizer(h * 3)) if ours is QLSTM else quantized
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    assert torch.equal(layer(x, hx)[0], layer(x, again)[0])


class Classifier(nn.Module):
    def __init__(self, recurrent: nn.Module, size: int) -> None:
        super().__init__()
        self.input_quantizer = QInput("fixed(8,3)")
        self.rnn = recurrent
        self.fc = QLinear(size, 2, weight_quantizer=W, bias_quantizer=B)

    def forward(self, x: Tensor) -> Tensor:
        y, _ = self.rnn(self.input_quantizer(x))
        return self.fc(y[:, -1])  # type: ignore[no-any-return]


class FinalState(Classifier):
    def forward(self, x: Tensor) -> Tensor:
        _, h = self.rnn(self.input_quantizer(x))
        return self.fc(h[-1])  # type: ignore[no-any-return]


@every_pair
def test_a_model_is_traced_and_its_work_counted(theirs: type[Any], ours: type[Any]) -> None:
    layer = ours.from_float((theirs(3, 4, batch_first=True),), {"weight": W, "bias": B})
    model = Classifier(layer, 4).eval()
    graph = trace(model, (7, 3))
    works = {work.layer: work for work in workloads(graph)}
    gates = layer.gates
    assert graph.node("rnn").kind == ours.kind
    assert (works["rnn.ih_l0"].macs, works["rnn.hh_l0"].macs) == (7 * gates * 4 * 3, 7 * gates * 4 * 4)
    assert works["rnn.ih_l0"].weight.shape == (gates * 4, 3)  # type: ignore[union-attr]
    assert str(works["rnn.ih_l0"].accumulator) == "ap_fixed<16,6,TRN,WRAP>"
    assert str(works["rnn.hh_l0"].accumulator) == "ap_fixed<16,4,TRN,WRAP>"
    assert works["rnn.hh_l0"].inputs[0].format == layer.state_quantizer.format
    assert works["rnn"].macs == 0
    assert works["fc"].inputs[0].format == layer.state_quantizer.format
    x = torch.randn(9, 7, 3, dtype=torch.float64)
    assert torch.equal(evaluate(graph, x)["fc"], model.double()(x))
    assert torch.equal(freeze(model)(x), model(x))


def test_the_final_state_may_be_read() -> None:
    layer = QGRU.from_float((nn.GRU(3, 4, batch_first=True),), {"weight": W, "bias": B})
    model = FinalState(layer, 4).eval()
    graph = trace(model, (7, 3))
    x = torch.randn(9, 7, 3, dtype=torch.float64)
    last_output = Classifier(layer, 4).eval()
    last_output.load_state_dict(model.state_dict())
    assert torch.equal(evaluate(graph, x)["fc"], model.double()(x))
    assert torch.equal(model(x), last_output.double()(x))


def test_two_layers_and_directions_are_counted_apart() -> None:
    layer = QLSTM.from_float(
        (nn.LSTM(3, 4, 2, bidirectional=True, batch_first=True),), {"weight": W, "bias": B}
    )
    works = {work.layer: work for work in workloads(trace(Classifier(layer, 8), (5, 3)))}
    endings = ("l0", "l0_reverse", "l1", "l1_reverse")
    assert [name for name in works if name.startswith("rnn.")] == [
        f"rnn.{which}_{ending}" for ending in endings for which in ("ih", "hh", "cell")
    ]
    row = Energy().price(tuple(works.values())).layers[list(works).index("rnn")]
    assert row["energy_pj"] == 0  # both directions side by side, as the cells wrote them
    assert works["rnn.ih_l1"].fan_in == 8
    assert works["rnn.ih_l1"].macs == 5 * 16 * 8


def test_each_weight_keeps_its_own_format_when_frozen() -> None:
    """One quantizer with a scale from the data serves four matrices."""
    auto = "quantized_bits(4,0,alpha='auto_po2')"
    layer = QGRU.from_float((nn.GRU(3, 4, 2, batch_first=True),), {"weight": auto, "bias": B})
    with torch.no_grad():
        layer.weight_ih_l1.mul_(16)  # type: ignore[operator]
    model = Classifier(layer, 4).eval()
    plain, frozen = workloads(trace(model, (5, 3))), workloads(trace(freeze(model), (5, 3)))
    assert plain == frozen
    formats = {str(work.weight.format) for work in plain if work.layer.startswith("rnn.ih")}  # type: ignore[union-attr]
    assert len(formats) == 2


@every_pair
def test_a_float_checkpoint_loads(theirs: type[Any], ours: type[Any]) -> None:
    module = theirs(3, 4, 2)
    layer = ours(3, 4, 2, weight_quantizer=W, recurrent_quantizer=W, bias_quantizer=B)
    layer.load_state_dict(module.state_dict())
    assert torch.equal(layer.weight_hh_l1, module.weight_hh_l1)
    assert torch.equal(layer(torch.ones(2, 1, 3))[0], layer(torch.ones(2, 1, 3))[0])


def test_errors() -> None:
    layer = QLSTM(3, 4, weight_quantizer=W)
    packed = nn.utils.rnn.pack_sequence([torch.zeros(2, 3)])
    with pytest.raises(TorchqError) as caught:
        layer(packed)
    assert str(caught.value) == (
        "QLSTM: got a PackedSequence, a tensor is needed; pad the sequences with "
        "torch.nn.utils.rnn.pad_packed_sequence"
    )
    with pytest.raises(TorchqError) as caught:
        layer(torch.zeros(2, 5, 4))
    assert str(caught.value) == (
        "QLSTM needs [steps, batch, 3] (batch first, or none), got a tensor of shape (2, 5, 4)"
    )
    with pytest.raises(TorchqError) as caught:
        layer(torch.zeros(2, 5, 3), torch.zeros(1, 5, 4))
    assert str(caught.value) == ("QLSTM needs 2 initial state(s) of shape (1, 5, 4), got (1, 5, 4)")
    with pytest.raises(TorchqError) as caught:
        QLSTM.from_float((nn.LSTM(3, 4, proj_size=2),), {})
    assert str(caught.value) == "QLSTM has no projection, got proj_size=2; put a Linear layer after it"
    with pytest.raises(QuantizerError, match=r"QGRU: preactivation_quantizer fixed\(16,4\) makes 16 bits"):
        QGRU(3, 4, preactivation_quantizer="fixed(16,4)")


def test_what_is_missing_is_named() -> None:
    model = Classifier(QGRU(3, 4, batch_first=True, weight_quantizer=W), 4)
    with pytest.raises(GraphError) as caught:
        trace(model, (7, 3))
    assert str(caught.value).splitlines() == [
        "the recurrent of rnn has no quantizer; give it a recurrent_quantizer",
        "the bias of rnn has no quantizer; give it a bias_quantizer",
    ]
    with pytest.raises(GraphError) as caught:
        trace(model, (7, 4))
    assert "rnn needs samples of shape (steps, 3), got samples of shape (7, 4)" in str(caught.value)


@every_pair
def test_it_goes_back_to_torch(theirs: type[Any], ours: type[Any]) -> None:
    module = theirs(3, 4, 2, bidirectional=True, batch_first=True).eval()
    twin = ours.from_float((module,), {"weight": W, "bias": B}).dequantized()
    x = torch.randn(2, 5, 3)
    assert type(twin) is theirs
    assert torch.equal(twin(x)[0], module(x)[0])
    assert not {id(p) for p in twin.parameters()} & {id(p) for p in module.parameters()}
    with torch.no_grad():
        twin.weight_ih_l0.zero_()
    assert not torch.equal(twin(x)[0], module(x)[0])
