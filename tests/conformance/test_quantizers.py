"""What every registered quantizer promises, over the examples that each class gives of itself.

A new quantizer is tested by being registered. The promises hold unless an exception below says why not.
"""

from __future__ import annotations

import copy
import io
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from torchq.errors import QuantizerError
from torchq.formats import Float, PowerOfTwo
from torchq.quantizers import QUANTIZERS, Quantizer, parse

EXAMPLES = [
    pytest.param(cls, index, id=str(q))
    for _, cls in QUANTIZERS.items()
    for index, q in enumerate(cls.examples())
]
every_example = pytest.mark.parametrize(("cls", "index"), EXAMPLES)

BENDS = {"quantized_tanh", "quantized_sigmoid", "quantized_ulaw", "quantized_hswish"}
"""They compute a function of ``x`` that is not the identity on their values."""
SHIFTS = {"binary_sigmoid", "bernoulli"}
"""Their 0 is at the edge of 1."""


def made(cls: type[Quantizer], index: int, *, training: bool = False) -> Quantizer:
    """A fresh example; what follows data has seen some."""
    q = cls.examples()[index]
    if q.name == "quantized_adaptive":
        q(inputs())
    return q.train(training)


def inputs(dtype: torch.dtype = torch.float32) -> Tensor:
    """Columns of three channels: dense around zero, edges, ties, large and small."""
    dense = torch.linspace(-9, 9, 1153)
    special = torch.tensor([0.0, 1e-9, -1e-9, 0.5, -0.5, 1.5, -1.5, 33.0, -33.0, 1e8, -1e8, 1e30, -1e30])
    column = torch.cat([dense, special]).sort().values
    return torch.stack([column, column * 0.5, column * 2.0], dim=1).to(dtype)


def bounded(dtype: torch.dtype = torch.float32) -> Tensor:
    """The same without what no channel scale found from the data could span."""
    x = inputs()
    return x[(x.abs() < 30).all(dim=1)].to(dtype)


def rounds(q: Quantizer) -> bool:
    return not isinstance(q.format, Float)


@every_example
def test_values_stand_on_the_grid_of_the_format(cls: type[Quantizer], index: int) -> None:
    q = made(cls, index)
    y = q(bounded()).double().numpy()
    f = q.format
    if isinstance(f, Float):
        assert q.hardware_reason() is not None
        return
    assert q.hardware_reason() is None
    assert f.as_fixed().holds(y).all()
    if isinstance(f, PowerOfTwo):
        mantissa, exponent = np.frexp(np.abs(y))
        assert (mantissa == 0.5).all()
        assert ((exponent - 1 >= f.exponent_min) & (exponent - 1 <= f.exponent_max)).all()
    assert 1 <= q.bits <= 64
    for channel in y.T:
        assert len(np.unique(channel)) <= 2**q.bits


@every_example
def test_the_reason_against_hardware_names_the_quantizer(cls: type[Quantizer], index: int) -> None:
    q = made(cls, index)
    reason = q.hardware_reason()
    assert (reason is None) == rounds(q)
    assert reason is None or (reason.startswith(f"{q}: ") and ("; " in reason))


@every_example
def test_twice_is_once(cls: type[Quantizer], index: int) -> None:
    q = made(cls, index)
    if not rounds(q) or q.name in BENDS | SHIFTS:
        return
    exempt = (
        getattr(q, "auto", False),  # another input, another scale
        getattr(q, "use_01", False),  # its 0 is at the edge of 1
        q.name == "quantized_bits" and getattr(q, "number", 1) != 1,  # scales what it has rounded
        q.name == "binary_tanh" or getattr(q, "use_sigmoid", False),
        getattr(q, "negative_slope", 0) or getattr(q, "relu_neg_slope", 0),  # the slope is applied twice
    )
    if any(exempt):
        return
    if getattr(q.format, "overflow", "") == "WRAP":
        assert torch.equal(q(q(bounded())), q(bounded()))
        return
    y = q(inputs())
    assert torch.equal(q(y), y)


@every_example
def test_rises_where_the_input_rises(cls: type[Quantizer], index: int) -> None:
    q = made(cls, index)
    if q.name == "quantized_hswish" or getattr(q.format, "overflow", "") == "WRAP":
        return
    x = bounded() if getattr(q, "auto", False) else inputs()
    y = q(x)
    assert (y[1:] >= y[:-1]).all()


@every_example
def test_text_reads_back_equal(cls: type[Quantizer], index: int) -> None:
    q = cls.examples()[index]
    again = parse(str(q))
    assert str(again) == str(q)
    assert again.config == q.config
    assert type(again) is cls
    assert repr(q) == str(q)
    assert torch.equal(again.eval()(bounded()), q.eval()(bounded()))


@every_example
@pytest.mark.parametrize("training", [False, True])
def test_gradient_is_finite(cls: type[Quantizer], index: int, training: bool) -> None:
    q = made(cls, index, training=training)
    x = inputs().requires_grad_()
    q(x).clamp(-1e6, 1e6).sum().backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()
    assert x.grad.abs().max() > 0 or q.bits == 1


@every_example
def test_infinities_saturate_and_nan_stays(cls: type[Quantizer], index: int) -> None:
    q = made(cls, index, training=True)
    x = bounded()
    x[5], x[6], x[7] = torch.inf, -torch.inf, torch.nan
    q(x)
    assert all(torch.isfinite(buffer.double()).all() for buffer in q.buffers())
    q.eval()
    y = q(x)
    assert torch.isnan(y[7]).all()
    if getattr(q.format, "overflow", "") == "WRAP":
        return
    assert torch.isfinite(y[5:7]).all()
    assert torch.isfinite(y[8:]).all()
    if rounds(q):
        assert q.format.as_fixed().holds(y[:7].double().numpy()).all()


@every_example
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_dtype_and_shape_are_kept(cls: type[Quantizer], index: int, dtype: torch.dtype) -> None:
    q = made(cls, index)
    x = bounded(dtype)
    y = q(x)
    assert y.dtype is dtype
    assert y.shape == x.shape
    if rounds(q):
        assert q.format.as_fixed().holds(y.double().numpy()).all()


@every_example
def test_no_negative_zero(cls: type[Quantizer], index: int) -> None:
    q = made(cls, index)
    y = q(inputs())
    assert not (torch.signbit(y) & (y == 0)).any() or not rounds(q)


@every_example
def test_empty_tensors_pass(cls: type[Quantizer], index: int) -> None:
    q = made(cls, index, training=True)
    before = {name: buffer.clone() for name, buffer in q.named_buffers()}
    for shape in [(0,), (0, 3), (2, 0, 3)]:
        assert q(torch.empty(shape)).shape == shape
    assert all(torch.equal(before[name], buffer) for name, buffer in q.named_buffers())


@every_example
def test_integers_are_refused(cls: type[Quantizer], index: int) -> None:
    q = made(cls, index)
    with pytest.raises(QuantizerError) as caught:
        q(torch.arange(3))
    assert str(caught.value) == (
        f"{q.name} quantizes float64, float32, bfloat16 and float16, got a tensor of torch.int64; "
        "convert it first, for example with x.float()"
    )


@every_example
def test_copies_are_their_own(cls: type[Quantizer], index: int) -> None:
    q = made(cls, index)
    twin = copy.deepcopy(q)
    assert torch.equal(twin(bounded()), q(bounded()))
    twin.update_qnoise_factor(0.25)
    assert q.qnoise_factor == 1
    assert str(twin) == str(q)


@every_example
def test_state_is_saved_without_pickle_and_restored(cls: type[Quantizer], index: int) -> None:
    q = made(cls, index, training=True)
    q(bounded())
    q.update_qnoise_factor(0.5)
    file = io.BytesIO()
    torch.save(q.state_dict(), file)
    file.seek(0)
    fresh = cls.examples()[index]
    fresh.load_state_dict(torch.load(file, weights_only=True))
    assert fresh.state_dict().keys() == q.state_dict().keys()
    assert all(
        torch.equal(a, b) for a, b in zip(fresh.state_dict().values(), q.state_dict().values(), strict=True)
    )
    assert torch.equal(fresh.eval()(bounded()), q.eval()(bounded()))
    assert fresh.format == q.format


@every_example
def test_noise_mixes_the_float_values_in(cls: type[Quantizer], index: int) -> None:
    q = made(cls, index)
    if q.name in ("hard_sigmoid", "smooth_sigmoid", "sigmoid", "hard_tanh", "smooth_tanh", "tanh"):
        return
    x = bounded().double()
    full = q(x)
    q.update_qnoise_factor(0.0)
    none = q(x)
    q.update_qnoise_factor(0.5)
    torch.testing.assert_close(q(x), (full + none) / 2)
    q.update_qnoise_factor(1.0)
    assert torch.equal(q(x), full)


@every_example
def test_vmap_is_the_loop(cls: type[Quantizer], index: int) -> None:
    q = made(cls, index)
    x = torch.randn(4, 5, 3, generator=torch.Generator().manual_seed(1))
    before = {name: buffer.clone() for name, buffer in q.named_buffers()}
    mapped = torch.vmap(q)(x)
    assert all(torch.equal(before[name], buffer) for name, buffer in q.named_buffers())
    assert torch.equal(mapped, torch.stack([q(sample) for sample in x]))

    def loss(sample: Tensor) -> Any:
        return (q(sample) * sample.detach()).sum()

    for sample, gradient in zip(x, torch.vmap(torch.func.grad(loss))(x), strict=True):
        leaf = sample.clone().requires_grad_()
        loss(leaf).backward()
        torch.testing.assert_close(gradient, leaf.grad)


traces = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the compiler's own


@traces
@pytest.mark.parametrize(
    "text",
    [
        "quantized_bits(6,0,alpha=1.0)",
        "quantized_bits(4,0,alpha='auto_po2')",
        "quantized_relu(6)",
        "quantized_linear(6)",
        "fixed(6,2)",
    ],
)
def test_one_graph_and_no_recompilation_by_step(text: str) -> None:
    compare_compiled(parse(text), backend="aot_eager")


@pytest.mark.slow
@traces
@every_example
def test_every_example_is_one_graph(cls: type[Quantizer], index: int) -> None:
    compare_compiled(made(cls, index, training=True), backend="aot_eager")


@pytest.mark.slow
@traces
@pytest.mark.parametrize("cls", [pytest.param(cls, id=name) for name, cls in QUANTIZERS.items()])
def test_compiled_machine_code_agrees(cls: type[Quantizer]) -> None:
    compare_compiled(made(cls, 0, training=True), backend="inductor")


def compare_compiled(q: Quantizer, backend: str) -> None:
    draws = q.name in ("bernoulli", "stochastic_binary", "stochastic_ternary") or getattr(
        q, "use_stochastic_rounding", False
    )
    q.update_qnoise_factor(1.0)
    torch._dynamo.reset()
    compiled = torch.compile(q, fullgraph=True, backend=backend)
    x = bounded()
    for _ in range(2):  # the shape of a scale is known after the first
        compiled(x.clone().requires_grad_())
    with torch._dynamo.config.patch(error_on_recompile=True):
        for step in range(3):
            a, b = (x + step / 8).requires_grad_(), (x + step / 8).requires_grad_()
            state = copy.deepcopy(q)
            y = compiled(a)
            y.sum().backward()
            expected = state(b)
            expected.sum().backward()
            if draws:
                assert torch.isfinite(y).all()
                continue
            torch.testing.assert_close(
                y, expected, rtol=0 if rounds(q) else 1e-6, atol=0 if rounds(q) else 1e-6
            )
            torch.testing.assert_close(a.grad, b.grad)
            assert all(torch.equal(m, n) for m, n in zip(q.buffers(), state.buffers(), strict=True))
