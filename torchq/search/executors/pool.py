"""``Pool``: what executors with workers share: handing out stacks, trying again what lost its worker."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from torchq.errors import SearchError
from torchq.search.evaluation import Evaluation, Job
from torchq.search.executors.base import Executor, Finished

STILLBORN = 3
"""After so many workers in a row that were lost before they were up, no more are started; with more workers
at once, after one more than all of them."""

FLEETING = 20
"""After so many workers that came up and were lost before any stack was done, no more are started."""


@dataclass(frozen=True)
class Stack:
    """Jobs that are evaluated together, and how often they lost their worker."""

    evaluation: Evaluation
    jobs: tuple[Job, ...]
    losses: int = 0


@dataclass(kw_only=True, eq=False)
class Worker:
    """One worker as the pool sees it: its name, whether it is up, and what it is at."""

    name: str
    up: bool = False
    stack: Stack | None = None


W = TypeVar("W", bound=Worker)


@dataclass(frozen=True)
class Event(Generic[W]):
    """What became of a worker: it came up, answered its stack (results or an error), or was lost."""

    worker: W
    kind: Literal["up", "done", "lost"]
    answer: list[Finished] | Exception | None = None
    why: str = ""


class Pool(Executor, Generic[W]):
    """Workers that take a stack each, whoever is free first.

    A worker that is lost is replaced, and its stack goes to the next free one. A stack that was lost
    ``retries`` times is taken apart and its jobs are tried one by one, so that a job that ends its worker
    fails alone: as a trial, with the reason.

    Args:
        workers: as :class:`Executor`.
        address: as :class:`Executor`.
        retries: how often a job whose worker was lost is tried again.
    """

    def __init__(self, *, workers: int | None = None, address: str | None = None, retries: int = 2) -> None:
        super().__init__(workers=workers, address=address)
        if retries < 0:
            raise SearchError(f"retries must be at least 0, got {retries}")
        self.retries = retries
        self._team: list[W] = []
        self._waiting: deque[Stack] = deque()
        self._finished: list[Finished] = []
        self._stillborn = 0
        self._fleeting = 0
        self._closed = False

    @property
    def free(self) -> int:
        """Workers that are at nothing or still on their way up, less the stacks that wait for one."""
        busy = sum(worker.stack is not None for worker in self._team)
        return max(self.workers - busy - len(self._waiting), 0)

    def submit(self, evaluation: Evaluation, jobs: Sequence[Job]) -> None:
        """Hand a stack to a free worker, or keep it until there is one."""
        if self._closed:
            raise SearchError("this executor was closed", hint="open a new one")
        if jobs:
            self._waiting.append(Stack(evaluation, tuple(jobs)))
            self._hand_out()

    def ready(self, timeout_s: float | None = None) -> list[Finished]:
        """As :meth:`Executor.ready`."""
        end = None if timeout_s is None else time.monotonic() + timeout_s
        while not self._finished and self._pending():
            self._hand_out()
            left = None if end is None else max(end - time.monotonic(), 0.0)
            events = self._wait(left)
            for event in events:
                self._heed(event)
            if left == 0:
                break
        finished, self._finished = self._finished, []
        return finished

    def forget(self) -> None:
        """As :meth:`Executor.forget`; workers that are at nothing stay."""
        self._waiting.clear()
        self._finished.clear()
        for worker in [worker for worker in self._team if worker.stack is not None]:
            self._team.remove(worker)
            self._stop(worker)

    def close(self) -> None:
        """Stop the workers, whatever they are at."""
        self._closed = True
        self._waiting.clear()
        team, self._team = self._team, []
        for worker in team:
            self._stop(worker)

    def _idle(self) -> list[W]:
        return [worker for worker in self._team if worker.up and worker.stack is None]

    def _pending(self) -> bool:
        return bool(self._waiting) or any(worker.stack is not None for worker in self._team)

    def _hand_out(self) -> None:
        while not self._closed and len(self._team) < self.workers:
            self._team.append(self._start())
        for worker in self._idle():
            if not self._waiting:
                return
            stack = self._waiting.popleft()
            self._send(worker, stack)
            worker.stack = stack

    def _heed(self, event: Event[W]) -> None:
        worker, stack = event.worker, event.worker.stack
        if event.kind == "up":
            worker.up, self._stillborn = True, 0
        elif event.kind == "lost":
            self._team.remove(worker)
            self._stop(worker)
            self._stillborn += not worker.up
            if self._stillborn >= max(STILLBORN, self.workers + 1):
                raise self._hopeless(event.why)
            self._fleeting += worker.up and stack is None
            if self._fleeting >= FLEETING:
                raise SearchError(
                    f"{FLEETING} workers were lost with no work in hand before a stack of trials was done; "
                    f"the last one {event.why}",
                    hint="see what ends them, or choose fewer workers, then start the same search again",
                )
            if stack is not None:
                self._again(stack, worker.name, event.why)
            elif worker.up:
                self.notes.append(f"{worker.name} was lost ({event.why}); another one took its place")
        else:
            worker.stack, self._fleeting = None, 0
            if isinstance(event.answer, Exception):
                raise event.answer
            self._finished += event.answer or []

    def _again(self, stack: Stack, name: str, why: str) -> None:
        losses, count = stack.losses + 1, len(stack.jobs)
        text = f"{count} trials" if count > 1 else f"trial {stack.jobs[0][1].number}"
        lost = f"{name} {why}, with {text}"
        if losses > self.retries:
            self.notes.append(f"{lost}; given up")
            often = "once" if losses == 1 else f"{losses} times"
            reason = f"its worker was lost {often}, the last one because it {why}"
            self._finished += [Finished(info.number, {}, reason, worker=name) for _, info in stack.jobs]
        elif losses == self.retries and count > 1:
            self.notes.append(f"{lost}; they are tried again one by one")
            self._waiting.extendleft(Stack(stack.evaluation, (job,), losses) for job in reversed(stack.jobs))
        else:
            self.notes.append(f"{lost}; tried again")
            self._waiting.appendleft(Stack(stack.evaluation, stack.jobs, losses))

    @abstractmethod
    def _start(self) -> W:
        """A new worker, on its way up."""

    @abstractmethod
    def _send(self, worker: W, stack: Stack) -> None:
        """Give a free worker a stack; a worker that is gone is reported by the next :meth:`_wait`."""

    @abstractmethod
    def _wait(self, timeout_s: float | None) -> list[Event[W]]:
        """What happened; waits until something does, or the time is up. It may be empty before that."""

    @abstractmethod
    def _stop(self, worker: W) -> None:
        """End a worker, lost or not."""

    @abstractmethod
    def _hopeless(self, why: str) -> SearchError:
        """What to say when workers cannot be started."""
