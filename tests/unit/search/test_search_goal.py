"""The forgiving factor against AutoQKeras's own numbers; two objectives and their thresholds."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchq.search import GOALS, ForgivingFactor, MultiObjective

RECORDED: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "golden" / "qtools" / "forgiving.json").read_text()
)


@pytest.mark.parametrize(
    "record", RECORDED, ids=lambda r: f"{r['type']}-{r['trial']}-{r.get('memory', r.get('stress'))}"
)
def test_delta_as_autoqkeras_computes_it(record: dict[str, Any]) -> None:
    stress = record.get("stress", 1.0)
    goal = ForgivingFactor("cost", reference=record["reference"] / stress, stress=stress)
    assert goal.delta(record["trial_size"]) == pytest.approx(record["delta"], rel=1e-5)


def test_stress_acts_on_every_cost() -> None:
    for cost in ("bits", "energy_pj"):
        assert ForgivingFactor(cost, 1000.0, stress=0.5).delta(500.0) == 0.0
        assert ForgivingFactor(cost, 1000.0, stress=0.5).delta(250.0) == pytest.approx(0.08)


def test_gain_and_loss_have_their_own_percent_and_the_rate_is_theirs() -> None:
    goal = ForgivingFactor("bits", 100.0, delta_p=5.0, delta_n=20.0, rate=10.0)
    assert goal.delta(10.0) == pytest.approx(0.05)
    assert goal.delta(1000.0) == pytest.approx(-0.20)
    assert goal.delta(100.0) == 0.0
    assert goal.score({"accuracy": 0.5, "bits": 1000.0}) == pytest.approx(0.4)
    assert goal.values({"accuracy": 0.5, "bits": 1000.0}) == (goal.score({"accuracy": 0.5, "bits": 1000.0}),)


@given(st.floats(1.0, 1e6), st.floats(1.0, 1e6))
def test_cheaper_scores_higher_at_equal_accuracy(a: float, b: float) -> None:
    goal = ForgivingFactor("bits", 1000.0, delta_p=2.0, delta_n=9.0)
    low, high = sorted((a, b))
    assert goal.score({"accuracy": 0.7, "bits": low}) >= goal.score({"accuracy": 0.7, "bits": high})


def test_two_objectives_are_both_maximised() -> None:
    goal = MultiObjective("energy_pj", least_accuracy=0.7, most_cost=math.e**5)
    assert [o.threshold for o in goal.objectives] == [0.7, pytest.approx(-5.0)]
    assert goal.values({"accuracy": 0.75, "energy_pj": math.e**3}) == (0.75, pytest.approx(-3.0))
    assert goal.score({"accuracy": 0.75, "energy_pj": math.e**3}) == pytest.approx(0.05 * 2)
    assert goal.score({"accuracy": 0.69, "energy_pj": math.e**3}) == 0.0
    assert goal.score({"accuracy": 0.75, "energy_pj": math.e**6}) == 0.0


def test_without_thresholds_the_accuracy_ranks() -> None:
    assert MultiObjective("bits").score({"accuracy": 0.6, "bits": 9.0}) == 0.6
    assert MultiObjective("bits", most_cost=5.0).score({"accuracy": 0.6, "bits": 9.0}) == 0.0
    assert MultiObjective("bits", most_cost=10.0).score({"accuracy": 0.6, "bits": 9.0}) == 0.6


@pytest.mark.parametrize(
    ("metrics", "reason"),
    [
        ({"accuracy": math.nan, "bits": 1.0}, "accuracy is nan"),
        ({"accuracy": 0.5, "bits": math.inf}, "bits is inf"),
        ({"accuracy": 0.5, "bits": 1.0, "auc": math.nan}, "auc is nan"),
        ({"accuracy": 0.5, "bits": 0.0}, "bits must be above 0, got 0"),
        ({"accuracy": 0.5, "bits": 1.0}, None),
    ],
)
def test_what_cannot_be_judged_fails_the_trial(metrics: dict[str, float], reason: str | None) -> None:
    assert MultiObjective("bits").fault(metrics) == reason


def test_goals_are_told_apart_by_their_data() -> None:
    assert set(GOALS) == {"forgiving_factor", "multi_objective"}
    some = [
        ForgivingFactor("bits", 1.0),
        ForgivingFactor("bits", 2.0),
        MultiObjective("bits"),
        MultiObjective("e"),
    ]
    assert len({json.dumps(goal.to_dict(), sort_keys=True) for goal in some}) == 4
    assert some[0].to_dict()["kind"] == "forgiving_factor"
