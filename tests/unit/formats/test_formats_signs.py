"""``ScaledSigns``: values, texts and bits; moved, it stays what it is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from torchq.cost.operators import operand
from torchq.formats import Binary, FixedPoint, ScaledSigns, Ternary
from torchq.graph.moves import moved_format
from torchq.quantizers import parse
from torchq.workload import ParamSpec, total_bits

POWERS = np.array([[-3], [0], [2]])
ALPHABETS = (Ternary(), Binary(), Binary(use_01=True))


@pytest.mark.parametrize("signs", ALPHABETS, ids=str)
def test_each_channel_has_the_values_of_its_scale(signs: Ternary | Binary) -> None:
    format = ScaledSigns.of(signs, POWERS)
    for row, power in enumerate(POWERS.ravel()):
        alone = type(signs)(2.0**power) if isinstance(signs, Ternary) else Binary(2.0**power, signs.use_01)
        fixed = alone.as_fixed()
        assert (format.lo[row, 0], format.hi[row, 0], format.lsb[row, 0]) == (fixed.lo, fixed.hi, fixed.lsb)
    assert total_bits(format, (3, 4)) == 12 * signs.width
    assert operand(format) == operand(signs)
    assert ParamSpec("weight", (3, 4), format).bits == 12 * signs.width


@pytest.mark.parametrize(
    ("signs", "text"),
    [*zip(ALPHABETS, ("ternary<0.125..4>", "binary<+-0.125..4>", "binary<0,0.125..4>"), strict=True)],
)
def test_texts(signs: Ternary | Binary, text: str) -> None:
    assert str(ScaledSigns.of(signs, POWERS)) == text
    assert str(ScaledSigns.of(signs, POWERS[:1])) == text.replace("..4", "")


def test_signs_are_no_plain_fixed_point() -> None:
    ternary, binary = (ScaledSigns.of(signs, POWERS) for signs in ALPHABETS[:2])
    assert ternary.as_fixed() == binary.as_fixed() == FixedPoint(2, 2 + POWERS, overflow="SAT_SYM")
    assert type(ternary.as_fixed()) is FixedPoint
    assert len({ternary, binary, ternary.as_fixed(), ScaledSigns.of(Ternary(), POWERS)}) == 3


def test_moved_signs_are_signs() -> None:
    moved = moved_format(ScaledSigns.of(Binary(), POWERS), (3, 2), np.arange(6)[::-1])
    assert isinstance(moved, ScaledSigns)
    assert str(moved) == "binary<+-0.125..4>"
    assert total_bits(moved, (6,)) == 6


@pytest.mark.parametrize(
    "text",
    [
        "ternary(alpha='auto_po2')",
        "binary(alpha='auto_po2')",
        "binary(use_01=True,alpha='auto_po2')",
        "stochastic_ternary(alpha='auto_po2')",
        "stochastic_binary(alpha='auto_po2')",
        "quantized_bits(1,0,alpha='auto_po2')",
        "quantized_linear(1,0,alpha='auto_po2')",
    ],
)
def test_quantizers_that_find_scales_have_signs(text: str) -> None:
    quantizer = parse(text).eval()
    rows = torch.tensor([[0.05], [1.0], [3.0]])
    made: Tensor = quantizer(rows * torch.tensor([[-1.0, 0.9, 1.1, -0.8]]))
    format = quantizer.format
    assert isinstance(format, ScaledSigns)
    assert bool(np.all(format.holds(made.numpy())))
    assert len(set(format.lsb.ravel())) > 1
    assert total_bits(format, (3, 4)) == 12 * quantizer.bits
