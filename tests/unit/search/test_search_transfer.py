"""What one search's journal tells another: by names and options, judged by the new goal."""

from __future__ import annotations

from pathlib import Path

import pytest
from search_problems import GOAL, evaluate, space

from torchq.errors import SearchError
from torchq.search import Knob, MultiObjective, RandomSearcher, Space, run_search
from torchq.search.transfer import told_by


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "old.jsonl"
    run_search(space(), evaluate, goal=GOAL, trials=20, journal=path, searcher=RandomSearcher(space(), GOAL))
    return path


def test_options_are_matched_by_what_they_are_not_by_their_place(old: Path) -> None:
    knobs = (Knob.units("fc0", [2, 3, 4]), Knob.units("fc1", range(1, 9)), Knob.units("fc2", range(1, 6)))
    where = Space(knobs)
    goal = MultiObjective("bits")
    known, note = told_by(old, where, goal)
    assert 0 < len(known) < 20
    assert note == f"{len(known)} of 20 trials of {old} were told to the searcher"
    for point, outcome in known:
        from torchq.search import TrialInfo

        metrics = evaluate(where.scheme(point), TrialInfo(0, 0, {}))
        assert outcome == goal.outcome(metrics)


def test_knowledge_helps(old: Path, tmp_path: Path) -> None:
    """The first proposals of a search that knows twenty trials are better than evenly spread ones."""

    def first(**more: object) -> float:
        result = run_search(
            space(), evaluate, goal=GOAL, trials=6, journal=tmp_path / f"j{len(more)}", searcher="evolution",
            options={"initial": 1}, batch=6, **more,  # type: ignore[arg-type]
        )  # fmt: skip
        return sum(trial.score or 0.0 for trial in result.trials) / 6

    assert first(transfer=old) > first()


def test_what_cannot_be_transferred(old: Path, tmp_path: Path) -> None:
    def told(where: Space, goal: object = GOAL, path: Path = old) -> str:
        with pytest.raises(SearchError) as fault:
            told_by(path, where, goal)  # type: ignore[arg-type]
        return str(fault.value)

    assert told(space(4)) == (
        f"{old}: cannot be transferred, that search had no knob fc3.units; "
        "It had: fc0.units, fc1.units, fc2.units"
    )
    other = Space((Knob.units("fc0", [64, 65]),))
    unfit = f"{old}: cannot be transferred, none of its 20 completed trials fits space and goal"
    assert told(other) == f"{unfit}; leave transfer out"
    assert told(space(), MultiObjective("lut")) == f"{unfit}; leave transfer out"
    assert told(space(), path=tmp_path / "none") == (
        f"{tmp_path}/none: cannot be read (No such file or directory)"
    )
