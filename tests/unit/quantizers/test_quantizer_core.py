"""The functions that every quantizer ends in, and what quantizers share."""

from __future__ import annotations

import copy
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from torchq.errors import QuantizerError
from torchq.formats import FixedPoint, Overflow, Rounding
from torchq.quantizers import (
    QNoiseScheduler,
    Quantizer,
    blend,
    fake_quantize,
    fixed,
    make,
    parse,
    quantized_adaptive,
    quantized_bits,
    quantized_linear,
    quantized_relu,
    straight_through,
)
from torchq.quantizers.core import above, below, fitting

floats = st.floats(width=32, allow_nan=False)


@given(st.lists(floats, min_size=1, max_size=20), st.integers(1, 24), st.integers(-6, 9), st.booleans())
def test_fake_quantize_is_the_format(x: list[float], width: int, integer: int, signed: bool) -> None:
    f = FixedPoint(width, integer, signed)
    tensor = torch.tensor(x)
    q = fake_quantize(tensor, f.lsb, f.code_min, f.code_max)
    assert np.array_equal(q.numpy(), f.quantize(tensor.double().numpy()))
    assert f.holds(q.double().numpy()).all()


@given(
    st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=20),
    st.integers(1, 16),
    st.integers(-3, 8),
    st.booleans(),
    st.sampled_from(Rounding),
    st.sampled_from(Overflow),
)
def test_fixed_is_the_format(
    x: list[float], width: int, integer: int, signed: bool, rounding: Rounding, overflow: Overflow
) -> None:
    f = FixedPoint(width, integer, signed, rounding, overflow)
    q = make(f)
    tensor = torch.tensor(x, dtype=torch.float64)
    assert q.format == f
    assert np.array_equal(q(tensor).numpy(), f.quantize(tensor.numpy()))
    again = parse(str(q))
    assert again.format == f


def test_fixed_by_channel_prunes_widths_of_zero() -> None:
    q = fixed([4, 6, 0], [1, 2, 1], [True, False, True])
    y = q(torch.full((2, 3), 9.0))
    assert y.tolist() == [[0.875, 3.9375, 0.0]] * 2
    assert q.bits == 6
    assert str(parse(str(q))) == str(q) == "fixed([4,6,0],[1,2,1],signed=[True,False,True])"


def test_bits_in_buffers_can_be_stacked_and_vmapped() -> None:
    quantizers = [fixed(width, 1, in_buffers=True) for width in (3, 5, 8)]
    _, buffers = torch.func.stack_module_state(quantizers)
    stacked = {
        name: torch.stack([dict(q.named_buffers())[name] for q in quantizers])
        for name, _ in quantizers[0].named_buffers()
    }
    assert set(buffers) <= set(stacked)
    x = torch.randn(3, 50, generator=torch.Generator().manual_seed(0))

    def one(state: dict[str, torch.Tensor], sample: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = torch.func.functional_call(quantizers[0], state, (sample,))
        return result

    together = torch.vmap(one)(stacked, x)
    for row, sample, width in zip(together, x, (3, 5, 8), strict=True):
        assert torch.equal(row, fixed(width, 1)(sample))


def test_bits_as_tensors_can_be_vmapped() -> None:
    step, high = torch.tensor([0.5, 0.25]), torch.tensor([1.0, 3.0])
    x = torch.linspace(-2, 2, 33)
    q = torch.vmap(lambda s, h: fake_quantize(x, s, -h, h, saturate=True))(step, high)
    assert torch.equal(q[0], fake_quantize(x, 0.5, -1.0, 1.0))
    assert torch.equal(q[1], fake_quantize(x, 0.25, -3.0, 3.0))
    slope = torch.vmap(torch.func.grad(lambda v, s, h: fake_quantize(v, s, -h, h, saturate=True).sum()))
    assert slope(torch.tensor([0.4, 0.8]), step, high).tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("q", "x", "slopes"),
    [
        (quantized_bits(4), [0.1, 5.0, -5.0], [1.0, 1.0, 1.0]),
        (quantized_linear(4), [0.1, 0.875, 0.876, -0.875, -0.876], [1.0, 1.0, 0.0, 1.0, 0.0]),
        (quantized_linear(4, keep_negative=False), [0.0, -0.1], [1.0, 0.0]),
        (quantized_relu(4), [-0.1, 0.0, 0.1, 0.9375, 0.94], [0.0, 0.0, 1.0, 1.0, 0.0]),
        (quantized_relu(4, negative_slope=0.25), [-9.0, 0.1], [0.25, 1.0]),
        (quantized_relu(4, is_quantized_clip=False), [99.0], [1.0]),
        (fixed(4, 1), [0.1, 5.0, -5.0, -1.0], [1.0, 0.0, 0.0, 1.0]),
        (fixed(4, 1, overflow="WRAP"), [0.1, 5.0], [1.0, 1.0]),
        (fixed([4, 4], [1, 2]), [1.5, 1.5], [0.0, 1.0]),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_gradients(q: Quantizer, x: list[float], slopes: list[float], dtype: torch.dtype) -> None:
    leaf = torch.tensor(x, dtype=dtype, requires_grad=True)
    q(leaf).sum().backward()
    assert leaf.grad is not None
    if dtype is torch.bfloat16 and 0.876 in x:
        return  # the float next to the end is farther away
    assert leaf.grad.tolist() == slopes


@given(floats.filter(lambda v: abs(v) > 1e-30 and abs(v) < 1e30))
def test_the_next_number_of_a_dtype(value: float) -> None:
    up, down = np.nextafter(np.float32(value), np.float32([np.inf, -np.inf]))
    assert above(value, torch.float32) == float(up)
    assert below(value, torch.float32) == float(down)


@given(st.integers(-(2**40), 2**40), st.sampled_from([torch.float32, torch.bfloat16, torch.float64]))
def test_bounds_fit_the_dtype(code: int, dtype: torch.dtype) -> None:
    fit = fitting(code, dtype)
    assert torch.tensor(fit, dtype=dtype).item() == fit
    assert abs(fit) <= abs(code)
    assert Fraction(fit) * code >= 0
    assert abs(code) - abs(fit) <= abs(code) * 2.0**-7


def test_straight_through_and_blend() -> None:
    x = torch.tensor([0.4, 1.6], requires_grad=True)
    y = straight_through(x * 3, torch.tensor([1.0, 2.0]))
    assert y.tolist() == [1.0, 2.0]
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [3.0, 3.0]
    half = blend(x, torch.tensor([0.0, 2.0]), torch.tensor(0.5), ste=False)
    torch.testing.assert_close(half.detach(), torch.tensor([0.2, 1.8]))
    assert torch.autograd.grad(half.sum(), x)[0].tolist() == [0.5, 0.5]


@settings(max_examples=30)
@given(st.floats(0, 1))
def test_expectation_of_random_rounding(part: float) -> None:
    torch.manual_seed(3)
    q = quantized_bits(8, 7, use_stochastic_rounding=True)
    y = q(torch.full((4000,), 5 + part))
    assert set(y.tolist()) <= {5.0, 6.0}
    assert abs(y.mean().item() - 5 - part) < 0.04
    assert len(q.eval()(torch.full((9,), 5 + part)).unique()) == 1


def test_formats_fold_scales_that_are_powers_of_two() -> None:
    assert str(quantized_bits(6, 0, alpha=0.25).format) == "ap_fixed<6,-1,RND_CONV,SAT>"
    assert str(quantized_bits(6, 0, keep_negative=False, alpha=4).format) == "ap_ufixed<6,2,RND_CONV,SAT>"
    assert str(quantized_linear(6, 0, alpha=2).format) == "ap_fixed<6,2,RND_CONV,SAT_SYM>"
    q = quantized_bits(4, 0, alpha="auto_po2").channel_axis(0)
    weight = torch.tensor([[0.9, -0.3], [7.0, 3.0]])
    y = q(weight)
    assert isinstance(q.format, FixedPoint)
    assert q.format.shape == (2, 1)
    assert q.format.holds(y.double().numpy()).all()
    assert np.asarray(q.format.integer).flatten().tolist() == [1, 4]


def test_reasons_against_hardware() -> None:
    remedy = "give powers of two, such as alpha=1.0 or alpha='auto_po2'"
    assert quantized_bits(6, alpha=1).hardware_reason() is None
    assert quantized_bits(6, alpha=0.3).hardware_reason() == (
        "quantized_bits(6,0,alpha=0.3): alpha=0.3 is no power of two, "
        f"so no fixed-point grid holds the values; {remedy}"
    )
    assert quantized_bits(6, alpha=[0.5, 0.3]).hardware_reason() == (
        "quantized_bits(6,0,alpha=[0.5,0.3]): alpha holds 0.3, which is no power of two, "
        f"so no fixed-point grid holds the values; {remedy}"
    )
    assert quantized_bits(6, alpha="auto").hardware_reason() == (
        "quantized_bits(6,0,alpha='auto'): alpha='auto' finds float scales, "
        f"so no fixed-point grid holds the values; {remedy}"
    )


def test_noise_scheduler() -> None:
    model = nn.Sequential(nn.Linear(2, 2), quantized_bits(4))
    schedule = QNoiseScheduler(model, start=2, finish=4, update_freq=2, initial_step_or_epoch=1)
    assert [schedule.epoch() for _ in range(5)] == [0.0, 0.0, 0.0, 1.0, 1.0]
    for arguments, message in [
        ({"start": 3, "finish": 2}, "QNoiseScheduler: start 3 must be at most finish 2"),
        (
            {"start": 0, "finish": 2, "freq_type": "batch"},
            "QNoiseScheduler: freq_type must be 'epoch' or 'step', got 'batch'",
        ),
        (
            {"start": 0, "finish": 2, "update_freq": 0},
            "QNoiseScheduler: update_freq must be at least 1, got 0",
        ),
    ]:
        with pytest.raises(QuantizerError) as caught:
            QNoiseScheduler(model, **arguments)  # type: ignore[arg-type]
        assert str(caught.value) == message
    with pytest.raises(QuantizerError) as caught:
        quantized_bits(4).update_qnoise_factor(1.5)
    assert str(caught.value) == "quantized_bits: qnoise_factor must be from 0 to 1, got 1.5"


def test_adaptive_delay_freeze_and_channels() -> None:
    q = quantized_adaptive("quantized_bits", 4, quantization_delay=2, ema_freeze_delay=2, ema_decay=0.0)
    x = torch.tensor([[0.3, -2.6], [1.0, 5.3]])
    assert torch.equal(q(x), x)
    assert torch.equal(q(x), x)
    assert not torch.equal(q(x), x)  # from the third step on
    assert q.ema_max.item() == pytest.approx(5.3)
    q(x * 10)  # frozen
    assert q.ema_max.item() == pytest.approx(5.3)
    by_channel = quantized_adaptive("quantized_relu", 6, per_channel=True)
    y = by_channel(torch.tensor([[0.3, 6.0], [0.9, 1.0]]))
    assert by_channel.ema_max.shape == (2,)
    assert by_channel.integer.tolist() == [0, 3]
    assert by_channel.format.holds(y.double().numpy()).all()
    assert copy.deepcopy(by_channel).integer.tolist() == [0, 3]


def test_the_base_says_what_is_missing() -> None:
    with pytest.raises(TypeError, match="Quantizer does not say how it quantizes"):
        Quantizer()(torch.ones(1))
    with pytest.raises(TypeError, match="Quantizer does not say its format"):
        _ = Quantizer().format


def test_scales_are_not_kept_from_a_transform() -> None:
    q = quantized_linear(4, alpha="auto")
    torch.vmap(q)(torch.randn(3, 4, 2))
    assert q.scale.tolist() == 1.0
    q(torch.tensor([[7.0]]))
    assert q.scale.item() == pytest.approx(8.0)


def test_groups_of_elements_share_a_scale() -> None:
    x = torch.tensor([[1.0, 1.0, 1.0], [1.0, 1.0, 1.0], [8.0, 8.0, 8.0], [8.0, 8.0, 8.0]])
    q = quantized_bits(4, alpha="auto_po2", scale_axis=0, elements_per_scale=2)
    q(x)
    assert q.scale.flatten().tolist() == [q.scale[0].item()] * 2 + [8 * q.scale[0].item()] * 2
    with pytest.raises(QuantizerError) as caught:
        quantized_bits(4, alpha="auto_po2", scale_axis=0, elements_per_scale=3)(x)
    assert str(caught.value) == "elements_per_scale=3 must divide the length 4 of axis 0"
    with pytest.raises(QuantizerError) as caught:
        quantized_bits(4, alpha="auto_po2", scale_axis=0, elements_per_scale=[1, 2])
    assert str(caught.value) == (
        "quantized_bits: elements_per_scale [1, 2] needs as many axes as scale_axis, got 0"
    )
