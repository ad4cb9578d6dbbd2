"""Convolutions: drop-in, quantized as said, and refusals word for word."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torchq.convert import freeze, quantize
from torchq.errors import GraphError, QuantizerError, TorchqError
from torchq.graph import evaluate, trace, workloads
from torchq.nn import (
    QConv1d,
    QConv2d,
    QConv2dBatchNorm,
    QConvTranspose1d,
    QConvTranspose2d,
    QInput,
    QReLU,
    QSeparableConv1d,
    QSeparableConv2d,
)
from torchq.nn.batch_folding import fold_batch_norm, random_statistics
from torchq.scheme import Scheme

WEIGHT, BIAS = "quantized_bits(4,0,alpha=1)", "quantized_bits(5,1,alpha=1)"

OPTIONS: list[dict[str, Any]] = [
    {},
    {"stride": 2, "padding": 1},
    {"padding": "same", "dilation": 2},
    {"padding": "valid", "bias": False},
    {"groups": 2},
    {"groups": 4},
    *({"padding": 2, "padding_mode": mode} for mode in ("zeros", "reflect", "replicate", "circular")),
]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(5)


def samples(spatial: int, batch: int = 3) -> Tensor:
    return torch.randn(batch, 4, *(8, 7)[:spatial], dtype=torch.float64)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize(("ours", "theirs", "spatial"), [(QConv1d, nn.Conv1d, 1), (QConv2d, nn.Conv2d, 2)])
def test_a_convolution_is_torchs_with_quantized_parameters(
    ours: Any, theirs: Any, spatial: int, options: dict[str, Any]
) -> None:
    plain = theirs(4, 8, 3, **options).double()
    layer = ours(4, 8, 3, **options).double()
    assert isinstance(layer, theirs)
    layer.load_state_dict(plain.state_dict())
    x = samples(spatial)
    assert torch.equal(layer(x), plain(x))
    quantized = ours(4, 8, 3, **options, weight_quantizer=WEIGHT, bias_quantizer=BIAS).double()
    quantized.load_state_dict(plain.state_dict())
    with torch.no_grad():
        plain.weight.copy_(quantized.quantized_weight())
        if plain.bias is not None:
            plain.bias.copy_(quantized.quantized_bias())
    assert torch.equal(quantized(x), plain(x))
    assert quantized.quantized_weight().unique().numel() <= 16


@pytest.mark.parametrize(
    "options",
    [{}, {"stride": 2}, {"stride": 3, "padding": 1, "output_padding": 2}, {"groups": 2, "dilation": 2}],
    ids=str,
)
@pytest.mark.parametrize(
    ("ours", "theirs", "spatial"),
    [(QConvTranspose1d, nn.ConvTranspose1d, 1), (QConvTranspose2d, nn.ConvTranspose2d, 2)],
)
def test_a_transposed_convolution_is_torchs(
    ours: Any, theirs: Any, spatial: int, options: dict[str, Any]
) -> None:
    plain = theirs(4, 6, 3, **options).double()
    layer = ours(4, 6, 3, **options).double()
    layer.load_state_dict(plain.state_dict())
    x = samples(spatial)
    assert torch.equal(layer(x), plain(x))


def test_a_transposed_convolution_takes_the_size_wanted() -> None:
    layer = QConvTranspose2d(4, 2, 3, stride=2, weight_quantizer=WEIGHT, bias_quantizer=BIAS)
    x = samples(2).float()
    assert layer(x).shape[2:] == (17, 15)
    assert layer(x, output_size=(18, 15)).shape[2:] == (18, 15)
    assert torch.equal(layer(x, [17, 15]), layer(x))


@pytest.mark.parametrize(
    ("kernel", "stride", "dilation"), [(3, 1, 1), (3, 2, 1), (4, 2, 1), (3, 2, 2), (5, 4, 2)]
)
def test_fan_in_of_a_transposed_convolution_is_the_most_that_meets(
    kernel: int, stride: int, dilation: int
) -> None:
    layer = QConvTranspose1d(2, 1, kernel, stride, dilation=dilation, bias=False)
    with torch.no_grad():
        layer.weight.fill_(1.0)
    assert layer(torch.ones(1, 2, 12)).max().item() == layer.fan_in


def test_scales_per_channel_are_per_output() -> None:
    auto = "quantized_bits(4,0,alpha='auto_po2')"
    for layer, shape in (
        (QConv2d(4, 6, 3, weight_quantizer=auto), (6, 1, 1, 1)),
        (QConv2d(4, 4, 3, groups=4, weight_quantizer=auto), (4, 1, 1, 1)),
        (QConv1d(4, 6, 3, weight_quantizer=auto), (6, 1, 1)),
        (QConvTranspose2d(4, 6, 3, weight_quantizer=auto), (1, 6, 1, 1)),
    ):
        layer.quantized_weight()
        assert layer.weight_quantizer is not None
        assert layer.weight_quantizer.scale.shape == shape


def test_an_empty_batch_gives_an_empty_batch() -> None:
    for layer, shape in (
        (QConv2d(4, 2, 3, weight_quantizer=WEIGHT, output_quantizer=BIAS), (0, 2, 6, 5)),
        (QConvTranspose2d(4, 2, 3, weight_quantizer=WEIGHT), (0, 2, 10, 9)),
        (QSeparableConv2d(4, 2, 3, depthwise_quantizer=WEIGHT), (0, 2, 6, 5)),
    ):
        assert layer(torch.zeros(0, 4, 8, 7)).shape == shape


def sentence(call: Any, kind: type[TorchqError] = TorchqError) -> str:
    with pytest.raises(kind) as caught:
        call()
    return str(caught.value)


def test_what_cannot_be_is_refused() -> None:
    assert sentence(lambda: QConv2d(4, 6, 3, groups=3)) == (
        "QConv2d: 3 groups do not divide 4 input and 6 output channels; groups must be a divisor of both"
    )
    assert sentence(lambda: QConvTranspose1d(4, 6, 3, groups=0)) == (
        "QConvTranspose1d: 0 groups do not divide 4 input and 6 output channels; "
        "groups must be a divisor of both"
    )
    assert sentence(lambda: QConv2d(1, 1, 3, stride=2, padding="same")) == (
        "QConv2d: padding='same' is not supported for strided convolutions"
    )
    assert sentence(
        lambda: QConv1d(2, 3, 3, weight_quantizer="quantized_bits(4,alpha=[1.0,2.0])"), QuantizerError
    ) == ("the weight of QConv1d: quantized_bits: alpha has 2 values, the tensor has 3 along axis 0")
    assert sentence(lambda: QConv2d(1, 1, 1)(torch.ones(1, 1, 2, 2, dtype=torch.int64))) == (
        "QConv2d reads floating-point tensors, got int64; convert it first, for example with x.float()"
    )


def traced(*layers: nn.Module, shape: tuple[int, ...]) -> str:
    return sentence(lambda: trace(nn.Sequential(QInput("quantized_bits(8,3)"), *layers), shape), GraphError)


def test_samples_of_another_shape_are_refused_with_the_layers_name() -> None:
    layer = QConv2d(3, 4, 3, weight_quantizer=WEIGHT, bias_quantizer=BIAS)
    assert traced(layer, shape=(1, 8, 8)) == (
        "1 needs samples of shape [3, rows, columns], got samples of shape (1, 8, 8) from 0"
    )
    assert traced(layer, shape=(3, 8, 2)) == (
        "1 has a kernel that reaches over 3 x 3 positions, got samples of shape (3, 8, 2) from 0"
    )
    transposed = QConvTranspose1d(3, 4, 3, weight_quantizer=WEIGHT, bias_quantizer=BIAS)
    assert traced(transposed, shape=(2, 8)) == (
        "1 needs samples of shape [3, length], got samples of shape (2, 8) from 0"
    )


def test_work_of_groups_and_depthwise_layers() -> None:
    model = nn.Sequential(
        QInput("quantized_bits(8,0)"),
        QConv2d(4, 8, 3, padding=1, groups=2, weight_quantizer=WEIGHT, bias_quantizer=BIAS),
        QReLU("quantized_relu(4,1)"),
        QConv2d(8, 8, 3, 2, groups=8, bias=False, weight_quantizer=WEIGHT),
    )
    works = {work.layer: work for work in workloads(trace(model, (4, 6, 6)))}
    grouped, depthwise = works["1"], works["3"]
    assert (grouped.kind, grouped.fan_in, grouped.macs) == ("conv2d", 18, 18 * 8 * 36)
    assert (depthwise.fan_in, depthwise.macs) == (9, 9 * 8 * 4)
    assert grouped.weight is not None
    assert grouped.weight.shape == (8, 2, 3, 3)
    assert depthwise.bias is None


class Separable(nn.Module):
    def __init__(self, between: str | None) -> None:
        super().__init__()
        self.input = QInput("quantized_bits(8,3)")
        self.sep = QSeparableConv2d(
            3,
            4,
            3,
            depth_multiplier=2,
            depthwise_quantizer=WEIGHT,
            pointwise_quantizer=WEIGHT,
            bias_quantizer=BIAS,
            depthwise_output_quantizer=between,
        )

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.sep(self.input(x))
        return result


def test_a_separable_convolution_is_traced_as_two_layers() -> None:
    model = Separable("quantized_bits(8,3,alpha=1)").double()
    graph = trace(model, (3, 5, 5))
    assert [node.name for node in graph.nodes][-2:] == ["sep.depthwise", "sep.pointwise"]
    works = {work.layer: work for work in workloads(graph)}
    assert works["sep.depthwise"].macs == 9 * 6 * 9
    assert works["sep.pointwise"].macs == 6 * 4 * 9
    x = torch.randn(20, 3, 5, 5, dtype=torch.float64)
    assert torch.equal(evaluate(graph, x)["sep.pointwise"], model.eval()(x))
    assert torch.equal(freeze(model)(x), model(x))


def test_a_separable_convolution_without_quantizers() -> None:
    layer = QSeparableConv1d(3, 5, 3, padding="same").double()
    x = torch.randn(2, 3, 9, dtype=torch.float64)
    between = F.conv1d(x, layer.depthwise.weight, padding=1, groups=3)
    torch.testing.assert_close(layer(x), F.conv1d(between, layer.pointwise.weight, layer.pointwise.bias))


def pair(groups: int = 1) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    conv = nn.Conv2d(4, 4, 3, padding=1, groups=groups)
    norm = random_statistics(nn.BatchNorm2d(4))
    assert isinstance(norm, nn.BatchNorm2d)
    return conv.double(), norm.double()


@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("folding", ["ema_stats", "batch_stats"])
def test_without_quantizers_a_folded_convolution_is_the_pair(groups: int, folding: Any) -> None:
    conv, norm = pair(groups)
    layer = QConv2dBatchNorm.from_float(copy.deepcopy((conv, norm)), {}, folding=folding)
    for _ in range(3):
        x = samples(2)
        torch.testing.assert_close(layer(x), norm(conv(x)))
    torch.testing.assert_close(layer.batch_norm.running_var, norm.running_var)
    layer.eval(), norm.eval()
    x = samples(2)
    torch.testing.assert_close(layer(x), norm(conv(x)))
    torch.testing.assert_close(fold_batch_norm(conv, norm)(x), norm(conv(x)))


def test_faults_of_folded_convolutions_are_named() -> None:
    layer = QConv2dBatchNorm(1, 2, 3)
    assert sentence(lambda: layer(torch.zeros(1, 1, 3, 3))) == (
        "QConv2dBatchNorm needs at least 2 values for each channel in a training batch, got 1; "
        "leave out the last batch, or call eval() first"
    )
    assert sentence(lambda: layer(torch.zeros(1, 4, 4))) == (
        "QConv2dBatchNorm trains on batches of 4 axes, got 3"
    )
    conv, _ = pair()
    assert sentence(lambda: QConv2dBatchNorm.from_float((conv, nn.BatchNorm2d(3)), {})) == (
        "a BatchNorm2d of 3 channels cannot be folded into 4 outputs"
    )
    assert sentence(lambda: fold_batch_norm(nn.Conv2d(1, 2, 1), nn.BatchNorm1d(2))) == (
        "a BatchNorm1d cannot be folded into a Conv2d"
    )


def test_a_convolutional_network_is_converted_and_frozen() -> None:
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3, groups=4), nn.ReLU()
    )
    scheme = Scheme.uniform(WEIGHT, BIAS, output="quantized_relu(6,2)", input="quantized_bits(8,3,alpha=1)")
    model = quantize(net, scheme, (1, 6, 6))
    assert [type(layer).__name__ for layer in model.children()] == [
        "QConv2dBatchNorm",
        "QReLU",
        "QConv2d",
        "QReLU",
        "QInput",
    ]
    model(torch.randn(4, 1, 6, 6)).sum().backward()
    model.double().eval()
    x = torch.randn(10, 1, 6, 6, dtype=torch.float64)
    assert torch.equal(freeze(model)(x), model(x))
    values = evaluate(trace(freeze(model), (1, 6, 6)), x)
    assert torch.equal(values["4"], model(x))
