"""The loop: what is journaled, what is returned, what goes on after a failure or a stop."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest
from search_problems import GOAL, evaluate, space

from torchq.errors import DataError, QuantizerError, RunDirError, SearchError, TrainError
from torchq.scheme import Scheme
from torchq.search import (
    MultiObjective,
    RandomSearcher,
    SearchResult,
    Trial,
    TrialInfo,
    read_journal,
    run_search,
)
from torchq.search.executors import SerialExecutor


def search(path: Path, trials: int = 12, **more: object) -> SearchResult:
    given = {"goal": GOAL, "searcher": "random", "seed": 1, **more}
    return run_search(space(), given.pop("evaluate", evaluate), trials=trials, journal=path, **given)  # type: ignore[arg-type]


def test_every_trial_is_in_the_journal_with_all_it_takes_to_repeat_it(tmp_path: Path) -> None:
    seen: list[Trial] = []
    result = search(tmp_path / "j", on_trial=seen.append)
    assert list(result.trials) == seen == list(read_journal(tmp_path / "j")[1])
    assert [trial.number for trial in result.trials] == list(range(12))
    for trial in result.trials:
        assert trial.seed == 1 + trial.number
        assert trial.searcher == "random"
        assert trial.versions["torch"]
        assert Scheme.from_dict(trial.scheme) == space().scheme(trial.point)
        metrics = evaluate(Scheme.from_dict(trial.scheme), TrialInfo(0, 0, {}))
        assert trial.metrics == metrics
        assert trial.score == GOAL.score(metrics)
    assert result.ask_s == pytest.approx(sum(trial.ask_s for trial in result.trials))


def test_best_and_pareto(tmp_path: Path) -> None:
    result = search(tmp_path / "j", trials=40)
    assert result.best.score == max(trial.score or 0.0 for trial in result.trials)
    costs = [trial.metrics["bits"] for trial in result.pareto]
    accuracies = [trial.metrics["accuracy"] for trial in result.pareto]
    assert costs == sorted(costs)
    assert accuracies == sorted(accuracies)
    for trial in result.trials:
        assert any(
            kept.metrics["bits"] <= trial.metrics["bits"]
            and kept.metrics["accuracy"] >= trial.metrics["accuracy"]
            for kept in result.pareto
        )


def test_goes_on_where_it_stopped_as_if_it_had_not(tmp_path: Path) -> None:
    whole = search(tmp_path / "whole", trials=15)
    first = search(tmp_path / "parts", trials=6)
    second = search(tmp_path / "parts", trials=15)
    third = search(tmp_path / "parts", trials=15, evaluate=None)
    assert (first.restored, second.restored, third.restored) == (0, 6, 15)
    for result in (second, third):
        assert [trial.point for trial in result.trials] == [trial.point for trial in whole.trials]
        assert result.best.number == whole.best.number


def test_failed_trials_are_journaled_and_the_search_goes_on(tmp_path: Path) -> None:
    def moody(scheme: Scheme, info: TrialInfo) -> dict[str, float]:
        if info.number == 1:
            raise TrainError("the loss became nan in epoch 2", hint="lower the learning rate")
        if info.number == 2:
            return {"accuracy": math.nan, "bits": 30.0}
        if info.number == 3:
            raise QuantizerError("fc1.weight: too wide")
        if info.number == 4:
            raise OverflowError
        return evaluate(scheme, info)

    result = search(tmp_path / "j", evaluate=moody)
    failed = [trial for trial in result.trials if not trial.complete]
    assert [trial.reason for trial in failed] == [
        "the loss became nan in epoch 2; lower the learning rate",
        "accuracy is nan",
        "fc1.weight: too wide",
        "OverflowError",
    ]
    assert [trial.score for trial in failed] == [None] * 4
    assert failed[1].metrics == {"bits": 30.0}, "what is not a number has no place in plain JSON"
    assert len(result.trials) == 12
    again = search(tmp_path / "j", trials=14)
    assert again.restored == 12
    assert len({tuple(trial.point.values()) for trial in again.trials}) == 14, (
        "a failed point is not tried again"
    )


@pytest.mark.parametrize("kind", [DataError, RunDirError])
def test_what_no_other_scheme_would_mend_stops_the_search(tmp_path: Path, kind: type[Exception]) -> None:
    def broken(scheme: Scheme, info: TrialInfo) -> dict[str, float]:
        if info.number == 2:
            raise kind("gone")
        return evaluate(scheme, info)

    with pytest.raises(kind, match="gone"):
        search(tmp_path / "j", evaluate=broken)
    assert len(read_journal(tmp_path / "j")[1]) == 2


class Stacked:
    """Evaluates a stack at once; its trials of some numbers fail."""

    def __init__(self, fails: set[int]) -> None:
        self.fails = fails

    def __call__(self, scheme: Scheme, info: TrialInfo) -> dict[str, float]:
        raise AssertionError("one by one")

    def many(self, jobs: list[tuple[Scheme, TrialInfo]]) -> list[dict[str, float] | TrainError]:
        return [
            TrainError(f"trial {info.number} is nan") if info.number in self.fails else evaluate(scheme, info)
            for scheme, info in jobs
        ]


def test_the_trials_of_a_stack_are_on_the_disk_with_one_flush(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed, fsync = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: flushed.append(handle) or fsync(handle))
    search(tmp_path / "j", trials=24, batch=8, evaluate=Stacked(set()))
    assert len(flushed) == 2 + 2 * 3, "the head and its folder; what was asked and what came out, three times"


def test_a_stack_is_heard_to_its_end_before_all_is_given_up(tmp_path: Path) -> None:
    result = search(tmp_path / "j", trials=12, batch=8, evaluate=Stacked(set(range(7))))
    assert sum(trial.complete for trial in result.trials) == 5
    with pytest.raises(SearchError) as caught:
        search(tmp_path / "k", trials=12, batch=8, evaluate=Stacked(set(range(12))))
    assert str(caught.value) == (
        "all 8 trials failed, the first one because: trial 0 is nan; mend the cause, then start the same "
        "search again"
    )
    assert len(read_journal(tmp_path / "k")[1]) == 8, "those of the stack, all written down"


def test_what_ended_before_a_fault_of_the_goal_is_kept(tmp_path: Path) -> None:
    class Forgetful(Stacked):
        def many(self, jobs: list[tuple[Scheme, TrialInfo]]) -> list[dict[str, float] | TrainError]:
            answers = super().many(jobs)
            answers[5] = {"accuracy": 0.5}
            return answers

    with pytest.raises(SearchError, match="bits"):
        search(tmp_path / "j", trials=8, batch=8, evaluate=Forgetful(set()))
    assert [trial.number for trial in read_journal(tmp_path / "j")[1]] == [0, 1, 2, 3, 4]


def test_control_c_leaves_a_clean_journal(tmp_path: Path) -> None:
    def impatient(scheme: Scheme, info: TrialInfo) -> dict[str, float]:
        if info.number == 4:
            raise KeyboardInterrupt
        return evaluate(scheme, info)

    with pytest.raises(KeyboardInterrupt):
        search(tmp_path / "j", evaluate=impatient)
    assert len(read_journal(tmp_path / "j")[1]) == 4
    result = search(tmp_path / "j")
    assert result.restored == 4
    assert [trial.number for trial in result.trials] == list(range(12))


def test_an_executor_forgets_what_it_was_at_when_the_search_stops(tmp_path: Path) -> None:
    """Or its next search would hear of trials that are not its own."""

    def impatient(scheme: Scheme, info: TrialInfo) -> dict[str, float]:
        if info.number == 1:
            raise KeyboardInterrupt
        return evaluate(scheme, info)

    with SerialExecutor() as executor:
        with pytest.raises(KeyboardInterrupt):
            search(tmp_path / "j", evaluate=impatient, batch=4, executor=executor)
        result = search(tmp_path / "k", seed=9, batch=4, executor=executor)
    whole = search(tmp_path / "whole", seed=9, batch=4)
    assert [trial.point for trial in result.trials] == [trial.point for trial in whole.trials]


def test_a_space_tried_to_the_end_says_so(tmp_path: Path) -> None:
    result = search(tmp_path / "j", trials=1000, batch=7)
    assert result.exhausted
    assert len(result.trials) == 125
    assert result.notes == ("the space has 125 points, and all of them were tried",)
    assert not search(tmp_path / "j", trials=125).exhausted


def test_batches_are_asked_at_once_and_never_more_than_are_wanted(tmp_path: Path) -> None:
    asked = []

    class Watched(RandomSearcher):
        def ask(self, count: int = 1) -> list:  # type: ignore[type-arg]
            asked.append(count)
            return super().ask(count)

    search(tmp_path / "j", trials=10, batch=4, searcher=Watched(space(), GOAL))
    assert asked == [4, 4, 2]
    assert read_journal(tmp_path / "j")[1][0].searcher == "Watched"


def test_start_points_and_identity(tmp_path: Path) -> None:
    where = space()
    result = search(tmp_path / "j", start=[where.at(1.0), where.at(0.0)], identity={"data": "abc"}, seed=0)
    assert [trial.point for trial in result.trials[:2]] == [where.at(1.0), where.at(0.0)]
    identity, _ = read_journal(tmp_path / "j")
    assert identity == {
        "space": where.to_dict(),
        "goal": GOAL.to_dict(),
        "seed": 0,
        "data": "abc",
    }


def test_numpy_numbers_are_welcome(tmp_path: Path) -> None:
    import numpy as np

    def numpy_evaluate(scheme: Scheme, info: TrialInfo) -> dict[str, float]:
        return {name: np.float32(value) for name, value in evaluate(scheme, info).items()}  # type: ignore[misc]

    result = search(tmp_path / "j", goal=MultiObjective("bits"), evaluate=numpy_evaluate)
    assert json.loads(json.dumps(result.best.to_dict()))["number"] == result.best.number
