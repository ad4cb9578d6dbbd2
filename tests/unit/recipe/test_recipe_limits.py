"""Limits on any cost figure: checked in the report, with their notes beside them."""

from __future__ import annotations

from typing import Any

import pytest

from torchq.recipe.load import load
from torchq.recipe.report import Check
from torchq.recipe.schema import Recipe
from torchq.recipe.stages.outcome import _goal_text, _limited_costs
from torchq.recipe.stages.workbench import figures

TRAIN = {
    "cost": {
        "total": {"bits": 4000, "energy_pj": 500.0, "ebops": 8000.0, "peak_bits": 900},
        "units": {"ebops": "bit operation", "peak_bits": "bit"},
        "notes": {"ebops": "source=formula"},
    }
}


def recipe(**pick: Any) -> Recipe:
    made = load("jets/autoq_energy", ["search.goal.cost=ebops"]).recipe
    return made.model_copy(update={"pick": made.pick.model_copy(update=pick)})


def test_every_figure_of_goal_and_limits_is_priced() -> None:
    asked = recipe(times_lower={"bits": 2.0, "effective_macs": 3.0}, at_most={"peak_bits": 1e4})
    assert figures(asked) == ("bits", "energy_pj", "ebops", "effective_macs", "peak_bits")
    assert _goal_text(asked).endswith(
        "picked: the most accurate trial with bits at least 2 times lower than BF and "
        "effective_macs at least 3 times lower than BF and peak_bits at most 10000"
    )


@pytest.mark.parametrize(("most", "met"), [(1000.0, True), (900.0, True), (899.0, False)])
def test_a_limit_in_the_figures_own_unit(most: float, met: bool) -> None:
    (found,) = _limited_costs(recipe(times_lower={}, at_most={"peak_bits": most}), TRAIN, {"ebops": 1.0})
    assert found == Check("picked model", "peak_bits", "900 bit", f"at most {most:g}", met)


@pytest.mark.parametrize(("times", "met"), [(10.0, True), (10.1, False)])
def test_a_limit_against_the_reference_with_the_figures_note(times: float, met: bool) -> None:
    asked = recipe(times_lower={"bits": 2.0, "ebops": times}, at_most={})
    (found,) = _limited_costs(asked, TRAIN, {"ebops": 80_000.0})
    target = f"at least {times:g} times lower than BF"
    assert found == Check("picked model", "ebops, source=formula", "8,000 bit operation", target, met)


def test_what_was_not_run_yet_is_open() -> None:
    asked = recipe(times_lower={"ebops": 2.0}, at_most={"peak_bits": 5.0})
    checks = tuple(_limited_costs(asked, None, None))
    assert [check.measured for check in checks] == ["not run yet"] * 2
    assert [check.met for check in checks] == [None, None]
