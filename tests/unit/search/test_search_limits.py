"""Goals with limits and several costs, and what a search says when nothing can keep them."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import pytest
from search_problems import evaluate, space

from torchq.scheme import Scheme
from torchq.search import (
    SEARCHERS,
    ForgivingFactor,
    Limit,
    MultiObjective,
    Outcome,
    SearchResult,
    TrialInfo,
    run_search,
)
from torchq.search.ranking import ranked, violation


def two_costs(scheme: Scheme, info: TrialInfo) -> dict[str, float]:
    metrics = evaluate(scheme, info)
    return {**metrics, "lut": 3.0 * max(scheme.units.values()) ** 2}


def search(path: Path, goal: object, searcher: str = "random", **more: object) -> SearchResult:
    given = {"trials": 30, "seed": 1, "batch": 10, **more}
    return run_search(space(), two_costs, goal=goal, journal=path, searcher=searcher, **given)  # type: ignore[arg-type]


def test_each_cost_is_forgiven_by_itself_or_their_sum_is() -> None:
    each = ForgivingFactor(("bits", "lut"), (100.0, 40.0), delta_p=5.0)
    assert each.delta(50.0, 10.0) == pytest.approx(0.05 + 0.10)
    together = ForgivingFactor(("bits", "lut"), (100.0, 60.0), delta_p=5.0, stress=0.5, together="sum")
    assert together.delta(30.0, 10.0) == pytest.approx(0.05)
    assert together.delta(100.0, 60.0) == pytest.approx(-0.08)
    assert each.score({"accuracy": 0.5, "bits": 50.0, "lut": 10.0}) == pytest.approx(0.575)


def test_a_goal_of_one_cost_and_no_limit_has_the_data_it_always_had() -> None:
    """Journals that were begun before there were limits still belong to their searches."""
    assert set(ForgivingFactor("bits", 1.0).to_dict()) == {
        "kind", "cost", "reference", "delta_p", "delta_n", "rate", "stress", "accuracy"
    }  # fmt: skip
    assert set(MultiObjective("bits").to_dict()) == {
        "kind", "cost", "least_accuracy", "most_cost", "accuracy"
    }  # fmt: skip
    limited = MultiObjective("bits", limits=(Limit.lost("accuracy", 0.8, 0.05),)).to_dict()
    assert limited["limits"] == ({"metric": "accuracy", "bound": 0.75, "at_most": False, "reference": 0.8},)


def test_margins_are_factors_for_costs_and_points_for_accuracy() -> None:
    lower = Limit.times_lower("bits", 400.0, 4.0)
    assert lower.margin({"bits": 50.0}) == pytest.approx(math.log(2))
    assert lower.margin({"bits": 200.0}) == pytest.approx(-math.log(2))
    assert Limit.lost("accuracy", 0.8, 0.05).margin({"accuracy": 0.7}) == pytest.approx(-0.05)


def test_what_keeps_the_limits_goes_before_what_does_not() -> None:
    goal = MultiObjective("bits", least_accuracy=0.5, limits=(Limit("lut", 10.0, at_most=True),))
    outcomes = [
        Outcome((0.9, -1.0), 0.9, (-0.2,)),
        Outcome((0.6, -3.0), 0.6, (0.1,)),
        Outcome((0.4, -1.0), 0.4, (0.1,)),
        Outcome((0.7, -2.0), 0.7, (0.0,)),
    ]
    assert [round(violation(outcome, goal), 6) for outcome in outcomes] == [0.2, 0.0, 0.1, 0.0]
    assert ranked(outcomes, goal) == [3, 1, 2, 0]


def test_three_objectives_and_their_hypervolume(tmp_path: Path) -> None:
    goal = MultiObjective(("bits", "lut"), least_accuracy=0.3, most_cost=(140.0, 80.0))
    result = search(tmp_path / "j", goal, "evolution")
    for kept in result.pareto:
        for other in result.pareto:
            assert kept is other or any(
                a > b for a, b in zip(goal.trade(kept.metrics), goal.trade(other.metrics), strict=True)
            )
    counts, volumes = zip(*result.reached, strict=True)
    assert counts == (10, 20, 30)
    assert list(volumes) == sorted(volumes)
    assert result.hypervolume == volumes[-1] > 0.0


@pytest.mark.parametrize("name", ["ax", "evolution"])
def test_searchers_stay_where_limits_are_kept(name: str, tmp_path: Path) -> None:
    """Fewer than one point in five keeps both limits; twice as many of the later proposals do."""
    limits = (Limit("lut", 30.0, at_most=True), Limit("bits", 70.0, at_most=True))
    goal = ForgivingFactor("bits", 400.0, delta_p=1.0, limits=limits)
    result = search(tmp_path / "j", goal, name, batch=12, trials=36, options={"initial": 12})
    kept = [all(limit.met(trial.metrics) for limit in limits) for trial in result.trials]
    schemes = [
        space().scheme(dict(zip(("fc0.units", "fc1.units", "fc2.units"), key, strict=True)))
        for key in itertools.product(range(5), repeat=3)
    ]
    keeping = [s for s in schemes if all(limit.met(two_costs(s, TrialInfo(0, 0, {}))) for limit in limits)]
    share = len(keeping) / len(schemes)
    assert share < 0.2
    assert sum(kept[12:]) / 24 > 2 * share
    assert kept[result.best.number]
    assert result.unmet == ()


@pytest.mark.parametrize("name", list(SEARCHERS))
def test_what_nothing_can_keep_is_said_with_the_nearest_trial(name: str, tmp_path: Path) -> None:
    goal = MultiObjective("bits", least_accuracy=0.95, most_cost=20.0)
    options = {"inner": "random"} if name == "blocks" else {}
    result = search(tmp_path / "j", goal, name, trials=13, options=options)
    assert len(result.unmet) == 2
    assert result.unmet[0].startswith("accuracy 0.")
    assert result.unmet[0].endswith(", at least 0.95 is needed")
    assert result.hypervolume == 0.0
    assert result.pareto


def test_limits_on_cost_that_the_cheapest_scheme_breaks_are_noted_and_searched_all_the_same(
    tmp_path: Path,
) -> None:
    goal = MultiObjective("bits", most_cost=20.0)
    result = search(tmp_path / "j", goal, price=lambda scheme: {"bits": 10.0 * sum(scheme.units.values())})
    assert len(result.trials) == 30
    assert result.notes == (
        "not even the cheapest scheme keeps the limits on cost: bits 30, at most 20 is needed",
    )
    assert [unmet.endswith(", at most 20 is needed") for unmet in result.unmet] == [True]


def test_how_many_candidates_were_replaced_is_counted_over_all_sessions(tmp_path: Path) -> None:
    goal = MultiObjective("bits", most_cost=60.0)
    given = {
        "price": lambda scheme: {"bits": 10.0 * sum(scheme.units.values())},
        "searcher": "ax",
        "batch": 6,
    }
    whole = search(tmp_path / "whole", goal, trials=12, options={"initial": 12}, **given)
    search(tmp_path / "parts", goal, trials=6, options={"initial": 12}, **given)
    parts = search(tmp_path / "parts", goal, trials=12, options={"initial": 12}, **given)
    assert whole.notes == parts.notes
    assert whole.notes[0].endswith(" candidates were replaced: their cost alone breaks a limit")
    assert [trial.point for trial in whole.trials] == [trial.point for trial in parts.trials]


def test_the_share_of_asking_is_reported(tmp_path: Path) -> None:
    result = search(tmp_path / "j", MultiObjective("bits"))
    assert 0.0 < result.ask_share <= 1.0
    assert result.ask_s == pytest.approx(sum(trial.ask_s for trial in result.trials))
