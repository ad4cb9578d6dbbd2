"""Killed at 30 random moments and started again each time: nothing lost, nothing repeated."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from search_problems import GOAL, play, space

from torchq.search import RandomSearcher, read_journal

TRIALS = 150


def test_killed_at_random_moments(tmp_path: Path) -> None:
    script = Path(__file__).with_name("search_killing.py")
    made = subprocess.run(
        [sys.executable, str(script), str(tmp_path), "30", str(TRIALS)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    assert int(made.stdout) >= 10, "the children must really have been killed"

    _, trials = read_journal(tmp_path / "trials.jsonl")
    points = [tuple(trial.point.values()) for trial in trials]
    assert [trial.number for trial in trials] == list(range(TRIALS))
    assert len(set(points)) == TRIALS
    assert points == play(RandomSearcher(space(3, 6), GOAL), TRIALS), "as if it had never been killed"

    done = [int(line) for line in (tmp_path / "done").read_text().splitlines()]
    assert len(set(done)) == len(done), "a trial was reported as done twice"
    assert len(done) >= TRIALS - int(made.stdout), "killed between journal and report at most once each"

    begun = [line.split()[0] for line in (tmp_path / "begun").read_text().splitlines()]
    repeated = len(begun) - TRIALS
    assert repeated <= int(made.stdout), "only the trial in flight may be begun again"
    last: dict[str, int] = {number: place for place, number in enumerate(begun)}
    assert [last[str(n)] for n in range(TRIALS)] == sorted(last.values()), (
        "no trial after a later one was begun"
    )
