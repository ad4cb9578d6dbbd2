"""Quantizers that find their scales, in stacks: as the quantizers, padded or not, or trained alone."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from tests.unit.train.test_stacked import SETTINGS, TRAIN, VALID, gap, network
from torchq.convert import quantize
from torchq.quantizers import parse
from torchq.scheme import Scheme
from torchq.train import fit
from torchq.train.stacked import StackReport, fit_many
from torchq.train.stacked.formulas import columns, passed, values
from torchq.train.stacked.numbers import Families, Numbers, numbers_of

FINDING = (
    "quantized_bits(4,1,alpha={})", "quantized_bits(1,0,alpha={})", "binary(alpha={})",
    "binary(use_01=1,alpha={})", "ternary(alpha={})",
)  # fmt: skip
BOUNDED = "'auto_po2',max_po2_exponent=-2"
CASES = [
    (text, alpha)
    for text in FINDING
    for alpha in ("'auto'", "'auto_po2'", BOUNDED)
    if not (alpha == BOUNDED and text.startswith("ternary"))  # which has no such argument
]


def weights(seed: int, dtype: torch.dtype) -> Tensor:
    """Random rows, and some of zeros, of one size, of signs, tiny, and with a zero."""
    weight = torch.randn(8, 7, generator=torch.Generator().manual_seed(seed))
    weight[0], weight[1], weight[2] = 0.0, 0.5, weight[2].sign()
    weight[3] *= 1e-9
    weight[4, 0] = 0.0
    return weight.to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("text", "alpha"), CASES)
def test_found_scales_are_the_quantizers_though_padded(text: str, alpha: str, dtype: torch.dtype) -> None:
    """Bit for bit, but for quotients of sums where the quantizer divides means.

    (Float scales make sums that cancel or not by their order, so trainings may differ.)
    """
    bounded = alpha == BOUNDED
    quantizer = parse(text.format(alpha)).channel_axis(0)
    numbers = numbers_of(quantizer, dtype, inputs=7)
    assert isinstance(numbers, Numbers)
    table, families = columns([numbers], dtype), Families.of(numbers)
    exact = "po2" in alpha or text.startswith("quantized_bits(4")
    closeness = 0.0 if exact else 4 * torch.finfo(dtype).eps
    for seed in range(20):
        weight = weights(seed, dtype).requires_grad_()
        expected = quantizer(weight)
        slope = torch.randn(8, 7, generator=torch.Generator().manual_seed(seed)).to(dtype)
        (through,) = torch.autograd.grad(expected, weight, slope)
        padded = torch.zeros(1, 9, 11, dtype=dtype)
        padded[0, :8, :7] = weight.detach()
        whole = values(padded, table, families)[0]
        made = whole[:8, :7]
        assert families.zero_moves or int(whole.count_nonzero()) == int(made.count_nonzero())
        assert torch.allclose(made, expected, rtol=closeness, atol=0)
        assert torch.equal(passed(slope[None], weight.detach()[None], table, families)[0], through)
        assert not bounded or float(made.abs().max()) <= (16 if text.startswith("quantized_bits(4") else 0.25)


@pytest.mark.parametrize(
    "text",
    [
        "quantized_bits(1,2,alpha='auto_po2',max_po2_exponent=-2)",  # one sign in units that are not 1
        "quantized_bits(4,0,keep_negative=0,alpha='auto_po2')",
        "quantized_bits(4,0,alpha='auto_po2',post_training_scale=0.5)",
        "quantized_bits(4,0,alpha='auto_po2',scale_axis=1)",
        "binary(alpha='auto_po2',use_stochastic_rounding=1)",
        "ternary(alpha='auto_po2',number_of_unrolls=2)",
        "ternary(alpha='auto',use_stochastic_rounding=1)",
    ],
)
def test_scales_that_are_found_in_another_way_are_trained_alone(text: str) -> None:
    quantizer = parse(text).channel_axis(0)
    expected = f"{quantizer} finds its scale in a way that is not stacked"
    assert numbers_of(quantizer, torch.float32, inputs=7) == expected


@pytest.mark.parametrize("compile", [False, True])
def test_candidates_of_any_quantizers_share_a_stack(compile: bool) -> None:
    texts = ("binary(alpha='auto_po2')", "ternary(alpha='auto_po2')", "quantized_bits(4,0,alpha='auto_po2')")
    texts += ("quantized_bits(4,0,alpha=1)", "ternary()", "quantized_po2(4,1)")
    bias = "quantized_bits(5,0,alpha=1)"
    models: list[nn.Module] = [
        quantize(network(k, (4 + k, 5), bits=None), Scheme.uniform(text, bias, output="quantized_relu(6,2)"))
        for k, text in enumerate(texts)
    ]
    alone = copy.deepcopy(models)
    reports: list[StackReport] = []
    fit_many(models, TRAIN, VALID, seeds=range(6), compile=compile, on_report=reports.append, **SETTINGS)
    assert reports[0].chunks == ((0, 1, 2, 3, 4, 5),)
    for seed, (model, other) in enumerate(zip(models, alone, strict=True)):
        fit(other, TRAIN, VALID, seed=seed, **SETTINGS)
        assert gap(model, other) < 1e-9
