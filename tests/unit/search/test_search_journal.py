"""The journal: what is written is there again, whatever happened to the file's end."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from torchq.errors import RunDirError
from torchq.search import Asked, Journal, Proposal, Trial, read_journal
from torchq.search.trial import versions

IDENTITY = {"space": {"knobs": [1, 2]}, "seed": 0}
TRIAL = Trial(
    number=0,
    point={"fc1.units": 2},
    scheme={"layers": {}, "input": None, "units": {"fc1": 3}},
    seed=5,
    status="complete",
    metrics={"accuracy": 0.1 + 0.2, "bits": 30.0},
    values=(0.25,),
    score=0.25,
    wall_s=1.5,
    searcher="random",
    versions=versions(),
)
FAILED = replace(
    TRIAL, number=1, status="failed", metrics={}, values=(), score=None, reason="loss is nan: – 'é'\n"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal with two trials."""
    with Journal(tmp_path / "run" / "trials.jsonl", IDENTITY) as journal:
        journal.append(TRIAL)
        journal.append(FAILED)
    return tmp_path / "run" / "trials.jsonl"


def reopened(path: Path) -> Journal:
    with Journal(path, IDENTITY) as journal:
        return journal


def test_what_is_written_is_read_exactly(path: Path) -> None:
    journal = reopened(path)
    assert journal.trials == [TRIAL, FAILED]
    assert journal.notes == []
    identity, trials = read_journal(path)
    assert identity == IDENTITY
    assert trials == (TRIAL, FAILED)


def test_lines_are_plain_json_that_other_tools_read(path: Path) -> None:
    def refuse(text: str) -> Any:
        raise AssertionError(text)

    head, *lines = [json.loads(line, parse_constant=refuse) for line in path.read_text().splitlines()]
    assert head["kind"] == "torchq search journal"
    assert head["identity"] == IDENTITY
    assert head["versions"] == dict(versions())
    assert lines[0]["metrics"] == {"accuracy": 0.1 + 0.2, "bits": 30.0}
    assert lines[1]["reason"] == FAILED.reason


def test_cut_short_at_any_byte_of_the_last_line(path: Path) -> None:
    whole = path.read_bytes()
    last = whole.rindex(b"\n", 0, -1) + 1
    for end in range(last, len(whole)):
        path.write_bytes(whole[:end])
        before = len(read_journal(path)[1])
        assert path.stat().st_size == end, "reading mends nothing"
        journal = reopened(path)
        if end == len(whole) - 1:  # only the line's end is missing: the trial is whole
            assert journal.trials == [TRIAL, FAILED]
            assert path.read_bytes() == whole
        else:
            assert journal.trials == [TRIAL]
            assert path.read_bytes() == whole[:last]
            cut = [f"{path}: the last line was cut short and taken away"]
            assert journal.notes == (cut if end > last else [])
        assert before == len(journal.trials)
        with Journal(path, IDENTITY) as again:
            again.append(replace(FAILED, number=2))
        assert [t.number for t in reopened(path).trials] == [t.number for t in journal.trials] + [2]


def test_cut_short_at_any_byte_of_the_head(path: Path) -> None:
    head = path.read_bytes().split(b"\n")[0]
    for end in range(len(head) + 1):
        path.write_bytes(head[:end])
        with Journal(path, IDENTITY) as journal:
            assert journal.trials == []
            journal.append(TRIAL)
        assert reopened(path).trials == [TRIAL]


def test_other_versions_are_noted_and_accepted(path: Path) -> None:
    path.write_text(path.read_text().replace(f'"torch": "{versions()["torch"]}"', '"torch": "1.0"'))
    journal = reopened(path)
    assert journal.trials[0].versions["torch"] == "1.0"
    assert journal.notes == [f"{path}: was begun with torch 1.0 (now {versions()['torch']})"]


def test_a_full_disk_leaves_the_trials_so_far(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, write = path.read_bytes(), os.write
    with Journal(path, IDENTITY) as journal:
        monkeypatch.setattr(os, "write", lambda handle, data: write(handle, data[:20]))
        with pytest.raises(RunDirError) as fault:
            journal.append(replace(TRIAL, number=2))
        monkeypatch.undo()
        assert path.read_bytes() == whole
        journal.append(replace(TRIAL, number=2))
    assert str(fault.value) == (
        f"{path}: cannot be written (No space left on device); "
        "free some space or choose another folder; the trials so far are safe"
    )
    assert [t.number for t in reopened(path).trials] == [0, 1, 2]


def test_flushed_to_the_disk_before_it_counts(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed, fsync = [], os.fsync

    def watch(handle: int) -> None:
        flushed.append(path.read_bytes().count(b"\n"))
        fsync(handle)

    with Journal(path, IDENTITY) as journal:
        monkeypatch.setattr(os, "fsync", watch)
        journal.append(replace(TRIAL, number=2))
    assert flushed == [4]


def test_trials_that_end_together_are_flushed_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed, fsync = [], os.fsync

    def watch(handle: int) -> None:
        flushed.append(path.read_bytes().count(b"\n"))
        fsync(handle)

    with Journal(path, IDENTITY) as journal:
        monkeypatch.setattr(os, "fsync", watch)
        journal.append(*(replace(TRIAL, number=number) for number in range(2, 34)))
        journal.append()
    assert flushed == [35], "nothing to write is no reason to flush"
    assert [trial.number for trial in reopened(path).trials] == list(range(34))


def test_cut_short_at_any_byte_of_trials_that_end_together(path: Path) -> None:
    before = len(path.read_bytes())
    with Journal(path, IDENTITY) as journal:
        journal.append(*(replace(TRIAL, number=number) for number in range(2, 5)))
    whole = path.read_bytes()
    for end in range(before, len(whole), 7):
        path.write_bytes(whole[:end])
        lines = whole[before:end].count(b"\n")
        lines += whole[end : end + 1] == b"\n" and end > before  # only the line's end is missing
        assert [trial.number for trial in reopened(path).trials] == list(range(2 + lines))


def test_a_full_disk_in_the_middle_of_some_trials_keeps_none_of_them(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, write = path.read_bytes(), os.write
    with Journal(path, IDENTITY) as journal:
        monkeypatch.setattr(os, "write", lambda handle, data: write(handle, data[: len(data) - 20]))
        with pytest.raises(RunDirError, match=r"cannot be written \(No space left on device\)"):
            journal.append(*(replace(TRIAL, number=number) for number in range(2, 5)))
        assert [trial.number for trial in journal.trials] == [0, 1]
    assert path.read_bytes() == whole


def test_what_was_asked_is_there_again_and_a_cut_line_of_it_is_taken_away(path: Path) -> None:
    asked = Asked((Proposal(2, {"fc1.units": 0}), Proposal(3, {"fc1.units": 1}, 1 / 3)), 0.5, "ax", 4)
    before = path.read_bytes()
    with Journal(path, IDENTITY) as journal:
        journal.append(asked)
    whole = path.read_bytes()
    assert reopened(path).events == [TRIAL, FAILED, asked]
    assert read_journal(path)[1] == (TRIAL, FAILED)
    for end in range(len(before) + 1, len(whole) - 1, 9):
        path.write_bytes(whole[:end])
        assert reopened(path).events == [TRIAL, FAILED]
        assert path.read_bytes() == before


def test_a_journal_of_the_first_layout_is_read_and_continued(path: Path) -> None:
    old = path.read_text().replace('"layout": 2', '"layout": 1')
    path.write_text(old.replace('"fidelity": 1.0, ', "").replace(', "worker": ""', ""))
    assert "fidelity" not in path.read_text()
    assert reopened(path).trials == [TRIAL, FAILED]
