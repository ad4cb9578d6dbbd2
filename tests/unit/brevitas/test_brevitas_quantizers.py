"""A quantizer of Brevitas inside our layers and schemes."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from torchq.brevitas import brevitas, enable
from torchq.convert import freeze, quantize
from torchq.data import load
from torchq.errors import QuantizerError, SchemeError
from torchq.formats import Float
from torchq.graph import trace
from torchq.models import jets_mlp
from torchq.nn import QLinear
from torchq.quantizers import QUANTIZERS, parse
from torchq.scheme import Scheme
from torchq.train import fit

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import brevitas.nn as qnn
    import brevitas.quant as bq
    from brevitas.quant import fixed_point as po2

pytestmark = pytest.mark.filterwarnings("ignore")  # Brevitas's own

WEIGHT = "brevitas('Int8WeightPerTensorFixedPoint',bit_width=6)"
RELU = "brevitas('Uint8ActPerTensorFixedPoint',bit_width=6)"
INPUT = "brevitas('Int8ActPerTensorFixedPoint',bit_width=12)"


@pytest.fixture
def texts() -> Iterator[None]:
    """Texts name Brevitas's quantizers; the registry of the other tests stays as it was."""
    entries = vars(QUANTIZERS)
    before = {name: copy.copy(value) for name, value in entries.items() if isinstance(value, dict)}
    enable()
    enable()
    yield
    entries.update(before)


@pytest.mark.parametrize("injector", [po2.Int8WeightPerTensorFixedPoint, po2.Int8WeightPerChannelFixedPoint])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_weights_as_a_layer_of_brevitas_has_them(injector: Any, dtype: torch.dtype) -> None:
    theirs = qnn.QuantLinear(7, 5, bias=False, weight_quant=injector, weight_bit_width=5).to(dtype)
    ours = QLinear(7, 5, bias=False, weight_quantizer=brevitas(injector, 5), dtype=dtype)
    for _ in range(3):
        with torch.no_grad():
            theirs.weight.copy_(torch.randn(5, 7) * torch.tensor([[0.1], [1.0], [3.0], [0.5], [2.0]]))
            ours.weight.copy_(theirs.weight)
        assert torch.equal(ours.quantized_weight(), theirs.quant_weight().value)
    grid = ours.weight_quantizer.format
    assert grid.holds(ours.quantized_weight().detach().double().numpy()).all()
    assert np.all(grid.width == 5)
    assert list(ours.state_dict()) == ["weight", "weight_quantizer.qnoise_factor"]
    assert [name for name, _ in ours.named_parameters()] == ["weight"]


@pytest.mark.parametrize("shape", [(4, 3, 5), (4, 3, 2, 2)])
def test_weights_of_convolutions(shape: tuple[int, ...]) -> None:
    q = brevitas("Int8WeightPerChannelFixedPoint", 4)
    w = torch.randn(shape) * torch.tensor([0.1, 1.0, 4.0, 9.0]).reshape(-1, *(1,) * (len(shape) - 1))
    values = q(w).detach().double().numpy()
    assert q.format.holds(values).all()
    assert np.shape(q.format.integer) == (4, *(1,) * (len(shape) - 1))


def test_activations_as_brevitas_has_them_with_learned_scales() -> None:
    theirs = qnn.QuantIdentity(act_quant=po2.Int8ActPerTensorFixedPoint, bit_width=6, collect_stats_steps=2)
    ours = brevitas("Int8ActPerTensorFixedPoint", 6)
    for _ in range(4):
        x = torch.randn(50, 3) * 5
        theirs(x), ours(x)
    theirs.eval(), ours.eval()
    torch.testing.assert_close(ours(x), theirs(x))
    fresh = brevitas("Int8ActPerTensorFixedPoint", 6)
    fresh.load_state_dict(ours.state_dict())
    assert torch.equal(fresh.eval()(x), ours(x))
    assert str(fresh.format) == str(ours.format)
    assert float(ours.format.lsb) == float(theirs.act_quant.scale())


def test_the_gradient_is_brevitass() -> None:
    q = brevitas("Int8ActPerTensorFixedPoint", 4)
    q(torch.linspace(-1, 1, 100))
    q.eval()
    x = torch.tensor([0.1, 50.0, -50.0], requires_grad=True)
    q(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1.0, 0.0, 0.0]


def test_a_scheme_of_brevitas_quantizers(texts: None) -> None:
    """Trained on jets, traced, frozen: as with any of our own."""
    scheme = Scheme.uniform(weight=WEIGHT, bias="quantized_bits(8,1,alpha=1)", output=RELU, input=INPUT)
    model = quantize(jets_mlp(units=(16,), seed=0), scheme)
    data = load("jets", limit=3_000)
    history = fit(
        model, (data.train.x, data.train.y), (data.valid.x, data.valid.y), epochs=3, batch_size=64, lr=1e-2
    )
    assert history.best.valid_accuracy > 0.5
    graph = trace(model)
    assert graph.node("relu1").format.width == 6
    assert not graph.node("relu1").format.signed
    model.double()
    x = torch.from_numpy(data.valid.x).double()
    assert torch.equal(freeze(model)(x), model.eval()(x))
    twin = copy.deepcopy(model)
    assert torch.equal(twin(x), model(x))


def test_texts_read_back(texts: None) -> None:
    for text in (WEIGHT, "brevitas('Int8ActPerTensorFloat')"):
        assert str(parse(text)) == text
        assert Scheme({"fc1": {"weight": text}}).slot("fc1", "weight") == text
    with pytest.raises(
        SchemeError, match=r"Brevitas has no quantizer 'Int8'; see brevitas.quant, for instance"
    ):
        Scheme({"fc1": {"weight": "brevitas('Int8')"}})


def test_scales_that_no_hardware_has() -> None:
    q = brevitas("Int8WeightPerTensorFloat")
    assert q.hardware_reason() == f"{q}: no tensor has come, so its scale is not known"
    assert q.bits == 8
    q(torch.tensor([[0.3, -0.7]]))
    assert isinstance(q.format, Float)
    assert q.hardware_reason() == (
        f"{q}: the scale 0.0055 is no power of two, so no fixed-point grid holds the values"
    )
    good = brevitas("Int8WeightPerTensorFixedPoint")
    good(torch.tensor([[0.3, -0.7]]))
    assert good.hardware_reason() is None


def test_quantization_is_faded_in() -> None:
    q = brevitas("Int8WeightPerTensorFixedPoint", 3)
    x = torch.tensor([[0.3, -0.7]])
    full = q(x)
    q.update_qnoise_factor(0.5)
    torch.testing.assert_close(q(x), (full + x) / 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: brevitas("Int8"),
            "brevitas: Brevitas has no quantizer 'Int8'; see brevitas.quant, for instance "
            "Int8ActPerTensorFixedPoint",
        ),
        (lambda: brevitas(3), "brevitas: needs a quantizer class of Brevitas or its name, got 3"),
        (
            lambda: brevitas(bq.Int16Bias),
            "brevitas: Int16Bias is no quantizer of weights or activations",
        ),
        (
            lambda: brevitas("Int8WeightPerTensorFixedPoint")(torch.zeros(3)),
            "brevitas: weights have 2 to 4 axes, got a tensor of shape (3,)",
        ),
        (
            lambda: brevitas(bq.ShiftedUint8ActPerTensorFloat)(torch.linspace(-3, 2, 50)),
            "brevitas: has a zero point; only symmetric quantizers have a fixed-point format",
        ),
    ],
)
def test_what_is_no_quantizer(make: Any, message: str) -> None:
    with pytest.raises(QuantizerError) as fault:
        make()
    assert str(fault.value) == message


def test_no_layer_of_brevitas_is_left_in_the_parameters() -> None:
    model = nn.Sequential(QLinear(3, 2, weight_quantizer=brevitas("Int8WeightPerTensorFixedPoint")))
    model(torch.randn(2, 3))
    assert sum(p.numel() for p in model.parameters()) == 8
