"""A real search, killed at random moments and started again: no trial is lost, none is repeated."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest
from search_to_kill import BATCH, WORKERS, search

from torchq.search import Trial, read_journal

pytestmark = pytest.mark.slow
TRIALS = 45


def killed(folder: Path, executor: str, trials: int, kills: int) -> None:
    """Run it; check what holds for every executor."""
    script = Path(__file__).with_name("search_to_kill.py")
    command = [sys.executable, str(script), str(folder), executor, str(trials), str(kills)]
    made = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    events = [line.split(maxsplit=1) for line in (folder / "events").read_text().splitlines()]
    assert made.returncode == 0, (made.stderr, events[-1])
    assert int(made.stdout) == kills

    _, trials_there = read_journal(folder / "trials.jsonl")
    assert sorted(trial.number for trial in trials_there) == list(range(trials)), "each exactly once"
    assert all(trial.complete for trial in trials_there)
    done: set[str] = set()
    for what, number in events:
        assert number not in done, f"trial {number} is {what} after it was done"
        done |= {number} if what == "done" else set()
    again = sum(what == "begun" for what, _ in events) - trials
    in_flight = 1 if executor == "serial" else WORKERS * BATCH
    assert again <= kills * in_flight, "only what was in flight may be begun again"


def plain(trials: tuple[Trial, ...]) -> list[tuple[int, dict[str, int], dict[str, float], int]]:
    return [(trial.number, dict(trial.point), dict(trial.metrics), trial.seed) for trial in trials]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The journal of the same search that nobody killed."""
    folder = tmp_path_factory.mktemp("whole")
    search(folder, "serial", TRIALS)
    return folder / "trials.jsonl"


def test_killed_at_20_random_moments(whole: Path, tmp_path: Path) -> None:
    killed(tmp_path, "serial", TRIALS, 20)
    assert plain(read_journal(tmp_path / "trials.jsonl")[1]) == plain(read_journal(whole)[1])


def test_killed_with_processes(whole: Path, tmp_path: Path) -> None:
    killed(tmp_path, "processes", TRIALS, 3)
    found = plain(read_journal(tmp_path / "trials.jsonl")[1])
    assert sorted(found, key=lambda trial: trial[0]) == plain(read_journal(whole)[1])


def test_cut_short_anywhere(whole: Path, tmp_path: Path) -> None:
    """What a kill or a full disk leaves of a line is taken away, and what it said is done again."""
    data = whole.read_bytes()
    head = data.index(b"\n") + 1
    moments = random.Random(1)
    for cut in sorted(moments.randrange(head + 3 * (len(data) - head) // 4, len(data)) for _ in range(5)):
        (tmp_path / "trials.jsonl").write_bytes(data[:cut])
        found = search(tmp_path, "serial", TRIALS)
        assert plain(found) == plain(read_journal(whole)[1]), f"cut at byte {cut} of {len(data)}"
