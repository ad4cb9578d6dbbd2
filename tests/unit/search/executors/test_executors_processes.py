"""Processes of this machine: the same results, data sent once, and every way to lose one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from executor_evaluations import (
    Deadly,
    Defect,
    Slow,
    Sums,
    Unmendable,
    Unreadable,
    Where,
    bring_up,
    job,
    play,
    stacks,
    told,
)

from torchq.errors import SearchError
from torchq.search.executors import ProcessExecutor, SerialExecutor


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessExecutor]:
    with ProcessExecutor(workers=2) as executor:
        bring_up(executor, tmp_path_factory.mktemp("held"))
        yield executor
        children = [worker.process for worker in executor._team]
        pids = [child.pid for child in children]
    for pid in pids:
        assert pid is not None
        assert not alive(pid), "a process outlived its executor"


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def serial(evaluation: Sums, trials: int, size: int) -> dict[int, tuple[dict[str, float], str | None]]:
    with SerialExecutor() as executor:
        return told(play(executor, evaluation, trials, size))


def test_as_in_this_process(team: ProcessExecutor) -> None:
    sums = Sums()
    assert told(play(team, sums, 20, 4)) == serial(sums, 20, 4)


def test_large_tensors_and_arrays_are_shared_small_ones_copied(team: ProcessExecutor) -> None:
    found = play(team, Where(), 8, 1)
    pids = {one.metrics["pid"] for one in found.values()}
    assert len(pids) == 2
    assert os.getpid() not in pids
    assert {one.worker.partition(" ")[0] for one in found.values()} == {"process"}
    for one in found.values():
        assert one.metrics.items() >= {"threads": 1.0, "large": 1.0, "small": 0.0, "array": 1.0}.items()


def test_an_evaluation_is_sent_once(team: ProcessExecutor) -> None:
    class Counted(Sums):
        sent = 0

        def __reduce__(self) -> tuple[object, ...]:
            Counted.sent += 1
            return Sums, ()

    counted = Counted()
    play(team, counted, 24, 2)
    assert Counted.sent == 2, "once a process, not once a stack"


def test_a_straggler_blocks_nobody(team: ProcessExecutor, tmp_path: Path) -> None:
    slow = Slow(tmp_path / "go on")
    waiting, done = stacks(10, 2), []
    while len(done) < 8:
        while waiting and team.free:
            team.submit(slow, waiting.pop(0))
        done += [one.number for one in team.ready(30)]
    assert done == [2, 3, 4, 5, 6, 7, 8, 9], "all but the first stack, which is still at it"
    slow.until.touch()
    assert [one.number for one in team.ready(30)] == [0, 1]


def test_an_error_that_no_other_scheme_would_mend_is_raised(team: ProcessExecutor) -> None:
    team.submit(Unmendable(), [job(0)])
    with pytest.raises(SearchError) as caught:
        team.ready(30)
    assert str(caught.value) == "the goal reads 'energy'; name a cost"


def test_a_defect_is_raised_with_the_traceback_of_its_process(team: ProcessExecutor) -> None:
    team.submit(Defect(), [job(0)])
    with pytest.raises(KeyError, match="fc9") as caught:
        team.ready(30)
    assert 'raise KeyError("fc9")' in caught.value.__notes__[0]


def test_an_evaluation_that_cannot_be_sent(team: ProcessExecutor) -> None:
    def local(scheme: object, info: object) -> dict[str, float]:
        return {}

    with pytest.raises(SearchError) as caught:
        team.submit(local, [job(0)])
    assert str(caught.value).startswith("the evaluation cannot be sent to other processes (")
    assert str(caught.value).endswith(
        "; define it at the top of a module, or search with the executor 'serial'"
    )
    assert team.free == 2


def test_an_evaluation_that_cannot_be_read(team: ProcessExecutor) -> None:
    team.submit(Unreadable(), [job(0)])
    with pytest.raises(SearchError) as caught:
        team.ready(30)
    assert str(caught.value) == (
        "evaluation processes cannot read the evaluation (ImportError: no module of that name); "
        "define it in a module that can be imported"
    )


@pytest.mark.slow
def test_killed_processes_are_replaced(team: ProcessExecutor, tmp_path: Path) -> None:
    before = len(team.notes)
    deadly = Deadly(once={3: tmp_path / "three", 9: tmp_path / "nine"})
    assert told(play(team, deadly, 12, 4)) == serial(Sums(), 12, 4)
    notes = team.notes[before:]
    assert len(notes) == 2
    assert all(
        note.endswith("was killed by SIGKILL, as happens when memory runs out, with 4 trials; tried again")
        for note in notes
    )


@pytest.mark.slow
def test_a_job_that_always_ends_its_process_fails_alone(team: ProcessExecutor) -> None:
    found = told(play(team, Deadly(always=[2]), 6, 3))
    reason = (
        "its worker was lost 3 times, the last one because it was killed by SIGKILL, "
        "as happens when memory runs out"
    )
    assert found.pop(2) == ({}, reason)
    others = serial(Sums(), 6, 3)
    del others[2]
    assert found == others


SCRIPT = """
import os, signal, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from executor_evaluations import Slow, Where, job
from torchq.search.executors import ProcessExecutor

def main():
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a shell runs the tests behind
    with ProcessExecutor(workers=1) as executor:
        executor.submit(Where(), [job(0)])
        print(int(executor.ready()[0].metrics["pid"]), flush=True)
        executor.submit(Slow(Path("never")), [job(0)])
        print("waiting", flush=True)
        executor.ready()

{guard}main()
"""


def started(tmp_path: Path, guard: str = 'if __name__ == "__main__": ') -> subprocess.Popen[str]:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(tests=str(Path(__file__).parent), guard=guard))
    return subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )


def gone(pid: int) -> bool:
    end = time.monotonic() + 10
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.05)
    return not alive(pid)


@pytest.mark.slow
def test_processes_end_with_a_killed_search(tmp_path: Path) -> None:
    search = started(tmp_path)
    assert search.stdout is not None
    worker = int(search.stdout.readline())
    assert alive(worker)
    search.kill()
    search.communicate()
    assert gone(worker)


@pytest.mark.slow
def test_interrupting_ends_all_and_says_it_once(tmp_path: Path) -> None:
    search = started(tmp_path)
    assert search.stdout is not None
    worker = int(search.stdout.readline())
    assert search.stdout.readline() == "waiting\n"
    time.sleep(0.5)  # until it waits
    for pid in (worker, search.pid):  # as Ctrl-C does: to everybody
        os.kill(pid, signal.SIGINT)
    try:
        _, said = search.communicate(timeout=30)
    finally:
        search.kill()  # or what hangs would outlive the tests
    assert gone(worker)
    assert said.count("KeyboardInterrupt") == 1
    assert said.count("Traceback") == 1


@pytest.mark.slow
def test_a_script_without_a_guard(tmp_path: Path) -> None:
    search = started(tmp_path, guard="")
    _, said = search.communicate(timeout=120)
    assert search.returncode == 1
    assert said.strip().splitlines()[-1] == (
        "torchq.errors.SearchError: evaluation processes end before they begin (ended with exit code 1); "
        'a script that searches with processes must guard its main part by if __name__ == "__main__": ...'
    )


def test_what_processes_refuse() -> None:
    for arguments, words in (
        (
            {"address": "auto"},
            "the executor 'processes' has no address, got 'auto'; choose the executor 'ray'",
        ),
        ({"threads": 0}, "threads must be at least 1, got 0"),
    ):
        with pytest.raises(SearchError) as caught:
            ProcessExecutor(**arguments)  # type: ignore[arg-type]
        assert str(caught.value) == words


def test_as_many_processes_as_cores() -> None:
    assert ProcessExecutor().workers == len(os.sched_getaffinity(0))
