"""Halving and hyperband: who climbs, how rungs are sized, and that only whole trainings are chosen."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from search_problems import GOAL, evaluate, space

from torchq.errors import SearchError, TrainError
from torchq.scheme import Scheme
from torchq.search import (
    HalvingSearcher,
    HyperbandSearcher,
    Outcome,
    SearchResult,
    TrialInfo,
    pick,
    read_journal,
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
    with pytest.raises(SearchError, match=r"^hyperband: rungs must be at least 2, got 1$"):
        HyperbandSearcher(space(), GOAL, rungs=1)


@pytest.mark.parametrize("kind", [HalvingSearcher, HyperbandSearcher])
@pytest.mark.parametrize("trials", [2, 40])
def test_the_best_points_of_another_search_begin_first_as_many_as_can_climb(
    kind: type[HalvingSearcher], trials: int
) -> None:
    searcher = kind(space(), GOAL)
    searcher.plan(trials)
    known = [{"fc0.units": i // 5, "fc1.units": i % 5, "fc2.units": 2} for i in range(20)]
    for worth, point in enumerate(known):
        searcher.learn(point, Outcome((float(worth),), float(worth)))
    begun = searcher.ask(trials)
    begin = sum(ladder.rungs[0].size or 0 for ladder in searcher._ladders)
    first = max(begin // 3, 1)
    assert len(begun) == begin
    assert [proposal.point for proposal in begun[:first]] == known[::-1][:first]
    assert {proposal.fidelity for proposal in begun[:first]} >= {searcher._ladders[0].rungs[0].fidelity}
    others = [proposal.point for proposal in begun[first:]]
    assert others == [] or any(point not in known for point in others)


def test_a_search_that_was_told_of_another_one_goes_on_as_if_not_cut_off(tmp_path: Path) -> None:
    run_search(space(), evaluate, goal=GOAL, trials=20, journal=tmp_path / "old", searcher="random")

    def searched(path: Path, trials: int = 26) -> list[tuple[dict[str, int], float]]:
        done = 0

        def some(scheme: Scheme, info: TrialInfo) -> dict[str, float]:
            nonlocal done
            done += 1
            if done > trials:
                raise KeyboardInterrupt
            return briefly(scheme, info)

        run_search(
            space(), some, goal=GOAL, trials=26, journal=path, searcher="halving", batch=4,
            transfer=tmp_path / "old",
        )  # fmt: skip
        return [(dict(trial.point), trial.fidelity) for trial in read_journal(path)[1]]

    with pytest.raises(KeyboardInterrupt):
        searched(tmp_path / "parts", 5)
    assert searched(tmp_path / "parts") == searched(tmp_path / "whole")


@pytest.mark.parametrize("patience", [5, 2])
@pytest.mark.parametrize("name", ["halving", "hyperband"])
def test_whole_trainings_that_all_fail_end_the_search_with_the_first_reason(
    name: str, patience: int, tmp_path: Path
) -> None:
    def diverging(scheme: Scheme, info: TrialInfo) -> dict[str, float]:
        if info.fidelity == 1.0:
            raise TrainError(f"the loss of trial {info.number} is nan", hint="lower the learning rate")
        return evaluate(scheme, info)

    with pytest.raises(SearchError) as caught:
        run_search(
            space(), diverging, goal=GOAL, trials=40, journal=tmp_path / "j", searcher=name,
            patience=patience,
        )  # fmt: skip
    whole = [trial for trial in read_journal(tmp_path / "j")[1] if trial.fidelity == 1.0]
    assert len(whole) <= patience or name == "hyperband"
    text = str(caught.value)
    assert text.endswith(
        f"failed, the first one because: the loss of trial {whole[0].number} is nan; "
        "lower the learning rate; mend the cause, then start the same search again"
    )
    if name == "halving":
        assert text.startswith(f"all {len(whole)} trials trained for more than 0.33 of the length failed")


def test_no_trial_that_climbs_ends_the_search_with_the_first_reason(tmp_path: Path) -> None:
    def forgetful(scheme: Scheme, info: TrialInfo) -> dict[str, float]:
        if info.fidelity > 0.2:
            raise MemoryError(f"trial {info.number}")
        return evaluate(scheme, info)

    with pytest.raises(SearchError, match=r"^all 5 trials trained for more than 0.11 of the length failed, "):
        run_search(space(), forgetful, goal=GOAL, trials=40, journal=tmp_path / "j", searcher="halving")
