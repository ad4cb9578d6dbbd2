"""The kernels in C: bit for bit what torch's operations make, with and without threads."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import torchq.quantizers as zoo
from tests.unit.train.test_stacked import network
from torchq.train.stacked import fit_many, native
from torchq.train.stacked.arithmetic import Arithmetic
from torchq.train.stacked.chain import Chain
from torchq.train.stacked.formulas import columns
from torchq.train.stacked.layout import Layout
from torchq.train.stacked.numbers import Families, Numbers, numbers_of
from torchq.train.stacked.programs import chosen, plain
from torchq.train.stacked.reading import chain_of
from torchq.train.stacked.traced import compiled, lack

QUANTIZERS = (
    "quantized_bits(4,1,alpha=1)", "quantized_bits(1,0,alpha=1)", "binary(alpha=1)", "binary()",
    "binary(use_01=True,alpha=1)", "ternary(alpha=1)", "quantized_po2(4,1)", "quantized_relu(4,2)",
    "quantized_relu_po2(4,4)", "quantized_bits(8,3,0,alpha=1)", "quantized_bits(5,0,alpha='auto_po2')",
    "quantized_bits(5,1,alpha='auto')", "quantized_linear(6,2)", "ap_fixed<5,2,RND_CONV,SAT>",
    "binary(alpha='auto_po2')", "binary(use_01=True,alpha='auto')", "ternary(alpha='auto_po2')",
    "ternary(alpha='auto')", "quantized_bits(1,0,alpha='auto_po2')",
)  # fmt: skip

pytestmark = pytest.mark.skipif(native.lack() is not None, reason=str(native.lack()))


@pytest.fixture(params=[1, 2], ids=["one thread", "two threads"])
def threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchq.train.stacked.native.arithmetic.WORTH_SHARING", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: request.param)


def _table(dtype: torch.dtype, texts: tuple[str, ...] = QUANTIZERS) -> tuple[Tensor, Families]:
    rows = [numbers_of(zoo.parse(text), dtype, relu=k % 3 == 0, inputs=7) for k, text in enumerate(texts)]
    assert all(isinstance(row, Numbers) for row in rows), rows
    families = Families()
    for row in rows:
        assert isinstance(row, Numbers)
        families |= Families.of(row)
    return columns([row for row in rows if isinstance(row, Numbers)], dtype), families


def _same(mine: Tensor, theirs: Tensor) -> bool:
    """Bit for bit, signs of zeros included; any NaN is as good as another."""
    integer = torch.int32 if mine.dtype == torch.float32 else torch.int64
    equal = mine.contiguous().view(integer) == theirs.contiguous().view(integer)
    return bool((equal | (mine.isnan() & theirs.isnan())).all())


def _x(count: int, dtype: torch.dtype) -> Tensor:
    x = 4 * torch.randn(count, 40, 7, dtype=dtype, generator=torch.Generator().manual_seed(count))
    odd = [0.0, -0.0, float("nan"), float("inf"), -float("inf"), 0.5, -0.5, 1e-30, -1e-42, 2.5, 1.5, 2**0.5]
    x[:, 0] = torch.tensor(odd[:7], dtype=dtype)
    x[:, 1, :5] = torch.tensor(odd[7:], dtype=dtype)
    return x


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("one", [False, True], ids=["each", "one for all"])
def test_values_are_those_of_torch(dtype: torch.dtype, one: bool) -> None:
    numbers, families = _table(dtype)
    mine, torchs = native.NativeArithmetic(), Arithmetic()
    x = _x(1 if one else len(numbers), dtype)
    mask = (_x(len(numbers), dtype) > 0).to(dtype)
    for held in (x, x.transpose(1, 2), x.repeat(1, 1, 2)[..., ::2]):
        assert _same(mine.values(held, numbers, families), torchs.values(held, numbers, families))
    masked = mine.values(x, numbers, families, mask), torchs.values(x, numbers, families, mask)
    assert _same(*masked)
    offset = torch.linspace(-1, 1, 7 * len(numbers)).view(-1, 1, 7).to(dtype)
    expected = torchs.shifted(x.clone(), None, offset, numbers, families)
    for made, its in zip(mine.shifted(x.clone(), None, offset, numbers, families), expected, strict=True):
        assert made.shape == its.shape
        if not one:
            assert _same(made[:FOUND_AT], its[:FOUND_AT])


FOUND_AT = QUANTIZERS.index("quantized_bits(5,0,alpha='auto_po2')")
"""Scales that are found are those of weights, which have no offset."""


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("tanh", [False, True])
def test_gradients_are_those_of_torch(dtype: torch.dtype, tanh: bool) -> None:
    numbers, families = _table(dtype, tuple(text for text in QUANTIZERS if tanh or text != "binary()"))
    assert families.tanh is tanh
    x = _x(len(numbers), dtype)
    slope = torch.randn(x.shape, dtype=dtype, generator=torch.Generator().manual_seed(1))
    for at, gradient in ((x, slope), (x.transpose(1, 2), slope.transpose(1, 2)), (x[:1], slope)):
        expected = Arithmetic().passed(gradient.clone(), at, numbers, families)
        assert _same(native.NativeArithmetic().passed(gradient.clone(), at, numbers, families), expected)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_adam_is_that_of_torch_but_for_its_roots(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    rows, slope = (torch.randn(3, 50, dtype=dtype, generator=generator) for _ in range(2))
    masks = (slope > -1).to(dtype)
    moments = [torch.zeros_like(rows) for _ in range(2)]
    lr = torch.tensor([[1e-2], [3e-3], [1.0]], dtype=dtype)
    states = []
    for arithmetic in (Arithmetic(), native.NativeArithmetic()):
        state = [rows.clone(), *(moment.clone() for moment in moments)]
        for step in range(1, 4):
            pace = torch.tensor([0.5, 0.5 / (1 - 0.9**step), 0.01, 31.0, 1.0], dtype=dtype)
            arithmetic.adam(*state, slope * step, masks, lr, pace)
        states.append(state)
    for mine, theirs in zip(*states, strict=True):
        assert torch.allclose(mine, theirs, rtol=8 * torch.finfo(dtype).eps, atol=0)


def test_a_whole_training_is_that_of_torch() -> None:
    train = torch.randn(200, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    samples = train, (train[:, 0] > 0).long()
    ends = []
    for how in (False, True):
        models = [network(seed, batch_norm=seed % 2 == 0) for seed in range(4)]
        fit_many(models, samples, samples, epochs=3, batch_size=32, compile=how)
        ends.append([value for model in models for value in model.state_dict().values()])
    for mine, theirs in zip(*ends, strict=True):
        assert torch.allclose(mine.double(), theirs.double(), rtol=0, atol=1e-12)


def test_the_compiler_of_the_environment_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    layouts = {Layout.of([found]): 1 for found in [chain_of(network(0))] if isinstance(found, Chain)}
    monkeypatch.setenv("CC", "false")
    native.build.library.cache_clear()
    native.build.lack.cache_clear()
    try:
        choice = chosen(True, 10, torch.device("cpu"), layouts, plain_loss=True)
    finally:
        native.build.library.cache_clear()
        native.build.lack.cache_clear()
    assert not choice.compiled
    (note,) = choice.notes
    assert note.startswith("not compiled: ")
    assert note.endswith("false does not compile (exit code 1)")


@pytest.mark.slow
def test_what_torch_compiles_for_a_gpu_looks_as_the_plain_program_does() -> None:
    assert lack(torch.device("cpu")) is None
    chains = [found for seed in range(2) if isinstance(found := chain_of(network(seed)), Chain)]
    layout = Layout.of(chains)
    x = torch.randn(32, 6, dtype=torch.float64)
    arguments = []
    for programs in (plain(layout), compiled(layout, 32)):
        held = _state(layout, chains)
        pace = torch.tensor([1.0, 10.0, 0.0, 31.0, 1.0], dtype=torch.float64)
        order, share = torch.arange(32).expand(2, -1).contiguous(), torch.full((32,), 1 / 32).double()
        with torch.no_grad():
            value = programs.train(None, x, (x[:, 0] > 0).long(), order, share, pace, *held)
        arguments.append([value, *held])
    for mine, theirs in zip(*arguments, strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-12, atol=1e-13)


def _state(layout: Layout, chains: list[Chain]) -> tuple[Tensor, ...]:
    from torchq.train.stacked.stack import Candidate, Stack

    candidates = [Candidate(k, chain, 0.01, torch.Generator()) for k, chain in enumerate(chains)]
    return Stack(layout, candidates, torch.device("cpu")).state()
