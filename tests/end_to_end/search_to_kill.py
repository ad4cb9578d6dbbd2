"""A small real search (quantize, train, price), for the tests that kill it.

``python search_to_kill.py FOLDER EXECUTOR TRIALS KILLS`` runs it in a child that is killed (SIGKILL) so
often, each time at a random moment after the evaluations have gone on by a random number of trials. It is
started again until it is done. Prints how often it was killed. The executor is ``serial`` or ``processes``.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

import torch

from torchq.convert import quantize
from torchq.cost import estimate
from torchq.models import jets_mlp
from torchq.scheme import Scheme
from torchq.search import ForgivingFactor, Knob, Space, Trial, TrialInfo, run_search
from torchq.search.executors import EXECUTORS
from torchq.train import fit

WORKERS, BATCH = 2, 4
GOAL = ForgivingFactor("bits", reference=2000.0)
WEIGHTS = [f"quantized_bits({bits},0,alpha=1)" for bits in (2, 3, 4, 6, 8)]


def space() -> Space:
    base = Scheme.uniform(WEIGHTS[-1], WEIGHTS[-1], "quantized_relu(6,2)", "quantized_bits(8,3,alpha=1)")
    knobs = [Knob.quantizer(f"fc{i}", "weight", WEIGHTS) for i in (1, 2)]
    return Space((*knobs, Knob.units("fc1", (4, 8, 16))), base)


class Training:
    """One epoch of a small network on a small sample; says in a file which trials it begins."""

    def __init__(self, folder: Path) -> None:
        chance = torch.Generator().manual_seed(0)
        x = torch.randn(256, 4, generator=chance)
        self.samples = x, (x.sum(dim=1) > 0).long()
        self.model = jets_mlp(inputs=4, units=(16, 8), classes=2, seed=0)
        self.folder = folder

    def __call__(self, scheme: Scheme, info: TrialInfo) -> dict[str, float]:
        note(self.folder, f"begun {info.number}")
        model = quantize(self.model, scheme, example=(4,))
        history = fit(model, self.samples, self.samples, epochs=1, batch_size=64, lr=1e-2, seed=info.seed)
        return {
            "accuracy": history.best.valid_accuracy,
            "bits": estimate(model, (4,), ["bits"]).total["bits"],
        }


def note(folder: Path, text: str) -> None:
    handle = os.open(folder / "events", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, f"{text}\n".encode())
    os.close(handle)


def search(folder: Path, executor: str, trials: int) -> tuple[Trial, ...]:
    torch.set_num_threads(1)
    workers = None if executor == "serial" else WORKERS
    with EXECUTORS.get(executor)(workers=workers) as place:
        result = run_search(
            space(),
            Training(folder),
            goal=GOAL,
            trials=trials,
            journal=folder / "trials.jsonl",
            searcher="random",
            batch=BATCH,
            executor=place,
            on_trial=lambda trial: note(folder, f"done {trial.number}"),
        )
    return result.trials


def begun(folder: Path) -> int:
    events = folder / "events"
    return events.read_text().count("begun") if events.exists() else 0


def running(child: int) -> bool:
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


def main() -> int:
    folder, executor, trials, kills = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    chance = random.Random(0)
    killed = 0
    while True:
        at = begun(folder) + chance.randint(1, max(trials // kills - 1, 1))
        child = os.fork()
        if child == 0:
            try:
                search(folder, executor, trials)
            except BaseException as fault:
                note(folder, f"fault {fault!r}")
                os._exit(1)
            os._exit(0)
        while killed < kills and begun(folder) < at and running(child):
            time.sleep(0.001)
        if killed < kills:
            time.sleep(chance.uniform(0.0, 0.05))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            print(killed)
            return os.waitstatus_to_exitcode(status)
        killed += 1


if __name__ == "__main__":
    sys.exit(main())
