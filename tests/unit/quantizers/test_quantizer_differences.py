"""One test for each row of docs/qkeras-differences.md, by the name of the row."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from torchq.errors import QuantizerError, UnknownNameError
from torchq.formats import FixedPoint, PowerOfTwo
from torchq.quantizers import (
    QNoiseScheduler,
    bernoulli,
    binary,
    get,
    parse,
    quantized_adaptive,
    quantized_bits,
    quantized_hswish,
    quantized_linear,
    quantized_po2,
    quantized_relu,
    quantized_relu_po2,
    quantized_sigmoid,
    quantized_tanh,
    quantized_ulaw,
    stochastic_ternary,
    ternary,
)


def values(q: nn.Module, *x: float) -> list[float]:
    return q(torch.tensor(x)).tolist()


def gradient(q: nn.Module, *x: float) -> list[float]:
    leaf = torch.tensor(x, requires_grad=True)
    q(leaf).sum().backward()
    assert leaf.grad is not None
    return leaf.grad.tolist()


def test_every_row_has_its_test() -> None:
    text = (Path(__file__).parents[3] / "docs" / "qkeras-differences.md").read_text()
    rows = re.findall(r"^\| `([a-z0-9-]+)` \|", text, re.MULTILINE)
    tests = {name.removeprefix("test_").replace("_", "-") for name in globals() if name.startswith("test_")}
    assert len(rows) == len(set(rows)) > 30
    assert set(rows) - tests == set()
    assert tests - set(rows) == {"every-row-has-its-test"}


def test_large_values() -> None:
    assert values(quantized_bits(8, alpha=1), 1e8, -1e30) == [0.9921875, -1.0]
    assert values(quantized_po2(4), 1e9) == [8.0]
    assert values(quantized_relu(8, 2), 3e38) == [3.984375]


def test_infinities() -> None:
    q = quantized_linear(4, alpha="auto")
    x = torch.tensor([[1.0, 2.0], [torch.inf, torch.nan], [-0.5, -torch.inf]])
    y = q(x)
    assert y[1, 0] == 1.0
    assert torch.isnan(y[1, 1])
    assert y[2, 1] == -2.0
    assert torch.isfinite(q.scale).all()
    wrapping = parse("fixed(4,1,overflow='WRAP')")
    assert np.isnan(values(wrapping, torch.inf)).all()


def test_negative_zero() -> None:
    for q in (quantized_bits(4), quantized_linear(4), quantized_tanh(4), quantized_hswish(4), ternary()):
        assert not torch.signbit(q(torch.tensor([-1e-9]))).item()


def test_subnormals() -> None:
    q = quantized_relu_po2(8)
    assert values(q, 0.0) == [2.0**-128]
    assert q.format == PowerOfTwo(8, -128, 127, signed=False)


def test_more_bits_than_the_float() -> None:
    assert values(quantized_bits(32, 0), 5.0) == [(2**31 - 128) / 2**31]
    assert quantized_bits(32, 0)(torch.tensor([5.0], dtype=torch.float64)).item() == (2**31 - 1) / 2**31
    q = quantized_bits(16, 0)
    y = q(torch.linspace(-2, 2, 999).bfloat16())
    assert isinstance(q.format, FixedPoint)
    assert q.format.holds(y.double().numpy()).all()
    assert y.max().item() == 32640 / 32768


def test_alpha_none() -> None:
    q = quantized_bits(4, 1)
    assert q.alpha is None
    assert values(q, 0.3, -9.0) == [0.25, -2.0]
    assert str(q) == "quantized_bits(4,1)"
    assert str(q.format) == "ap_fixed<4,2,RND_CONV,SAT>"


def test_alpha_array() -> None:
    x = torch.linspace(-3, 3, 24).reshape(8, 3)
    alpha = [0.5, 1.0, 2.0]
    for name in ("quantized_bits", "quantized_linear", "binary", "ternary"):
        q = get(name)(alpha=np.array(alpha))
        for channel, a in enumerate(alpha):
            assert torch.equal(q(x)[:, channel], get(name)(alpha=a)(x[:, channel]))
        assert torch.equal(parse(str(q))(x), q(x))
        assert torch.equal(get(name)(alpha=torch.tensor(alpha)).channel_axis(0)(x.T), q(x).T)
    with pytest.raises(QuantizerError) as caught:
        quantized_bits(4, alpha=[1.0, 2.0])(x)
    assert str(caught.value) == "quantized_bits: alpha has 2 values, the tensor has 3 along axis 1"
    with pytest.raises(QuantizerError) as caught:
        quantized_bits(4, alpha=[[1.0, 2.0]])(x)
    assert str(caught.value) == "quantized_bits: alpha of shape (1, 2) does not broadcast against (8, 3)"


def test_alpha_positive() -> None:
    for alpha in (0.0, -1.0, float("nan")):
        with pytest.raises(QuantizerError, match="alpha must be above 0"):
            quantized_bits(4, alpha=alpha)


def test_unsigned_auto() -> None:
    x = torch.tensor([[-3.0], [0.4], [0.7], [1.5]])
    q = quantized_bits(4, 0, keep_negative=False, alpha="auto")
    assert q(x).min() == 0
    assert q(x).max() == pytest.approx(1.5)
    assert (q(x) - x).abs()[1:].max() <= 1.5 / 15 / 2 + 1e-6  # all 15 steps are used
    po2 = quantized_bits(4, 0, keep_negative=False, alpha="auto_po2")
    assert isinstance(po2.format, FixedPoint)
    assert not po2.format.signed
    assert po2(x).min() == 0


def test_one_bit_auto() -> None:
    x = torch.tensor([[-3.0], [1.0], [2.0]])
    torch.testing.assert_close(quantized_bits(1, alpha="auto")(x).flatten(), torch.tensor([-2.0, 2.0, 2.0]))
    assert quantized_bits(1, alpha="auto_po2")(x).flatten().tolist() == [-2.0, 2.0, 2.0]
    assert quantized_bits(1, keep_negative=False, alpha="auto")(x).flatten().tolist() == [0.0, 2.0, 2.0]


def test_one_bit_range() -> None:
    assert quantized_bits(1).range() == [1.0, -1.0]
    assert quantized_linear(1, 0).range() == [0.5, -0.5]


def test_random_with_auto() -> None:
    q = quantized_bits(3, alpha="auto", use_stochastic_rounding=True)
    x = torch.full((2000, 1), 0.4)
    x[0] = 3.0
    assert set(q(x).flatten().tolist()) == {0.0, 1.0, 3.0}
    assert q(x)[1:].mean() == pytest.approx(0.4, abs=0.05)
    assert set(q.eval()(x).flatten().tolist()) == {0.0, 3.0}


@pytest.mark.parametrize(
    ("q", "step", "mean"),
    [
        (quantized_relu(4, 0, use_stochastic_rounding=True), 1 / 16, 0.3),
        (quantized_tanh(4, use_stochastic_rounding=True), 1 / 8, 0.3),
        (quantized_sigmoid(4, use_stochastic_rounding=True), 1 / 16, 0.65),
    ],
)
def test_half_steps(q: nn.Module, step: float, mean: float) -> None:
    torch.manual_seed(0)
    y = q.train()(torch.full((4000,), 0.3))
    assert len(y.unique()) == 2
    assert torch.equal(y / step, (y / step).round())
    assert y.mean().item() == pytest.approx(mean, abs=4 * step / 4000**0.5)
    assert len(q.eval()(torch.full((99,), 0.3)).unique()) == 1


def test_relu_slope_between_codes() -> None:
    q = quantized_relu(3, 0, negative_slope=0.125)  # ends at -0.125, half a step of 0.25
    assert values(q, -100.0, -1.0, 0.5) == [0.0, 0.0, 0.5]
    assert values(quantized_relu(4, 0, negative_slope=0.125), -100.0) == [-0.125]
    assert values(quantized_relu(3, 0, True, 0.125), 0.5) == [0.5]


def test_relu_bound_between_codes() -> None:
    q = quantized_relu(2, 2, relu_upper_bound=1.5, is_quantized_clip=False)
    assert values(q, 0.9, 1.5, 9.0) == [1.0, 1.0, 1.0]
    assert gradient(q, 1.4, 1.6) == [1.0, 0.0]
    assert values(quantized_relu(4, 2, relu_upper_bound=1.5, is_quantized_clip=False), 9.0) == [1.5]


def test_po2_above_max_value() -> None:
    assert values(quantized_po2(4, 6), 6.0, 5.9, 100.0) == [4.0, 4.0, 4.0]
    assert quantized_po2(4, 6).format == PowerOfTwo(4, -4, 2)


def test_po2_one_exponent_too_many() -> None:
    q = quantized_po2(4, 1)
    assert q.format == PowerOfTwo(4, -7, 0)
    assert len(q.range()) == 16
    assert values(q, 0.0, 9.0) == [2.0**-7, 1.0]


def test_po2_zero_of_even_exponents() -> None:
    q = quantized_po2(4, quadratic_approximation=True)
    assert values(q, 0.0, 2e-7, 0.004) == [2.0**-8, 2.0**-8, 2.0**-8]


def test_po2_ties() -> None:
    q = quantized_po2(5, quadratic_approximation=True)
    assert values(q, 2.0, 8.0, 32.0, 0.5, 0.125) == [1.0, 16.0, 16.0, 1.0, 0.0625]
    floor = quantized_po2(5, log2_rounding="floor")
    assert values(floor, 8.0, 7.999999) == [8.0, 4.0]
    root = float(np.float32(2**0.5))  # just below the square root of two
    assert values(quantized_po2(5), root, float(np.nextafter(np.float32(root), np.float32(2)))) == [1.0, 2.0]


def test_po2_random_near_epsilon() -> None:
    torch.manual_seed(0)
    y = quantized_po2(8, use_stochastic_rounding=True)(torch.full((2000,), 1.1e-7))
    assert set(y.tolist()) == {2.0**-24, 2.0**-23}
    assert y.mean().item() == pytest.approx(1.1e-7, rel=0.03)


def test_po2_random_even_exponents() -> None:
    torch.manual_seed(0)
    q = quantized_po2(6, quadratic_approximation=True, use_stochastic_rounding=True)
    y = q(torch.full((4000,), -2.5))
    assert set(y.tolist()) == {-1.0, -4.0}
    assert y.mean().item() == pytest.approx(-2.5, rel=0.03)


def test_po2_one_bit() -> None:
    with pytest.raises(QuantizerError, match="quantized_po2: bits must be at least 2, got 1"):
        quantized_po2(1)


def test_po2_sign_of_the_slope() -> None:
    q = quantized_relu_po2(3, negative_slope=0.5)
    assert q.bits == 4
    assert q.format == PowerOfTwo(4, -4, 3)
    assert values(q, -2.0, 2.0) == [-1.0, 2.0]
    assert quantized_relu_po2(3).bits == 3


def test_random_zero_channel() -> None:
    torch.manual_seed(0)
    q = binary(alpha=1.0, use_stochastic_rounding=True)
    y = q(torch.zeros(500, 2))
    assert set(y.flatten().tolist()) == {-1.0, 1.0}
    assert abs(y.mean().item()) < 0.2
    assert set(q.eval()(torch.zeros(5, 2)).flatten().tolist()) == {1.0}


def test_random_binary_in_inference() -> None:
    for alpha in (None, 1.0, "auto", "auto_po2"):
        q = binary(alpha=alpha, use_stochastic_rounding=True).eval()
        x = torch.tensor([[-1.0, 2.0], [0.5, -3.0]])
        assert torch.equal(q(x), binary(alpha=alpha)(x))


def test_bernoulli_in_inference() -> None:
    q = bernoulli(alpha=1.0)
    torch.manual_seed(0)
    assert set(q(torch.zeros(100)).tolist()) == {0.0, 1.0}
    assert values(q.eval(), -0.1, 0.0, 0.1) == [0.0, 1.0, 1.0]


def test_random_ternary_with_alpha() -> None:
    torch.manual_seed(0)
    q = stochastic_ternary(alpha=0.5, threshold=0.4)
    assert set(q(torch.zeros(2000)).tolist()) == {-0.5, 0.0, 0.5}
    assert set(q(torch.full((100,), 9.0)).tolist()) == {0.5}
    assert values(q.eval(), 0.3, 0.5) == [0.0, 0.5]


def test_ulaw_gradient() -> None:
    assert gradient(quantized_ulaw(4, u=16.0), 0.0)[0] == pytest.approx(16 / np.log(17))


def test_hswish_infinity() -> None:
    assert values(quantized_hswish(6, 2), -torch.inf, torch.inf) == [0.0, 3.875]


def test_axes() -> None:
    x = torch.tensor([[1.0, 2.0, 4.0], [8.0, 16.0, 32.0]])
    assert quantized_linear(4, alpha="auto")(x).shape == (2, 3)
    q = quantized_bits(4, alpha="auto_po2")
    q(x)
    assert q.scale.shape == (1, 3)
    q.channel_axis(0)(x)
    assert q.scale.shape == (2, 1)
    left, right = (
        quantized_bits(4, alpha="auto", scale_axis=0),
        quantized_bits(4, alpha="auto", scale_axis=-2),
    )
    assert torch.equal(left(x), right(x))
    depthwise = quantized_bits(4, alpha="auto").channel_axis(0)
    depthwise(torch.randn(5, 1, 3, 3))
    assert depthwise.scale.shape == (5, 1, 1, 1)
    with pytest.raises(QuantizerError) as caught:
        quantized_bits(4, alpha="auto", scale_axis=2)(x)
    assert str(caught.value) == "scale_axis 2 needs at least 3 dimensions, got 2"


def test_po2_limits_without_po2() -> None:
    for alpha in (None, 1.0, "auto"):
        with pytest.raises(QuantizerError) as caught:
            binary(alpha=alpha, min_po2_exponent=-2)
        assert str(caught.value) == "binary: min_po2_exponent and max_po2_exponent need alpha='auto_po2'"


def test_threshold_with_auto() -> None:
    for cls in (ternary, stochastic_ternary):
        with pytest.raises(QuantizerError) as caught:
            cls(alpha="auto", threshold=0.3)
        assert str(caught.value) == (
            f"{cls.name}: threshold cannot be given with alpha='auto', which finds it"
        )


def test_post_training_scale() -> None:
    q = quantized_bits(4, alpha="auto_po2", post_training_scale=[[0.5, 2.0]])
    x = torch.tensor([[0.3, 9.0], [-9.0, 0.3]])
    assert q(x).tolist() == [[0.3125, 1.75], [-0.4375, 0.25]]
    assert q.scale.tolist() == [[0.5, 2.0]]
    with pytest.raises(QuantizerError) as caught:
        quantized_bits(4, post_training_scale=1.0)
    assert str(caught.value) == "quantized_bits: post_training_scale needs alpha='auto' or 'auto_po2'"
    with pytest.raises(QuantizerError) as caught:
        quantized_bits(4, alpha="auto", post_training_scale=[0.0])
    assert str(caught.value) == "quantized_bits: post_training_scale must be above 0, got [0.0]"


def test_trailing_text() -> None:
    with pytest.raises(QuantizerError, match="text after the closing parenthesis"):
        parse("quantized_bits(4), alpha='auto'")
    with pytest.raises(QuantizerError, match="is no value"):
        parse("quantized_bits(4, alpha=foo)")
    with pytest.raises(UnknownNameError):
        parse("foo")


def test_text_round_trip() -> None:
    q = quantized_relu(4, 0, negative_slope=0.125)
    assert str(q) == "quantized_relu(4,0,negative_slope=0.125)"
    dropped = quantized_bits(
        4, alpha="auto_po2", scale_axis=[0, 1], elements_per_scale=[3, 2], min_po2_exponent=-1, use_ste=False
    )
    assert parse(str(dropped)).config == dropped.config
    assert str(quantized_po2(4, 0.5, use_stochastic_rounding=True)) == (
        "quantized_po2(4,max_value=0.5,use_stochastic_rounding=True)"
    )
    assert str(quantized_linear(4, alpha=0.5)) == "quantized_linear(4,0,alpha=0.5)"
    assert str(quantized_hswish(4)) == "quantized_hswish(4,0)"


def test_state() -> None:
    q = quantized_bits(4, alpha="auto_po2")
    q(torch.tensor([[1.0, 8.0]]))
    q.update_qnoise_factor(0.5)
    fresh = quantized_bits(4, alpha="auto_po2")
    fresh.load_state_dict(q.state_dict())
    assert torch.equal(fresh.scale, q.scale)
    assert fresh.qnoise_factor == 0.5
    assert torch.equal(fresh(torch.tensor([[0.3, 0.3]])), q(torch.tensor([[0.3, 0.3]])))
    model = nn.Sequential(nn.Linear(2, 2), quantized_bits(4, alpha="auto"))
    model.load_state_dict(nn.Sequential(nn.Linear(2, 2)).state_dict())  # of a float model


def test_sigmoid_argument() -> None:
    x = torch.linspace(-4, 4, 9)
    for kind, f in (
        ("hard", lambda v: torch.clamp(v / 2 + 0.5, 0, 1)),
        ("smooth", lambda v: torch.clamp(v * 3 / 16 + 0.5, 0, 1)),
        ("real", torch.sigmoid),
    ):
        assert torch.equal(
            quantized_sigmoid(4, sigmoid=kind)(x), torch.clamp((f(x) * 16).round(), 0, 15) / 16
        )
        assert f"sigmoid='{kind}'" in str(quantized_tanh(4, sigmoid=kind)) or kind == "hard"


def test_ends_of_the_range() -> None:
    q = quantized_bits(4, 2)
    assert (q.min(), q.max(), q.clip_bound()) == (-4.0, 3.5, 4.0)
    assert (quantized_bits(4, -2).max(), quantized_bits(4, -2).clip_bound()) == (0.21875, 1.0)
    assert (quantized_relu(4, 2).min(), quantized_relu(4, 2).max()) == (0.0, 3.75)
    assert (binary(alpha=0.5).min(), binary(alpha=0.5).max()) == (-0.5, 0.5)
    assert (binary(use_01=True).min(), binary(use_01=True).max()) == (0.0, 1.0)
    assert (quantized_po2(4).min(), quantized_po2(4).max()) == (-8.0, 8.0)
    assert (quantized_relu_po2(3).min(), quantized_relu_po2(3).max()) == (0.0625, 8.0)
    assert (ternary(alpha=0.5).min(), ternary(alpha=0.5).max()) == (-0.5, 0.5)


def test_noise_everywhere() -> None:
    model = nn.Sequential(quantized_bits(4), nn.Sequential(nn.ModuleList([ternary()]), quantized_tanh(4)))
    schedule = QNoiseScheduler(model, start=1, finish=3, freq_type="step", exponent=1.0)
    assert len(schedule.quantizers) == 3
    assert [schedule.step() for _ in range(5)] == [0.0, 0.0, 0.5, 1.0, 1.0]
    assert schedule.epoch() == 1.0
    assert all(q.qnoise_factor == 1 for q in schedule.quantizers)


def test_adaptive_range() -> None:
    q = quantized_adaptive("quantized_relu", 4, ema_decay=0.5)
    assert values(q, 0.3, 2.6) == [0.25, 2.5]  # the first batch is the range, at once
    assert q.integer == 2
    values(q, 7.0)
    assert q.ema_max.item() == pytest.approx(4.8)
    values(q.eval(), 100.0)
    assert q.ema_max.item() == pytest.approx(4.8)
    fresh = quantized_adaptive("quantized_relu", 4, ema_decay=0.5)
    fresh.load_state_dict(q.state_dict())
    assert fresh.integer == q.integer == 3
    with pytest.raises(RuntimeError, match="ema_min"):
        fresh.load_state_dict({})


def test_no_effect() -> None:
    x = torch.linspace(-2, 2, 99)
    q = quantized_relu(4, 1, var_name="x", use_variables=True, enable_fast_inference=True)
    assert torch.equal(q(x), quantized_relu(4, 1)(x))
