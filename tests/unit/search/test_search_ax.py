"""Ax behind ask and tell. Ax takes seconds to import and a moment for each point, so these tests are few."""

from __future__ import annotations

import logging
import random
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from search_problems import GOAL, evaluate, judged, play, space

from torchq.search import (
    AxSearcher,
    ForgivingFactor,
    Knob,
    MultiObjective,
    Outcome,
    RandomSearcher,
    Space,
    TrialInfo,
    hypervolume,
    run_search,
)

INITIAL = 5


def test_finds_a_peak_that_random_points_seldom_find_and_never_proposes_one_twice() -> None:
    where = space(4, 9)
    peak = (6, 2, 5, 7)

    def height(key: tuple[int, ...]) -> float:
        return -sum((index - top) ** 2 for index, top in zip(key, peak, strict=True))

    def climb(searcher: AxSearcher | RandomSearcher) -> float:
        found = []
        for _ in range(14):
            (proposal,) = searcher.ask()
            found.append(where.key(proposal.point))
            searcher.tell(proposal.number, Outcome((height(found[-1]),), height(found[-1])))
        assert len(set(found)) == 14
        return max(map(height, found))

    assert climb(AxSearcher(where, GOAL, seed=0)) >= -3.0
    assert np.mean([climb(RandomSearcher(where, GOAL, seed=seed)) for seed in range(20)]) < -6.0


def test_after_a_stop_it_goes_on_exactly_as_without(tmp_path: Path) -> None:
    def points(path: Path, *stops: int) -> list[dict[str, int]]:
        for trials in stops:
            result = run_search(
                space(), evaluate, goal=GOAL, trials=trials, journal=path, searcher="ax", seed=2
            )
        return [dict(trial.point) for trial in result.trials]

    assert points(tmp_path / "parts", 3, 7, 8) == points(tmp_path / "whole", 8)


def test_two_objectives_with_thresholds() -> None:
    where = space(4, 6)
    goal = MultiObjective("bits", least_accuracy=0.5, most_cost=150.0)
    corner = [objective.threshold or 0.0 for objective in goal.objectives]

    def covered(searcher: AxSearcher | RandomSearcher) -> float:
        found = []
        for _ in range(12):
            (proposal,) = searcher.ask()
            metrics = evaluate(where.scheme(proposal.point), TrialInfo(0, 0, {}))
            found.append(goal.trade(metrics))
            searcher.tell(proposal.number, Outcome(goal.values(metrics), goal.score(metrics)))
        assert not searcher.notes
        return hypervolume(found, corner)

    ax = covered(AxSearcher(where, goal, seed=0, start=[where.at(0.5)]))
    assert ax > np.mean([covered(RandomSearcher(where, goal, seed=seed)) for seed in range(5)])


def test_a_batch_holds_different_points_and_open_ones_are_kept_in_mind() -> None:
    searcher = AxSearcher(space(), GOAL, seed=1, initial=INITIAL)
    play(searcher, INITIAL, batch=INITIAL)
    proposals = [*searcher.ask(3), *searcher.ask(1)]
    assert [proposal.number for proposal in proposals] == [5, 6, 7, 8]
    assert len({tuple(proposal.point.values()) for proposal in proposals}) == 4
    for proposal in reversed(proposals):
        searcher.tell(proposal.number, judged(searcher.space, proposal.point))
    assert not searcher.notes


def test_failures_lead_it_away() -> None:
    """The dear half fails; the worst that was seen stands for a failure, so the cheap half is searched."""
    where = space(2, 12)
    searcher = AxSearcher(where, ForgivingFactor("bits", 400.0, delta_p=0.0, delta_n=0.0), seed=0)
    failed = []
    for _ in range(16):
        (proposal,) = searcher.ask()
        point = proposal.point
        failed.append(point["fc0.units"] > 5)
        if failed[-1]:
            searcher.fail(proposal.number, "loss is nan")
        else:
            score = 0.5 + 0.01 * sum(point.values())
            searcher.tell(proposal.number, Outcome((score,), score))
    assert sum(failed[-6:]) <= 3, failed


def test_knobs_with_one_option_and_a_space_tried_to_the_end() -> None:
    where = Space((Knob.units("fc1", [8]), Knob.units("fc2", [4, 8, 16]), Knob.units("fc3", [4, 8])))
    assert sorted(play(AxSearcher(where, GOAL, initial=2), 99)) == [
        (0, i, j) for i in range(3) for j in range(2)
    ]
    alone = AxSearcher(Space((Knob.units("fc1", [8]),)), GOAL)
    assert play(alone, 5) == [(0,)]
    assert alone.exhausted


def test_leaves_the_process_as_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    def state() -> tuple[object, ...]:
        return (
            random.getstate(),
            str(np.random.get_state()),
            torch.get_rng_state().tolist(),
            torch.get_default_dtype(),
            torch.get_num_threads(),
            list(warnings.filters),
            [(handler, handler.level) for handler in logging.getLogger("ax").handlers],
            logging.getLogger().level,
            torch.are_deterministic_algorithms_enabled(),
            np.geterr(),
        )

    searcher = AxSearcher(space(), GOAL, seed=1, initial=INITIAL)
    play(searcher, 1)
    before = state()
    play(searcher, INITIAL + 1)
    assert state() == before
    assert capfd.readouterr() == ("", "")


def test_what_ax_cannot_do_is_done_by_sobol_and_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    searcher = AxSearcher(space(), GOAL, seed=1, initial=INITIAL)
    play(searcher, INITIAL)

    def broken(*given: object) -> None:
        raise RuntimeError("matrix is not positive definite")

    monkeypatch.setattr(searcher, "_fitted", broken)
    play(searcher, 1)
    assert searcher.notes == [
        "trial 5: Ax could not propose a point (matrix is not positive definite); a Sobol point was used"
    ]


def test_the_same_outcome_everywhere_is_no_obstacle() -> None:
    searcher = AxSearcher(space(), GOAL, seed=1, initial=INITIAL)
    for _ in range(INITIAL + 2):
        (proposal,) = searcher.ask()
        searcher.tell(proposal.number, Outcome((0.5,), 0.5))
    assert not searcher.notes
