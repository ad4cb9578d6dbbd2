"""Whole epochs in C: as torch's operations, one by one, and the same in any company."""

from __future__ import annotations

import ctypes
import os
import signal
import time

import pytest
import torch
from drawn_stacks import compared, drawn
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from torchq import Scheme, quantize
from torchq.nn import QLinear, QReLU
from torchq.train import History, fit
from torchq.train.stacked import StackReport, fit_many, native
from torchq.train.stacked.chain import Chain
from torchq.train.stacked.layout import Layout
from torchq.train.stacked.native.build import library
from torchq.train.stacked.native.threads import shared
from torchq.train.stacked.programs import chosen
from torchq.train.stacked.reading import chain_of

pytestmark = pytest.mark.skipif(native.lack(native.CHAIN) is not None, reason=str(native.lack(native.CHAIN)))

LANES = 16
"""The most numbers that a processor of today computes at once."""


def aligned(*shape: int, dtype: torch.dtype) -> Tensor:
    """Zeros that begin where a vector may."""
    count = int(torch.tensor(shape).prod())
    memory = torch.zeros(count + 64, dtype=dtype)
    start = -memory.data_ptr() % 64 // memory.element_size()
    return memory[start : start + count].view(shape)


@given(
    st.integers(1, 40),
    st.integers(0, 40),
    st.integers(1, 9),
    st.booleans(),
    st.booleans(),
    st.integers(0, 99),
)
def test_products_are_exact(rows: int, depth: int, vectors: int, turned: bool, wide: bool, seed: int) -> None:
    """Of small integers, whose sums floats hold, for all shapes of tiles."""
    dtype = torch.float64 if wide else torch.float32
    random, columns = torch.Generator().manual_seed(seed), vectors * LANES
    a, b, start = (
        aligned(*shape, dtype=dtype).copy_(torch.randint(-9, 9, shape, generator=random))
        for shape in ((rows, depth), (depth, columns), (rows, columns))
    )
    expected = start + a @ b
    held = a.t().contiguous() if turned else a
    steps = (1, rows) if turned else (depth, 1)
    multiply = library(native.CHAIN, 64 if wide else 32).multiply
    p, i = ctypes.c_void_p, ctypes.c_int64
    multiply.argtypes = [p, i, i, p, i, p, i, p, i, i, i, i]
    multiply(
        held.data_ptr(), *steps, b.data_ptr(), columns, start.data_ptr(), columns, start.data_ptr(), columns,
        rows, depth, columns,
    )  # fmt: skip
    assert torch.equal(start, expected)


def check(seeds: range) -> None:
    """As the stacks of all kinds are checked; see ``test_stacked_drawn.py``."""
    found = {seed: compared(drawn(seed, norms=False), compile=True) for seed in seeds}
    wrong = [(seed, one) for seed, ones in found.items() for one in ones if one.unexplained]
    assert len(wrong) <= sum(map(len, found.values())) // 200, f"drawn(seed, norms=False): {wrong}"
    assert sum(one.agrees for ones in found.values() for one in ones) > 0.75 * sum(map(len, found.values()))


def test_drawn_chains_end_as_alone() -> None:
    check(range(1000, 1025))


@pytest.mark.slow
def test_more_drawn_chains_end_as_alone() -> None:
    check(range(1025, 1145))


def candidate(seed: int, hidden: int = 20, dtype: torch.dtype = torch.float32) -> nn.Module:
    torch.manual_seed(seed)
    bits = 3 + seed % 4
    model = nn.Sequential(nn.Linear(6, hidden), nn.ReLU(), nn.Linear(hidden, 7), nn.ReLU(), nn.Linear(7, 3))
    weight = ("binary()", "ternary()", "quantized_po2(4)", f"quantized_bits({bits},0,alpha=1)")[seed % 4]
    scheme = Scheme.uniform(
        weight=weight, bias=f"quantized_bits({bits},1,alpha=1)", output=f"quantized_relu({bits},2)",
        input="quantized_bits(12,4,alpha=1)",
    )  # fmt: skip
    return quantize(model, scheme).to(dtype)


def samples(count: int, seed: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    x = torch.randn(count, 6, generator=torch.Generator().manual_seed(seed))
    return x.to(dtype), (x[:, 0] > 0).long() + (x[:, 1] > 0.5).long()


def trained(seeds: list[int], hidden: int = 20, dtype: torch.dtype = torch.float32) -> list[nn.Module]:
    """Candidates after some epochs of batches that are no multiple of the rows that go through together."""
    models = [candidate(seed, hidden if at == 0 else 20, dtype) for at, seed in enumerate(seeds)]
    histories = fit_many(
        models, samples(333, 0, dtype), samples(99, 1, dtype), epochs=3, batch_size=100, seeds=seeds,
        compile=True, weight_decay=0.01,
    )  # fmt: skip
    assert all(isinstance(history, History) for history in histories)
    return models


def same(one: nn.Module, other: nn.Module) -> bool:
    states = one.state_dict(), other.state_dict()
    return all(torch.equal(value, states[1][name]) for name, value in states[0].items())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_company_changes_no_bit(dtype: torch.dtype) -> None:
    """Not even that of a wider candidate, to which all others are padded."""
    narrow, wide = trained([7, 1, 2, 3], dtype=dtype), trained([4, 3, 1], hidden=45, dtype=dtype)
    assert same(narrow[1], wide[2])
    assert same(narrow[3], wide[1])


def test_threads_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    ends = []
    for threads in (1, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda count=threads: count)
        ends.append(trained([1, 2, 3, 4, 5]))
    assert all(same(*pair) for pair in zip(*ends, strict=True))


def test_calls_of_a_few_steps_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = trained([1, 2])
    monkeypatch.setattr("torchq.train.stacked.native.chain.CALL_ROWS", 1)
    assert all(same(*pair) for pair in zip(whole, trained([1, 2]), strict=True))


def test_an_interrupt_waits_for_the_threads() -> None:
    """What they write into must not be given back before."""
    ended: list[int] = []

    def part(number: int) -> int:
        if number == 0:
            raise KeyboardInterrupt
        time.sleep(0.2)
        ended.append(number)
        return number

    with pytest.raises(KeyboardInterrupt):
        shared(part, [(0,), (1,), (2,)])
    assert sorted(ended) == [1, 2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_threads_are_made_anew_in_a_process_that_was_forked() -> None:
    assert shared(abs, [(-1,), (-2,)]) == [1, 2]
    child = os.fork()
    if child == 0:
        os._exit(0 if shared(abs, [(-1,), (-2,)]) == [1, 2] else 1)
    until = time.monotonic() + 20
    while (gone := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < until:
        time.sleep(0.02)
    if gone == (0, 0):
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert gone == (child, 0)


def test_nan_is_the_loss_of_one_candidate_alone() -> None:
    models = [candidate(1), candidate(2)]
    layer = next(module for module in models[0].modules() if isinstance(module, QLinear))
    with torch.no_grad():
        layer.weight[0, 0] = float("nan")
    bad, good = fit_many(models, samples(99, 0), samples(50, 1), epochs=1, batch_size=50, compile=True)
    assert str(bad).startswith("training: the training loss became nan in epoch 1 of 1 (learning rate 0.005)")
    assert isinstance(good, History)


@pytest.mark.parametrize("compile", [False, True])
def test_a_loss_of_numbers_reads_them_as_they_are(compile: bool) -> None:
    """Targets are classes for the cross entropy alone."""

    def squared(answer: Tensor, targets: Tensor) -> Tensor:
        return (answer[..., 0] - targets).square().mean()

    x, _ = samples(200, 0, torch.float64)
    train, valid = (x, x[:, 0] / 3), (x[:50], x[:50, 0] / 3)
    models = [candidate(seed, dtype=torch.float64) for seed in (3, 7)]
    alone = [candidate(seed, dtype=torch.float64) for seed in (3, 7)]
    settings = {"epochs": 2, "batch_size": 50, "loss": squared}
    reports: list[StackReport] = []
    histories = fit_many(models, train, valid, compile=compile, on_report=reports.append, **settings)
    assert not reports[0].alone
    for history, other in zip(histories, alone, strict=True):
        assert isinstance(history, History)
        expected = fit(other, train, valid, **settings)
        assert history.best.loss == pytest.approx(expected.best.loss, rel=1e-9)
        assert history.best.valid_loss == pytest.approx(expected.best.valid_loss, rel=1e-9)


def test_validation_samples_of_another_type_are_left_to_fit() -> None:
    reports: list[StackReport] = []
    with pytest.raises(RuntimeError, match=r"dtype|Float|Double"):
        fit_many(
            [candidate(1), candidate(2)], samples(99, 0), samples(50, 1, torch.float64), epochs=1,
            batch_size=50, compile=True, on_report=reports.append,
        )  # fmt: skip


def layout_of(model: nn.Module, shape: tuple[int, ...] = (6,)) -> Layout:
    chain = chain_of(model, shape)
    assert isinstance(chain, Chain), chain
    return Layout.of([chain])


def test_what_is_no_chain_of_dense_layers_is_trained_operation_by_operation() -> None:
    normed = nn.Sequential(nn.Linear(6, 3), nn.BatchNorm1d(3), QReLU("quantized_relu(4,1)"))
    layouts = [layout_of(candidate(0)), layout_of(normed)]
    assert [native.is_chain(layout) for layout in layouts] == [True, False]
    for plain_loss in (True, False):
        choice = chosen(True, 1, torch.device("cpu"), dict.fromkeys(layouts, 2), plain_loss=plain_loss)
        assert choice.compiled
        chains = [choice.make(layout, 32).chain is not None for layout in layouts]
        assert chains == [plain_loss, False]


def test_convolutions_on_a_gpu_are_said_to_be_uncompiled() -> None:
    image = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3))
    layout = layout_of(image, (1, 4, 4))
    choice = chosen(True, 1, torch.device("cuda"), {layout: 2}, plain_loss=True)
    assert not choice.compiled
    assert choice.notes == ("not compiled: convolutions are not, on a GPU",)
    assert choice.make(layout, 32).chain is None
