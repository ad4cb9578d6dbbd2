"""Halving and hyperband: who climbs, how rungs are sized, and that only whole trainings are chosen."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from search_problems import GOAL, evaluate, space

from torchq.errors import SearchError
from torchq.scheme import Scheme
from torchq.search import (
    HalvingSearcher,
    HyperbandSearcher,
    Outcome,
    SearchResult,
    TrialInfo,
    pick,
    run_search,
)

NINTH, THIRD = 1 / 9, 1 / 3


def briefly(scheme: Scheme, info: TrialInfo) -> dict[str, float]:
    """Brief trainings see three quarters of the accuracy."""
    metrics = evaluate(scheme, info)
    return {**metrics, "accuracy": metrics["accuracy"] * (0.75 + 0.25 * info.fidelity)}


def search(path: Path, searcher: str, trials: int, batch: int = 1) -> SearchResult:
    return run_search(
        space(), briefly, goal=GOAL, trials=trials, journal=path, searcher=searcher, seed=4, batch=batch
    )


def test_the_best_third_climbs_as_soon_as_it_is_known() -> None:
    searcher = HalvingSearcher(space(), GOAL)
    begun = searcher.ask(6)
    for proposal in begun:
        searcher.tell(proposal.number, Outcome((float(proposal.number),), float(proposal.number)))
    first, second, third = searcher.ask(3)
    assert [first.point, second.point] == [begun[5].point, begun[4].point]
    assert [first.fidelity, second.fidelity, third.fidelity] == [THIRD, THIRD, NINTH]
    assert third.point not in [proposal.point for proposal in begun]
    searcher.fail(first.number, "loss is nan")
    assert [proposal.fidelity for proposal in searcher.ask(1)] == [NINTH], "nobody takes its place"


@pytest.mark.parametrize("batch", [1, 8, 40])
def test_rungs_are_sized_for_the_trials_there_are(batch: int, tmp_path: Path) -> None:
    result = search(tmp_path / "j", "halving", 40, batch)
    assert Counter(trial.fidelity for trial in result.trials) == {NINTH: 28, THIRD: 9, 1.0: 3}
    assert result.best.fidelity == 1.0
    assert all(trial.fidelity == 1.0 for trial in result.pareto)
    assert pick(result.trials).best.fidelity == 1.0
    brief = {tuple(t.point.values()): t.score or 0.0 for t in result.trials if t.fidelity == NINTH}
    climbed = [brief[tuple(t.point.values())] for t in result.trials if t.fidelity == THIRD]
    assert sum(climbed) / len(climbed) > sum(brief.values()) / len(brief)


def test_too_few_trials_for_the_rungs_are_trained_to_the_end(tmp_path: Path) -> None:
    result = search(tmp_path / "j", "halving", 2)
    assert [trial.fidelity for trial in result.trials] == [1.0, 1.0]


def test_hyperband_begins_at_every_length(tmp_path: Path) -> None:
    result = search(tmp_path / "j", "hyperband", 60, 10)
    first: dict[tuple[int, ...], float] = {}
    for trial in result.trials:
        first.setdefault(tuple(trial.point.values()), trial.fidelity)
    begun = Counter(first.values())
    assert set(begun) == {NINTH, THIRD, 1.0}
    assert begun[NINTH] > begun[THIRD] > begun[1.0]
    assert len(result.trials) == 60


def test_numbers_out_of_range() -> None:
    with pytest.raises(SearchError, match=r"^halving: eta must be at least 2, got 1$"):
        HalvingSearcher(space(), GOAL, eta=1)
    with pytest.raises(SearchError, match=r"^halving: rungs must be at least 2, got 1$"):
        HyperbandSearcher(space(), GOAL, rungs=1)
