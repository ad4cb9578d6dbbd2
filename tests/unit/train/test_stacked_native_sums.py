"""The kernels in C that add: the loss, moments and what a batch norm passes back, within rounding."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from torchq.train.stacked import native
from torchq.train.stacked.arithmetic import Arithmetic

pytestmark = pytest.mark.skipif(native.lack() is not None, reason=str(native.lack()))

TYPES = {torch.float32: 2e-6, torch.float64: 1e-14}


def _drawn(*shape: int, dtype: torch.dtype, seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def _close(mine: Tensor, theirs: Tensor) -> bool:
    scale = max(float(theirs.abs().max()), 1.0)
    return mine.shape == theirs.shape and float((mine - theirs).abs().max()) <= TYPES[mine.dtype] * scale


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("classes", [2, 5, 300])
@pytest.mark.parametrize("turned", [False, True])
def test_the_loss(dtype: torch.dtype, classes: int, turned: bool) -> None:
    logits = 20 * _drawn(3, 1000, classes, dtype=dtype)
    logits = logits.transpose(1, 2).contiguous().transpose(1, 2) if turned else logits
    y = torch.randint(0, classes, (3, 1000), generator=torch.Generator().manual_seed(1))
    share = torch.full((1000,), 1 / 900, dtype=dtype)
    share[900:] = 0
    for right in (y, y[:1]):
        pairs = zip(
            native.NativeArithmetic().cross_entropy(logits, right, share),
            Arithmetic().cross_entropy(logits, right, share),
            strict=True,
        )
        assert all(_close(mine, theirs) for mine, theirs in pairs)


@pytest.mark.parametrize("dtype", TYPES)
def test_what_is_no_number_stays_so(dtype: torch.dtype) -> None:
    logits = _drawn(3, 4, 5, dtype=dtype)
    logits[0, 1, 2], logits[1, 1, 2] = float("nan"), float("inf")
    logits[2, 0] = torch.tensor([0.0, -200.0, -float("inf"), 300.0, 0.0], dtype=dtype)
    y = torch.full((3, 4), 3)
    value, gradient = native.NativeArithmetic().cross_entropy(logits, y, torch.full((4,), 0.25, dtype=dtype))
    assert value.isfinite().tolist() == [False, False, True]
    assert gradient[2].isfinite().all()


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("columns", [1, 40, 200])
def test_sums_over_rows(dtype: torch.dtype, columns: int) -> None:
    x, gradient = (_drawn(3, 333, columns, dtype=dtype, seed=seed) + seed for seed in (0, 1))
    share = torch.full((333,), 1 / 300, dtype=dtype)
    share[300:] = 0
    mine, torchs = native.NativeArithmetic(), Arithmetic()
    mean, variance = torchs.moments(x, share)
    for found, expected in zip(mine.moments(x, share), (mean, variance), strict=True):
        assert _close(found, expected)
    assert _close(mine.sums(x), torchs.sums(x))
    for middle in (None, mean):
        pairs = zip(mine.slopes(gradient, x, middle), torchs.slopes(gradient, x, middle), strict=True)
        assert all(_close(found, expected) for found, expected in pairs)
    for slopes, scale in ((gradient, variance), (None, None)):
        held = None if slopes is None else slopes.clone()
        expected = torchs.returned(slopes, scale, x, mean, variance, 2 * mean, share)
        assert _close(mine.returned(held, scale, x.clone(), mean, variance, 2 * mean, share), expected)


def test_steps_share_their_memory_and_nothing_else_does() -> None:
    arithmetic = native.NativeArithmetic()
    x, order = torch.arange(12.0).view(6, 2), torch.tensor([[0, 5], [3, 1]])
    places = set()
    for _ in range(3):
        with arithmetic.step():
            picked = arithmetic.picked(x, order)
            assert torch.equal(picked, x[order])
            made = arithmetic.product(picked, picked.transpose(1, 2))
            assert torch.equal(made, picked @ picked.transpose(1, 2))
            places.add((picked.data_ptr(), made.data_ptr()))
    assert len(places) == 1
    with arithmetic.step():
        other = arithmetic.picked(x, order[:1])
        assert torch.equal(other, x[order[:1]])
    outside = [arithmetic.picked(x, order) for _ in range(2)]
    assert len({found.data_ptr() for found in outside}) == 2
