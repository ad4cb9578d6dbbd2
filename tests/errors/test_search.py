"""Bad searches: one sentence each, with what came, what is needed and what to do."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from torchq.errors import RunDirError, SearchError, TorchqError, TrainError, UnknownNameError
from torchq.scheme import Scheme
from torchq.search import (
    SEARCHERS,
    ForgivingFactor,
    Journal,
    Knob,
    Limit,
    MultiObjective,
    RandomSearcher,
    Space,
    Trial,
    TrialInfo,
    pick,
    read_journal,
    run_search,
)
from torchq.search.ax import _gaussian_process
from torchq.search.space_knob import SLOTS

ONE = Knob.units("fc1", [8, 16])
SPACE = Space((ONE, Knob.units("fc2", [4, 8, 16])))
GOAL = MultiObjective("bits")


def told(action: Callable[[], object], kind: type[TorchqError] = SearchError) -> str:
    with pytest.raises(kind) as fault:
        action()
    return str(fault.value)


@pytest.mark.parametrize(
    ("action", "sentence"),
    [
        (
            lambda: Knob("fc1.weigth", "fc1", "weigth", ("ternary()",)),
            f"knob fc1.weigth: unknown slot 'weigth'; did you mean 'weight'? Known: {', '.join(SLOTS)}",
        ),
        (
            lambda: Knob.quantizer("fc1", "weight", []),
            "knob fc1.weight: has no options; give at least one, or leave the knob out",
        ),
        (lambda: Knob.units("fc1", [8, 16, 8]), "knob fc1.units: the option 8 stands twice; remove one"),
        (
            lambda: Knob.quantizer("fc1", "weight", ["quantized_bits(4,0)", "quantized_bits(4, 0)"]),
            "knob fc1.weight: the option quantized_bits(4,0) stands twice; remove one",
        ),
        (lambda: Knob.units("fc1", [0, 8]), "knob fc1.units: got 0, a whole number of at least 1 is needed"),
        (
            lambda: Knob("fc1.bias", "fc1", "bias", (4,)),
            "knob fc1.bias: got 4, the text of a quantizer is needed",
        ),
        (lambda: Space(()), "the search space has no knobs; name at least one slot that may change"),
        (lambda: Space((ONE, ONE)), "two knobs are called fc1.units; rename or remove one"),
        (
            lambda: Space((ONE, Knob("again", "fc1", "units", (4,)))),
            "the knobs fc1.units and again turn the same thing; remove one",
        ),
        (
            lambda: SPACE.scheme({"fc1.units": 0, "fc3.units": 0}),
            "the space has no knob 'fc3.units'; Known: fc1.units, fc2.units",
        ),
        (lambda: SPACE.scheme({"fc1.units": 0}), "the point says nothing about knob fc2.units"),
        (
            lambda: SPACE.scheme({"fc1.units": 2, "fc2.units": 0}),
            "knob fc1.units: option must be a whole number from 0 to 1, got 2",
        ),
        (lambda: RandomSearcher(SPACE, GOAL, seed=-1), "seed must be at least 0, got -1"),
        (lambda: RandomSearcher(SPACE, GOAL, start=[{}]), "the point says nothing about knob fc1.units"),
        (
            lambda: RandomSearcher(SPACE, GOAL).fail(3, "why"),
            "trial 3 is not open; tell each proposal's outcome once",
        ),
    ],
)
def test_spaces_and_points(action: Callable[[], object], sentence: str) -> None:
    assert told(action) == sentence


def test_the_same_trial_or_point_cannot_be_restored_twice() -> None:
    searcher = RandomSearcher(SPACE, GOAL)
    searcher.restore(0, SPACE.at(0.0), None)
    assert told(lambda: searcher.restore(0, SPACE.at(1.0), None)) == "trial 0 is there already"
    assert told(lambda: searcher.restore(1, SPACE.at(0.0), None)) == "trial 1 repeats the point of trial 0"


@pytest.mark.parametrize(
    ("action", "sentence"),
    [
        (lambda: ForgivingFactor("bits", 0.0), "goal: reference must be a number above 0, got 0"),
        (lambda: ForgivingFactor("bits", math.nan), "goal: reference must be a number above 0, got nan"),
        (lambda: ForgivingFactor("bits", 1.0, stress=-1), "goal: stress must be a number above 0, got -1"),
        (lambda: ForgivingFactor("bits", 1.0, rate=1.0), "goal: rate must be a number above 1, got 1"),
        (
            lambda: ForgivingFactor("bits", 1.0, delta_n=-2.0),
            "goal: delta_n must be a number of at least 0, got -2",
        ),
        (lambda: MultiObjective("bits", most_cost=0.0), "goal: most_cost must be a number above 0, got 0"),
        (
            lambda: MultiObjective("bits", least_accuracy=math.inf),
            "goal: least_accuracy must be a number, got inf",
        ),
        (
            lambda: Limit.times_lower("bits", 100.0, 0.0),
            "limit on bits: the factor must be above 0, got 0",
        ),
        (
            lambda: Limit.times_lower("bits", 0.0, 2.0),
            "limit on bits: the reference must be above 0, got 0",
        ),
        (lambda: Limit("bits", math.nan, True), "limit on bits: the bound must be a number, got nan"),
    ],
)
def test_goals_and_limits(action: Callable[[], object], sentence: str) -> None:
    assert told(action) == sentence


def good(scheme: Scheme, info: TrialInfo) -> dict[str, float]:
    return {"accuracy": 0.5, "bits": 10.0}


def search(path: Path, **more: Any) -> object:
    given = {"evaluate": good, "goal": GOAL, "trials": 6, "searcher": "random", "journal": path / "j", **more}
    return run_search(SPACE, given.pop("evaluate"), **given)


@pytest.mark.parametrize("name", ["trials", "batch", "patience"])
def test_counts_below_one(tmp_path: Path, name: str) -> None:
    assert told(lambda: search(tmp_path, **{name: 0})) == f"{name} must be at least 1, got 0"
    assert not (tmp_path / "j").exists()


def test_a_searcher_that_does_not_exist(tmp_path: Path) -> None:
    sentence = told(lambda: search(tmp_path, searcher="randon"), UnknownNameError)
    assert sentence == (f"unknown searcher 'randon'; did you mean 'random'? Known: {', '.join(SEARCHERS)}")


@pytest.mark.parametrize(
    ("searcher", "options", "sentence"),
    [
        (
            "evolution",
            {"popullation": 3},
            "options: the searcher evolution has no 'popullation'; did you mean 'population'? "
            "Known: initial, population, crossing",
        ),
        (
            "random",
            {"eta": 3},
            "options: the searcher random has no 'eta'; it has no options; leave them out",
        ),
        (
            "hyperband",
            {"eta": "3"},
            "options: eta of the searcher hyperband must be a whole number, got '3'",
        ),
        (
            "evolution",
            {"crossing": True},
            "options: crossing of the searcher evolution must be a number, got True",
        ),
        ("blocks", {"inner": 3}, "options: inner of the searcher blocks must be a text, got 3"),
        (
            "blocks",
            {"blocks": "fc1"},
            "options: blocks of the searcher blocks must be a list of texts, got 'fc1'",
        ),
        ("ax", {"initial": 2.5}, "options: initial of the searcher ax must be a whole number, got 2.5"),
    ],
)
def test_options_of_a_searcher(tmp_path: Path, searcher: str, options: dict[str, Any], sentence: str) -> None:
    assert told(lambda: search(tmp_path, searcher=searcher, options=options)) == sentence
    assert not (tmp_path / "j").exists()


@pytest.mark.parametrize("answer", [None, {"accuracy": "good", "bits": 1.0}, [0.5, 3.0]])
def test_an_evaluation_that_returns_no_numbers(tmp_path: Path, answer: Any) -> None:
    assert told(lambda: search(tmp_path, evaluate=lambda scheme, info: answer)) == (
        f"the evaluation must return numbers by name, got {answer!r} for trial 0; "
        'return such as {"accuracy": 0.75, "bits": 12000.0}'
    )


def test_an_ax_that_is_missing_or_of_another_age(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = "ax.generators.torch.botorch_modular.utils"
    monkeypatch.setitem(sys.modules, module, None)
    _gaussian_process.cache_clear()
    assert told(lambda: search(tmp_path, searcher="ax")) == (
        f"Ax cannot be used (import of {module} halted; None in sys.modules); "
        "pip install 'ax-platform>=1.3,<1.4'"
    )


def test_a_cost_that_no_trial_reports(tmp_path: Path) -> None:
    sentence = told(lambda: search(tmp_path, goal=MultiObjective("energy")))
    assert sentence == "the goal reads 'energy', which no trial reports; Known: accuracy, bits"


def test_every_trial_failing_stops_with_the_first_reason(tmp_path: Path) -> None:
    def bad(scheme: Scheme, info: TrialInfo) -> dict[str, float]:
        raise TrainError(f"the loss of trial {info.number} is nan")

    sentence = told(lambda: search(tmp_path, evaluate=bad, patience=3))
    assert sentence == (
        "all 3 trials failed, the first one because: the loss of trial 0 is nan; "
        "mend the cause, then start the same search again"
    )
    assert len(read_journal(tmp_path / "j")[1]) == 3, "they are in the journal"
    sentence = told(lambda: search(tmp_path, evaluate=bad, patience=100))
    assert sentence.startswith("all 3 trials failed, the first one because: the loss of trial 3 is nan")
    sentence = told(lambda: search(tmp_path))
    assert sentence.startswith("all 6 trials failed, the first one because: the loss of trial 0 is nan")


def test_a_journal_of_another_search(tmp_path: Path) -> None:
    search(tmp_path)
    before = (tmp_path / "j").read_bytes()
    sentence = told(lambda: search(tmp_path, goal=MultiObjective("bits", 0.2), seed=3, identity={"data": 1}))
    assert sentence == (
        f"{tmp_path}/j: belongs to another search (other: data, goal, seed); "
        "choose another folder, or move the file away to search from the start"
    )
    assert (tmp_path / "j").read_bytes() == before


def test_a_line_that_is_no_trial(tmp_path: Path) -> None:
    search(tmp_path)
    path = tmp_path / "j"
    lines = path.read_text().splitlines(keepends=True)
    after = "restore the file from a copy, or move it away to search from the start"

    def with_line(number: int, text: str) -> str:
        path.write_text("".join([*lines[: number - 1], text, *lines[number:]]))
        return told(lambda: search(tmp_path))

    assert with_line(3, '{"number": 1, "poi\n') == (
        f"{path}:3: not a trial (Unterminated string starting at: line 1 column 15 (char 14)); {after}"
    )
    assert (
        with_line(4, "{}\n")
        == f"{path}:4: not a trial (number, point, scheme, seed, status missing); {after}"
    )
    assert with_line(4, lines[2]) == f"{path}:4: not a trial (trial 0 stands on line 3 already); {after}"
    odd = json.dumps({**json.loads(lines[4]), "colour": "red"}) + "\n"
    assert with_line(5, odd) == f"{path}:5: not a trial (colour unknown); {after}"
    odd = json.dumps({**json.loads(lines[4]), "status": "done"}) + "\n"
    assert with_line(5, odd) == (
        f"{path}:5: not a trial (status must be complete or failed, got 'done'); {after}"
    )
    odd = json.dumps({**json.loads(lines[4]), "score": None}) + "\n"
    assert with_line(5, odd) == f"{path}:5: not a trial (a complete trial needs values and a score); {after}"
    assert with_line(1, "my notes\n") == (
        f"{path}:1: not the head of a journal (Expecting value: line 1 column 1 (char 0)); {after}"
    )
    assert path.read_text().startswith("my notes\n"), "nothing of the user's is lost"
    assert with_line(1, "{}\n") == f"{path}:1: not the head of a journal (no torchq search journal); {after}"
    head = json.dumps({**json.loads(lines[0]), "layout": 9}) + "\n"
    assert (
        with_line(1, head)
        == f"{path}:1: not the head of a journal (layout 9 is not known, up to 2 are); {after}"
    )


def test_someone_elses_file_without_a_line_end_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "j").write_text("my notes")
    assert told(lambda: search(tmp_path)).startswith(f"{tmp_path}/j:1: not the head of a journal (")
    assert (tmp_path / "j").read_text() == "my notes"


def test_a_journal_in_use(tmp_path: Path) -> None:
    with Journal(tmp_path / "j", {}):
        sentence = told(lambda: Journal(tmp_path / "j", {}))
    assert sentence == (
        f"{tmp_path}/j: another process is searching with it; wait for it, or choose another folder"
    )
    with Journal(tmp_path / "j", {}):
        pass


def test_a_journal_that_cannot_be_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert told(lambda: Journal(tmp_path / "file" / "j", {}), RunDirError) == (
        f"{tmp_path}/file/j: cannot be written (File exists); "
        "free some space or choose another folder; the trials so far are safe"
    )
    assert told(lambda: read_journal(tmp_path / "none")) == (
        f"{tmp_path}/none: cannot be read (No such file or directory)"
    )
    assert told(lambda: read_journal(tmp_path / "file")) == (
        f"{tmp_path}/file: is empty; move it away and start the search again"
    )


TRIALS = [
    Trial(0, {}, {}, 0, "complete", {"accuracy": 0.7, "bits": 100.0}, (0.7,), 0.7),
    Trial(1, {}, {}, 0, "failed", reason="loss is nan"),
]


@pytest.mark.parametrize(
    ("action", "sentence"),
    [
        (lambda: pick(TRIALS[1:]), "there is no completed trial to pick from; run the search first"),
        (lambda: pick(TRIALS, count=0), "count must be at least 1, got 0"),
        (lambda: pick(TRIALS, by="auc"), "trial 0 reports no 'auc'; Known: accuracy, bits"),
        (
            lambda: pick(TRIALS, [Limit.times_lower("luts", 10.0, 2.0)]),
            "no trial reports 'luts', which is limited; Known: accuracy, bits",
        ),
        (
            lambda: pick(TRIALS, [Limit.times_lower("bits", 1000.0, 13.0)]).require(),
            "no trial keeps every limit; the nearest is trial 0: bits 100, 10 times lower than 1000; "
            "13 times is needed; run more trials, widen the space, or ask for less",
        ),
    ],
)
def test_picking(action: Callable[[], object], sentence: str) -> None:
    assert told(action) == sentence
