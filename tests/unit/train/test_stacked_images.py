"""Stacks of convolutional networks: each candidate ends as ``fit`` leaves it; what is none is said."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from drawn_images import drawn_images
from drawn_stacks import compared
from torch import Tensor, nn

from torchq.convert import quantize
from torchq.scheme import Scheme
from torchq.train import History, fit
from torchq.train.stacked import StackReport, fit_many
from torchq.train.stacked.reading import chain_of
from torchq.train.stacked.windows import Window, of_convolution, of_pool

SETTINGS = {"epochs": 2, "batch_size": 16, "lr": 1e-2}


def images(rows: int, seed: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    drawn = torch.Generator().manual_seed(seed)
    y = torch.randint(0, 3, (rows,), generator=drawn)
    return torch.randn(rows, 1, 8, 8, generator=drawn).to(dtype) + y[:, None, None, None], y


class Digits(nn.Module):
    """A small network whose pools and flattening are functions and methods."""

    def __init__(self, first: int, second: int, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.conv1 = nn.Conv2d(1, first, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(first)
        self.conv2 = nn.Conv2d(first, second, 3, padding=1)
        self.output = nn.Linear(4 * second, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(torch.relu(self.norm1(self.conv1(x))), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.output(x.view(x.size(0), -1))  # type: ignore[no-any-return]


def digits(count: int, dtype: torch.dtype = torch.float64, *, fold: bool = True) -> list[nn.Module]:
    """Candidates with other widths, filters and quantizers."""
    made: list[nn.Module] = []
    for k in range(count):
        weight = ("quantized_bits(6,0,alpha=1)", "ternary(alpha=1)", 'quantized_bits(4,0,alpha="auto_po2")')[
            k % 3
        ]
        scheme = Scheme.uniform(weight, "quantized_bits(6,0,alpha=1)", output=f"quantized_relu({3 + k},2)")
        network = Digits(2 + k, 5 - k, k)
        if not fold:
            network.norm1 = nn.Identity()  # type: ignore[assignment]
        made.append(quantize(network.to(dtype), scheme.with_input("quantized_bits(8,3,alpha=1)")))
    return made


def gap(one: nn.Module, other: nn.Module) -> float:
    a, b = one.state_dict(), other.state_dict()
    return max(float((a[n].double() - b[n].double()).abs().max()) for n in a)


@pytest.mark.parametrize("compile", [False, True])
def test_digits_end_as_alone(compile: bool) -> None:
    models = digits(4)
    alone = copy.deepcopy(models)
    train, valid = images(45, 0), images(20, 1)
    reports: list[StackReport] = []
    histories = fit_many(
        models, train, valid, seeds=range(4), compile=compile, on_report=reports.append, **SETTINGS
    )
    assert reports[0].chunks == ((0, 1, 2, 3),)
    for seed, (model, other, history) in enumerate(zip(models, alone, histories, strict=True)):
        expected = fit(other, train, valid, seed=seed, **SETTINGS)
        assert isinstance(history, History)
        assert history.best_epoch == expected.best_epoch
        assert history.best.valid_loss == pytest.approx(expected.best.valid_loss, rel=1e-10)
        assert gap(model, other) < 1e-8  # a bias before a batch norm has no gradient but noise


def test_in_single_precision_digits_end_the_same() -> None:
    models = digits(3, torch.float32, fold=False)
    alone = copy.deepcopy(models)
    train, valid = images(45, 0, torch.float32), images(20, 1, torch.float32)
    fit_many(models, train, valid, seeds=range(3), **SETTINGS)
    for seed, (model, other) in enumerate(zip(models, alone, strict=True)):
        fit(other, train, valid, seed=seed, **SETTINGS)
        assert gap(model, other) < 1e-5


def test_a_loss_of_ones_own() -> None:
    def loss(answer: Tensor, classes: Tensor) -> Tensor:
        return F.mse_loss(answer, F.one_hot(classes, 3).to(answer.dtype))

    models = digits(2, fold=False)
    alone = copy.deepcopy(models)
    fit_many(models, images(40, 2), images(20, 3), loss=loss, **SETTINGS)
    for model, other in zip(models, alone, strict=True):
        fit(other, images(40, 2), images(20, 3), loss=loss, **SETTINGS)
        assert gap(model, other) < 1e-9


def check(seeds: range) -> None:
    """Averages whose sums cancel may stand on an edge; the order of adding decides the side: 1 in 50."""
    found = {seed: compared(drawn_images(seed)) for seed in seeds}
    wrong = [(seed, one) for seed, ones in found.items() for one in ones if one.unexplained]
    agreeing = [one.agrees for ones in found.values() for one in ones]
    assert len(wrong) <= len(agreeing) // 50, f"drawn_images.drawn_images(seed): {wrong}"
    assert sum(agreeing) > 0.8 * len(agreeing)


def test_drawn_images_end_as_alone() -> None:
    check(range(12))


@pytest.mark.slow
def test_more_drawn_images_end_as_alone() -> None:
    check(range(12, 52))


@pytest.mark.parametrize(
    ("layers", "sentence"),
    [
        (
            [nn.Conv2d(1, 2, 3, padding=1, padding_mode="circular")],
            "0: padding_mode='circular' is not stacked",
        ),
        ([nn.Conv2d(1, 2, 2, padding="same")], "0: padding that is longer on one side is not stacked"),
        ([nn.Conv2d(3, 2, 3)], "0: reads 3 channels, and samples of shape [1, 8, 8] come"),
        ([nn.Conv2d(1, 2, 9)], "0: its kernel is larger than samples of shape [1, 8, 8]"),
        ([nn.Conv2d(1, 2, 3), nn.Linear(6, 3)], "1: a Linear on samples of shape [2, 6, 6] is not stacked"),
        ([nn.Conv2d(1, 2, 3), nn.AvgPool2d(2)], "1: a AvgPool2d is not stacked"),
        ([nn.Conv2d(1, 2, 3), nn.Flatten(2)], "1: samples of shape [2, 36] are not stacked"),
        ([nn.Conv2d(1, 3, 8)], "it answers samples of shape [3, 1, 1], not logits"),
        ([nn.ConvTranspose2d(1, 3, 2)], "0: a ConvTranspose2d is not stacked"),
    ],
)
def test_what_is_no_chain_is_said(layers: list[nn.Module], sentence: str) -> None:
    assert chain_of(nn.Sequential(*layers), (1, 8, 8)) == sentence


def test_sequences_of_vectors_and_flat_networks_on_images() -> None:
    """A flattening that changes nothing is none; a network may begin with one."""
    flat = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    found = chain_of(flat, (1, 8, 8))
    assert not isinstance(found, str)
    assert [link.kind for link in found.links] == ["quantize", "flatten", "linear"]
    found = chain_of(nn.Sequential(nn.Flatten(), nn.Linear(4, 3)), (4,))
    assert not isinstance(found, str)
    assert [link.kind for link in found.links] == ["quantize", "linear"]
    models = [copy.deepcopy(flat).double() for _ in range(2)]
    alone = copy.deepcopy(models)
    fit_many(models, images(40, 2), images(20, 3), **SETTINGS)
    fit(alone[1], images(40, 2), images(20, 3), **SETTINGS)
    assert gap(models[1], alone[1]) < 1e-12


@pytest.mark.parametrize("size", [5, 8, 11])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("dilation", [1, 2])
def test_windows_have_as_many_places_as_torchs(size: int, stride: int, padding: int, dilation: int) -> None:
    x = torch.zeros(1, 2, size)
    conv = nn.Conv1d(2, 3, 2, stride, padding, dilation)
    found = of_convolution(conv, (2, size))
    assert isinstance(found, Window)
    assert found.made == (1, conv(x).shape[2])
    for ceil in (False, True):
        pool = nn.MaxPool1d(2, stride, padding, dilation, ceil_mode=ceil)
        found = of_pool((2, size), 1, 2, stride, padding, dilation, ceil=ceil)
        assert isinstance(found, Window)
        assert found.made == (1, pool(x).shape[2])
