"""Evaluations that other processes can import, and a way to play an executor, for the tests of executors."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from torchq.errors import SearchError, TorchqError, TrainError
from torchq.scheme import Scheme
from torchq.search import TrialInfo
from torchq.search.evaluation import Evaluation, Job
from torchq.search.executors import Executor, Finished


def job(number: int) -> Job:
    return Scheme(units={"fc1": number + 1}), TrialInfo(number, 100 + number, {"fc1": number})


def stacks(trials: int, size: int) -> list[list[Job]]:
    return [[job(n) for n in range(first, min(first + size, trials))] for first in range(0, trials, size)]


def play(executor: Executor, evaluation: Evaluation, trials: int, size: int) -> dict[int, Finished]:
    """Submit whenever there is room, as a search does; what came out, by number."""
    waiting, found = stacks(trials, size), {}
    while waiting or len(found) < trials:
        while waiting and executor.free:
            executor.submit(evaluation, waiting.pop(0))
        some = executor.ready(120)
        assert some, "nothing ended in two minutes"
        for finished in some:
            assert finished.number not in found, "told twice"
            found[finished.number] = finished
    return found


def told(found: Mapping[int, Finished]) -> dict[int, tuple[dict[str, float], str | None]]:
    """What does not depend on where and how long it was evaluated."""
    return {number: (dict(one.metrics), one.reason) for number, one in sorted(found.items())}


class Sums:
    """Cheap, with data of its own: a sum over a large shared tensor and a small copied one."""

    def __init__(self) -> None:
        self.large = torch.arange(1 << 19, dtype=torch.float32)
        self.small = torch.ones(3)
        self.array = np.arange(1 << 19, dtype=np.float32).reshape(2, -1)

    def __call__(self, scheme: Scheme, info: TrialInfo) -> dict[str, float]:
        if info.number % 7 == 5:
            raise TrainError("the loss is not a number", hint="try a smaller lr")
        value = float(self.large[: info.number].sum() + self.small.sum()) + float(self.array[1, info.number])
        return {"accuracy": value, "bits": float(scheme.units["fc1"])}

    def many(self, jobs: Sequence[Job]) -> list[dict[str, float] | TorchqError]:
        answers: list[dict[str, float] | TorchqError] = []
        for scheme, info in jobs:
            try:
                answers.append(self(scheme, info))
            except TorchqError as fault:
                answers.append(fault)
        return answers


def in_shared_memory(address: int) -> bool:
    for line in Path("/proc/self/maps").read_text().splitlines():
        first, last = (int(end, 16) for end in line.split()[0].split("-"))
        if first <= address < last:
            return "/dev/shm/" in line  # noqa: S108
    return False


class Where(Sums):
    """Says in its metrics where it was: process, threads, and whether its tensors are shared."""

    def __call__(self, scheme: Scheme, info: TrialInfo) -> dict[str, float]:
        return {
            "pid": os.getpid(),
            "threads": torch.get_num_threads(),
            "large": float(self.large.is_shared()),
            "small": float(self.small.is_shared()),
            "array": float(in_shared_memory(self.array.ctypes.data)),
        }


class Visible(Sums):
    """Says which GPUs its worker is shown, as a number: -1 for none."""

    def __init__(self, device: str) -> None:
        super().__init__()
        self.device = device

    def __call__(self, scheme: Scheme, info: TrialInfo) -> dict[str, float]:
        shown = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        return {"gpu": float(shown) if shown else -1.0, "pid": os.getpid()}


class Deadly(Sums):
    """Ends its process at some trials: always, or only the first time (a file remembers)."""

    def __init__(self, always: Sequence[int] = (), once: Mapping[int, Path] | None = None) -> None:
        super().__init__()
        self.always, self.once = set(always), dict(once or {})

    def __call__(self, scheme: Scheme, info: TrialInfo) -> dict[str, float]:
        memory = self.once.get(info.number)
        if info.number in self.always or (memory is not None and not memory.exists()):
            if memory is not None:
                memory.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(scheme, info)


class Slow(Sums):
    """Trial 0 takes until a file appears, the others no time."""

    def __init__(self, until: Path) -> None:
        super().__init__()
        self.until = until

    def __call__(self, scheme: Scheme, info: TrialInfo) -> dict[str, float]:
        while info.number == 0 and not self.until.exists():
            time.sleep(0.02)
        return super().__call__(scheme, info)


class Held(Sums):
    """Every trial says in a folder that it has begun, and then takes until the folder has ``go on``."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def __call__(self, scheme: Scheme, info: TrialInfo) -> dict[str, float]:
        (self.folder / f"begun {info.number}").touch()
        while not (self.folder / "go on").exists():
            time.sleep(0.02)
        return super().__call__(scheme, info)


def bring_up(executor: Executor, folder: Path) -> None:
    """Every worker is up and has evaluated something."""
    held = Held(folder)
    for stack in stacks(executor.workers, 1):
        executor.submit(held, stack)
    while len(list(folder.glob("begun *"))) < executor.workers:
        assert executor.ready(0.1) == []
    (folder / "go on").touch()
    found = 0
    while found < executor.workers:
        found += len(executor.ready(60))


class Unmendable:
    def __call__(self, scheme: Scheme, info: TrialInfo) -> dict[str, float]:
        raise SearchError("the goal reads 'energy'", hint="name a cost")


class Defect:
    def __call__(self, scheme: Scheme, info: TrialInfo) -> dict[str, float]:
        raise KeyError("fc9")


class Unreadable:
    """Can be sent, not read."""

    def __reduce__(self) -> tuple[object, ...]:
        return _refuse, ()

    def __call__(self, scheme: Scheme, info: TrialInfo) -> dict[str, float]:
        return {}


def _refuse() -> Unreadable:
    raise ImportError("no module of that name")
