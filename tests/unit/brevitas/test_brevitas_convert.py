"""Models of the real Brevitas become ours, value for value in float64; what cannot is refused by name."""

from __future__ import annotations

import copy
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hls_export import execute, export
from torchq.brevitas import convert
from torchq.convert import freeze
from torchq.data import load
from torchq.errors import QuantizerError
from torchq.formats import FixedPoint
from torchq.graph import trace
from torchq.nn import LAYERS, QActivation, QInput, QLinear, QReLU
from torchq.train import fit

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import brevitas.nn as qnn
    import brevitas.quant as bq
    from brevitas.quant import fixed_point as po2

pytestmark = pytest.mark.filterwarnings("ignore")  # Brevitas's own

WEIGHT: dict[str, Any] = {"weight_quant": po2.Int8WeightPerTensorFixedPoint, "weight_bit_width": 5}
CHANNEL: dict[str, Any] = {"weight_quant": po2.Int8WeightPerChannelFixedPoint, "weight_bit_width": 4}
BIAS: dict[str, Any] = {"bias_quant": po2.Int8BiasPerTensorFixedPointInternalScaling, "bias_bit_width": 6}
ACT = po2.Int8ActPerTensorFixedPoint
RELU = po2.Uint8ActPerTensorFixedPoint


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(11)


def seen_some(model: nn.Module, *shape: int) -> nn.Module:
    """In float64, with statistics collected, in evaluation mode."""
    model = model.double().train()
    for _ in range(3):
        model(torch.randn(50, *shape, dtype=torch.float64) * 2)
    return model.eval()


def plain(y: Any) -> Tensor:
    return getattr(y, "value", y)


def assert_equal(model: nn.Module, ours: nn.Module, *shape: int) -> None:
    x = torch.randn(500, *shape, dtype=torch.float64) * 3
    assert torch.equal(plain(model(x)), ours(x))


def mlp(**last: Any) -> nn.Sequential:
    return nn.Sequential(
        qnn.QuantIdentity(act_quant=ACT, bit_width=10, return_quant_tensor=True),
        qnn.QuantLinear(16, 12, bias=True, **WEIGHT, **BIAS),
        qnn.QuantReLU(act_quant=RELU, bit_width=6, return_quant_tensor=True),
        qnn.QuantLinear(12, 5, bias=True, **(last or {**CHANNEL, **BIAS})),
    )


def test_a_network_is_equal_in_float64() -> None:
    model = seen_some(mlp(), 16)
    ours = convert(model)
    assert [type(layer) for layer in ours] == [QInput, QLinear, QReLU, QLinear]
    assert_equal(model, ours, 16)
    assert set(ours[1].state_dict()) == {"weight", "bias", "weight_quantizer.qnoise_factor",
                                         "bias_quantizer.qnoise_factor"}  # fmt: skip
    assert torch.equal(ours[1].weight, model[1].weight)
    assert isinstance(ours[3].weight_quantizer.format, FixedPoint)
    assert ours[1].weight_quantizer.bits == 5
    assert str(ours[2].output_quantizer.format).startswith("ap_ufixed<6,")


def test_it_is_a_copy_in_the_mode_of_the_model() -> None:
    model = seen_some(mlp(), 16)
    ours = convert(model)
    with torch.no_grad():
        ours[1].weight.fill_(0.0)
    assert bool((model[1].weight != 0).any())
    assert not ours.training
    assert convert(model.train()).training
    assert model.training


def test_biases_in_the_scale_of_the_products() -> None:
    """Brevitas's usual biases: their scale is that of the input times that of the weight."""
    model = seen_some(
        mlp(**CHANNEL, bias_quant=bq.Int16Bias, return_quant_tensor=True),
        16,
    )
    ours = convert(model)
    assert ours[3].bias_quantizer.bits == 16
    assert_equal(model, ours, 16)


def test_input_and_output_quantizers_of_a_layer() -> None:
    model = seen_some(
        nn.Sequential(
            qnn.QuantLinear(6, 4, bias=False, input_quant=ACT, output_quant=ACT, **WEIGHT),
            qnn.QuantReLU(act_quant=None),
            qnn.QuantIdentity(act_quant=None),
            qnn.QuantHardTanh(act_quant=po2.Int8ActPerTensorFixedPointMinMaxInit, min_val=-1.0, max_val=1.0),
        ),
        6,
    )
    ours = convert(model)
    assert_equal(model, ours, 6)
    assert [name for name, _ in ours[0].named_children()] == ["input_quantizer", "layer"]
    assert isinstance(ours[0].input_quantizer, QInput)
    assert ours[0].layer.output_quantizer is not None
    assert [type(layer) for layer in ours[1:]] == [nn.ReLU, nn.Identity, QActivation]
    trace(ours)


@pytest.mark.parametrize("mode", ["floor", "round_to_zero", "round"])
def test_rounding_modes(mode: str) -> None:
    model = seen_some(
        nn.Sequential(qnn.QuantIdentity(act_quant=ACT, bit_width=4, float_to_int_impl_type=mode)), 3
    )
    assert_equal(model, convert(model, (3,)), 3)


def test_convolutions() -> None:
    assert "QConv2d" in LAYERS
    model = seen_some(
        nn.Sequential(
            qnn.QuantIdentity(act_quant=ACT, return_quant_tensor=True),
            qnn.QuantConv2d(2, 4, 3, padding=1, stride=2, groups=2, bias=True, **CHANNEL, **BIAS),
            qnn.QuantReLU(act_quant=RELU, bit_width=5, return_quant_tensor=True),
            nn.Flatten(2),
            qnn.QuantConv1d(4, 3, 2, dilation=2, bias=False, **WEIGHT),
        ),
        2,
        6,
        6,
    )
    assert_equal(model, convert(model, (2, 6, 6)), 2, 6, 6)


class Residual(nn.Module):
    """A user's own module, with a layer of ours among Brevitas's, one that is called twice, and nesting."""

    def __init__(self) -> None:
        super().__init__()
        self.inp = qnn.QuantIdentity(act_quant=ACT)
        self.block = nn.Sequential(qnn.QuantLinear(6, 6, bias=True, **WEIGHT, **BIAS))
        self.relu = qnn.QuantReLU(act_quant=RELU, bit_width=7)
        self.head = QLinear(6, 3, weight_quantizer="quantized_bits(5,0,alpha=1)")

    def forward(self, x: Tensor) -> Tensor:
        x = self.inp(x)
        x = self.relu(self.block(x))
        return self.head(self.relu(self.block(x)))


def test_mixed_models_train_and_convert() -> None:
    """Layers of Brevitas beside ours, trained on jets together, then all ours and equal."""
    data = load("jets", limit=3_000)
    model = nn.Sequential(
        qnn.QuantIdentity(act_quant=ACT, bit_width=12),
        qnn.QuantLinear(16, 16, bias=True, **WEIGHT, **BIAS),
        QReLU("quantized_relu(6,2)"),
        QLinear(16, 5, weight_quantizer="quantized_bits(6,1,alpha=1)"),
    )
    history = fit(
        model, (data.train.x, data.train.y), (data.valid.x, data.valid.y), epochs=4, batch_size=64, lr=1e-2
    )
    assert history.best.valid_accuracy > 0.5
    model.double()
    ours = convert(model)
    assert [type(layer) for layer in ours] == [QInput, QLinear, QReLU, QLinear]
    assert_equal(model, ours, 16)
    own = seen_some(Residual(), 6)
    assert_equal(own, convert(own), 6)


def test_a_layer_alone_and_one_under_two_names() -> None:
    layer = seen_some(qnn.QuantLinear(4, 3, bias=False, **WEIGHT), 4)
    assert_equal(layer, convert(layer), 4)
    shared = qnn.QuantLinear(4, 4, bias=False, **WEIGHT)
    model = seen_some(nn.Sequential(shared, qnn.QuantReLU(act_quant=RELU), shared), 4)
    ours = convert(model)
    assert ours[0] is ours[2]
    assert_equal(model, ours, 4)


def test_converted_models_are_exported(tmp_path: Path) -> None:
    model = seen_some(mlp(), 16)
    ours = convert(model)
    assert trace(ours).node("1").kind == "linear"
    exported = export(ours, tmp_path / "brevitas.onnx")
    x = torch.randn(40, 16, dtype=torch.float64)
    assert torch.equal(torch.from_numpy(execute(exported.path, x.numpy())), model(x).detach())
    assert torch.equal(freeze(ours)(x), model(x))


def test_and_trained_on() -> None:
    ours = convert(seen_some(mlp(), 16)).float()
    x = torch.randn(100, 16)
    fit(ours, (x, torch.randint(0, 5, (100,))), (x, torch.randint(0, 5, (100,))), epochs=1, batch_size=50)


# ---------------------------------------------------------------------- what is refused


def test_scales_that_are_no_powers_of_two() -> None:
    model = seen_some(
        nn.Sequential(
            qnn.QuantIdentity(act_quant=bq.Int8ActPerTensorFloat),
            qnn.QuantLinear(4, 3, bias=False, weight_quant=bq.Int8WeightPerTensorFloat),
        ),
        4,
    )
    with pytest.raises(QuantizerError) as fault:
        convert(model)
    scales = [float(model[0].act_quant.scale()), float(model[1].quant_weight().scale)]
    assert str(fault.value).splitlines() == [
        f"{name}: the {slot} scale {scale:g} is no power of two, so no fixed-point grid holds the values; "
        "train with Brevitas's FixedPoint quantizers, or convert(model, hardware=False) for torch alone"
        for name, slot, scale in zip("01", ("act", "weight"), scales, strict=True)
    ]
    ours = convert(model, hardware=False)
    assert_equal(model, ours, 4)
    reason = ours[1].weight_quantizer.hardware_reason()
    assert f"the scale {scales[1]:g} is no power of two, so no fixed-point grid holds the values" in reason


def test_and_the_export_of_such_scales(tmp_path: Path) -> None:
    model = seen_some(mlp(weight_quant=bq.Int8WeightPerChannelFloat, **BIAS), 16)
    ours = convert(model, hardware=False)
    assert_equal(model, ours, 16)
    with pytest.raises(Exception, match="3") as fault:
        export(ours, tmp_path / "brevitas.onnx")
    assert type(fault.value).__module__ == "torchq.errors"
    assert not (tmp_path / "brevitas.onnx").exists()


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (
            lambda: qnn.QuantSigmoid(act_quant=RELU),
            (4,),
            "0: QuantSigmoid has no counterpart; known: QuantLinear, ",
        ),
        (
            lambda: qnn.QuantIdentity(act_quant=bq.ShiftedUint8ActPerTensorFloat),
            (4,),
            "0: the act quantizer has a zero point; only symmetric quantizers have a fixed-point format",
        ),
        (
            lambda: qnn.QuantLinear(4, 2, bias=False, weight_quant=bq.SignedBinaryWeightPerTensorConst),
            (4,),
            "0: the weight quantizer is a ClampedBinaryQuant; only integer quantizers with a fixed ",
        ),
        (
            lambda: qnn.QuantIdentity(act_quant=ACT, float_to_int_impl_type="ceil"),
            (4,),
            "0: the act quantizer rounds by ceil; "
            "ap_fixed has ROUND, FLOOR, ROUND_TO_ZERO of Brevitas's modes",
        ),
        (
            lambda: qnn.QuantConv2d(1, 2, 3, stride=2, padding="same", bias=False, **WEIGHT),
            (1, 8, 8),
            '0: padding="same" with a stride has no counterpart; pad in the model',
        ),
        (
            lambda: qnn.QuantHardTanh(act_quant=None, min_val=-1.0, max_val=1.0),
            (4,),
            "0: a QuantHardTanh without quantizer has no counterpart; known: QuantLinear, ",
        ),
    ],
)
def test_layers_without_counterpart(layer: Any, shape: tuple[int, ...], message: str) -> None:
    model = seen_some(nn.Sequential(layer()), *shape)
    with pytest.raises(QuantizerError) as fault:
        convert(model, shape)
    assert str(fault.value).startswith(message)


def test_an_input_of_unknown_shape() -> None:
    with pytest.raises(QuantizerError) as fault:
        convert(nn.Sequential(qnn.QuantIdentity(act_quant=ACT)))
    assert str(fault.value) == "the shape of the input does not follow from the model; give an example"
    with pytest.raises(QuantizerError, match=r"^Brevitas cannot compute the example: .*; give another$"):
        convert(mlp(), (3,))


def test_a_layer_that_is_never_called() -> None:
    class Lazy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.idle = (qnn.QuantLinear(4, 4, bias=False, **WEIGHT) for _ in range(2))

        def forward(self, x: Tensor) -> Tensor:
            return self.used(x)

    with pytest.raises(QuantizerError) as fault:
        convert(Lazy())
    assert str(fault.value) == (
        "idle: the weight quantizer was not called; remove the layer, or give another example"
    )


def test_without_brevitas(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "brevitas"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "brevitas", None)
    with pytest.raises(QuantizerError) as fault:
        convert(nn.Linear(2, 2))
    assert str(fault.value) == "brevitas is not installed; pip install 'torchq[brevitas]'"


def test_the_real_package_is_not_shadowed() -> None:
    assert Path(sys.modules["brevitas"].__file__ or "").parts[-2:] == ("brevitas", "__init__.py")
    assert "torchq" not in (sys.modules["brevitas"].__file__ or "")
    assert copy.deepcopy(convert(nn.Linear(2, 2))).in_features == 2
