"""Runs a search in a child that is killed (SIGKILL) again and again, until it is done.

``python search_killing.py FOLDER KILLS TRIALS``. Beside the journal, ``begun`` gets a line when an evaluation
begins and ``done`` one when a trial was reported as done; both only ever grow. Exits with 3 if a child leaves
in any other way than by being killed or being done.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

from search_problems import GOAL, evaluate, space

from torchq.scheme import Scheme
from torchq.search import Trial, TrialInfo, run_search


def note(path: Path, text: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, f"{text}\n".encode())
    os.close(handle)


def search(folder: Path, trials: int) -> None:
    def slow(scheme: Scheme, info: TrialInfo) -> dict[str, float]:
        note(folder / "begun", f"{info.number} {','.join(map(str, info.point.values()))}")
        time.sleep(0.002)
        return evaluate(scheme, info)

    def done(trial: Trial) -> None:
        note(folder / "done", str(trial.number))

    run_search(
        space(3, 6),
        slow,
        goal=GOAL,
        trials=trials,
        journal=folder / "trials.jsonl",
        searcher="random",
        on_trial=done,
    )


def main() -> int:
    folder, kills, trials = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    moments = random.Random(0)
    killed = 0
    while True:
        child = os.fork()
        if child == 0:
            try:
                search(folder, trials)
            except BaseException:
                os._exit(1)
            os._exit(0)
        if killed < kills:
            time.sleep(moments.uniform(0.0, 0.05))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            killed += 1
        else:
            print(killed)
            return 0 if os.waitstatus_to_exitcode(status) == 0 else 3


if __name__ == "__main__":
    sys.exit(main())
