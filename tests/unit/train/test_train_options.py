"""What training does when it is asked to: after_step, best_from, clipping, first weights, fading in."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from torchq.convert import quantize
from torchq.errors import TrainError
from torchq.models import jets_mlp
from torchq.nn import QLinear
from torchq.quantizers import QNoiseScheduler, parse
from torchq.scheme import Scheme
from torchq.train import Clip, EpochRecord, fade_in, fit, initialise

SIX = "quantized_bits(6,0,alpha=1)"
SCHEME = Scheme.uniform(weight=SIX, bias=SIX, output="quantized_relu(6,0)", input="quantized_bits(8,3)")


def samples(rows: int = 200) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    return torch.randn(rows, 16, generator=random), torch.randint(0, 5, (rows,), generator=random)


DATA = samples()


class StoppedError(Exception):
    pass


def stop_after(epoch: int | None):
    def on_epoch(record: EpochRecord) -> None:
        if record.epoch == epoch:
            raise StoppedError

    return on_epoch


# ---------------------------------------------------------------------- after_step and best_from


def test_after_step_counts_all_steps() -> None:
    seen: list[int] = []
    other: list[int] = []
    fit(jets_mlp(seed=0), DATA, DATA, epochs=2, batch_size=50, after_step=[seen.append, other.append])
    assert seen == other == list(range(1, 9))


def test_after_step_goes_on_counting_after_a_resume(tmp_path: Path) -> None:
    file = tmp_path / "state.pt"
    with pytest.raises(StoppedError):
        fit(jets_mlp(seed=0), DATA, DATA, epochs=4, batch_size=50, checkpoint=file, on_epoch=stop_after(2))
    seen: list[int] = []
    fit(jets_mlp(seed=0), DATA, DATA, epochs=4, batch_size=50, checkpoint=file, after_step=seen.append)
    assert seen == list(range(9, 17))


def test_the_best_epoch_is_not_before_best_from() -> None:
    def spoil(step: int) -> None:
        """Weights that get worse with every step."""
        with torch.no_grad():
            model.output.bias[0] = 3.0 * step

    model = jets_mlp(seed=0)
    early = fit(model, DATA, DATA, epochs=6, batch_size=50, after_step=spoil, patience=2)
    assert (early.best_epoch, len(early.epochs)) == (1, 3)
    model = jets_mlp(seed=0)
    late = fit(model, DATA, DATA, epochs=6, batch_size=50, after_step=spoil, patience=2, best_from=3)
    assert (late.best_epoch, len(late.epochs)) == (3, 5)


@pytest.mark.parametrize("value", [0, 4])
def test_best_from_out_of_range(value: int) -> None:
    with pytest.raises(TrainError) as fault:
        fit(jets_mlp(seed=0), DATA, DATA, epochs=3, best_from=value)
    assert str(fault.value) == f"best_from must be from 1 to 3 (the number of epochs), got {value}"


# ---------------------------------------------------------------------- clipping


def test_clip_keeps_weights_in_the_range_of_their_quantizers() -> None:
    model = nn.Sequential(
        QLinear(16, 8, weight_quantizer=SIX, bias_quantizer="quantized_bits(6,2,alpha=1)"),
        QLinear(8, 5, weight_quantizer="quantized_bits(6,1,alpha=1)", bias=False),
        nn.Linear(5, 5),
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-9, 9)
    free = model[2].weight.clone()
    clip = Clip(model)
    ends = [model[0].weight, model[0].bias, model[1].weight]
    assert [float(p.detach().abs().max()) for p in ends] == [1.0, 4.0, 2.0]
    assert torch.equal(model[2].weight, free)
    fit(model, DATA, DATA, epochs=2, batch_size=50, lr=1.0, after_step=clip.step)
    assert all(float(p.detach().abs().max()) <= end for p, end in zip(ends, (1.0, 4.0, 2.0), strict=True))


def test_without_clip_weights_go_where_they_want() -> None:
    model = quantize(jets_mlp(seed=0), SCHEME)
    fit(model, DATA, DATA, epochs=2, batch_size=50, lr=1.0)
    assert model.fc1.weight.abs().max() > 1.0


def test_nothing_to_clip() -> None:
    with pytest.raises(TrainError) as fault:
        Clip(jets_mlp())
    assert str(fault.value) == "no layer of the model has a quantized weight; call quantize(model) first"


# ---------------------------------------------------------------------- first weights


@pytest.mark.parametrize(
    ("text", "grows"), [("quantized_bits(8,0,alpha=1)", False), ("quantized_bits(2,0)", True)]
)
def test_first_weights_as_qkeras_draws_them(text: str, grows: bool) -> None:
    """QInitializer by its formula, over a draw that is repeated here."""
    layer = QLinear(150, 40, weight_quantizer=text)
    factors = initialise(layer, seed=5)
    draws: list[Tensor] = []

    def draw(shape: tuple[int, ...], fan_in: int) -> Tensor:
        from torchq.train.initialise import he_normal

        draws.append(he_normal(shape, fan_in))
        return draws[-1]

    assert initialise(layer, seed=5, draw=draw) == factors
    x, q = draws[0], parse(text)
    assert abs(float(x.std()) - math.sqrt(2 / 150)) < 0.004
    wanted = 1.0
    if q.max() * 2.0**-q.bits > float(x.std(correction=0)):
        y = q(x)
        wanted = max(1.0, float((y * y).sum() / (y * x).sum()))
    assert (wanted > 1.0) is grows
    assert factors[""] == pytest.approx(wanted)
    expected = (draws[-1] * wanted).clamp(-q.max(), q.max())
    torch.testing.assert_close(layer.weight.detach(), expected.float())
    assert bool((layer.bias == 0).all())


def test_first_weights_that_would_all_be_zero() -> None:
    layer = QLinear(10_000, 4, weight_quantizer="quantized_bits(3,2,alpha=1)")
    factor = initialise(layer, seed=0)[""]
    assert factor == pytest.approx(3.0 / math.sqrt(2 / 10_000), rel=0.02)
    assert float((layer.quantized_weight() == 0).float().mean()) < 0.5


def test_scales_that_are_found_need_no_larger_weights() -> None:
    layer = QLinear(10_000, 4, weight_quantizer="quantized_bits(3,2,alpha='auto_po2')")
    assert initialise(layer, seed=0)[""] == 1.0


def test_first_weights_of_a_model_and_the_generator() -> None:
    model = quantize(jets_mlp(seed=0), SCHEME)
    state = torch.get_rng_state()
    assert list(initialise(model, seed=1)) == ["fc1", "fc2", "fc3", "output"]
    assert torch.equal(torch.get_rng_state(), state)
    once = model.fc2.weight.clone()
    initialise(model, seed=1)
    assert torch.equal(model.fc2.weight, once)
    initialise(model, seed=2)
    assert not torch.equal(model.fc2.weight, once)


# ---------------------------------------------------------------------- fading in


@pytest.mark.parametrize("freq", [1, 3])
def test_fading_in_by_steps_is_the_scheduler_stepped_before_each(freq: int) -> None:
    used: list[float] = []

    def run(by_hand: bool) -> list[float]:
        model = quantize(jets_mlp(seed=0), SCHEME)
        scheduler = QNoiseScheduler(model, start=2, finish=7, freq_type="step", update_freq=freq)
        if by_hand:
            return [scheduler.step() for _ in range(10)]
        call = fade_in(scheduler)
        used.clear()
        for step in range(10):
            used.append(float(model.fc1.weight_quantizer.qnoise_factor))
            call(step + 1)
        return used

    assert run(False) == pytest.approx(run(True))


def test_fading_in_by_epochs_in_a_training_that_stops(tmp_path: Path) -> None:
    def run(file: Path | None, stop: int | None = None) -> nn.Module:
        model = quantize(jets_mlp(seed=0), SCHEME)
        scheduler = QNoiseScheduler(model, start=0, finish=3)
        call = fade_in(scheduler, steps_per_epoch=4)
        fit(
            model, DATA, DATA, epochs=5, batch_size=50, after_step=call, best_from=4,
            checkpoint=file, on_epoch=stop_after(stop),
        )  # fmt: skip
        return model

    whole = run(None)
    with pytest.raises(StoppedError):
        run(tmp_path / "state.pt", 2)
    resumed = run(tmp_path / "state.pt")
    assert float(whole.fc1.weight_quantizer.qnoise_factor) == 1.0
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_epochs_of_unknown_length() -> None:
    with pytest.raises(TrainError) as fault:
        fade_in(QNoiseScheduler(parse(SIX), start=0, finish=3))
    assert str(fault.value) == (
        "the noise schedule counts epochs; fade_in must know how many steps one has; "
        "give steps_per_epoch, or make the schedule with freq_type='step'"
    )
