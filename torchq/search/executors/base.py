"""``Executor``: where trials are evaluated. One file an executor, over this base."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from torchq.errors import SearchError
from torchq.registry import Registry
from torchq.search.evaluation import Evaluation, Job

EXECUTORS: Registry[type[Executor]] = Registry("executor")
"""Executors by the name that a recipe calls them."""


@dataclass(frozen=True)
class Finished:
    """What came out of one job.

    Args:
        number: of the trial.
        metrics: what the evaluation reported; empty if it failed.
        reason: why it failed; None if it did not.
        wall_s: seconds that it took; its share, if it was evaluated in a stack.
        worker: who evaluated it, such as ``"process 2"``; empty if the process of the search did.
    """

    number: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    reason: str | None = None
    wall_s: float = 0.0
    worker: str = ""


class Executor(ABC):
    """Evaluates stacks of jobs somewhere, and hands back each result as soon as it is there.

    Use it as a context manager, or call :meth:`close`. Jobs that are submitted when :attr:`free` is 0 wait.

    Args:
        workers: how many stacks are evaluated at the same time; by default what the executor finds.
        address: where the workers are, for an executor that reaches other machines.

    Raises:
        SearchError: arguments that this executor cannot have, or workers that cannot be reached.

    Attributes:
        notes: sentences about what was mended or worked around, such as lost workers.
    """

    def __init__(self, *, workers: int | None = None, address: str | None = None) -> None:
        if workers is not None and workers < 1:
            raise SearchError(f"workers must be at least 1, got {workers}")
        self.workers = workers or 1
        self.address = address
        self.notes: list[str] = []

    @property
    @abstractmethod
    def free(self) -> int:
        """How many stacks may be submitted now without waiting for others."""

    @abstractmethod
    def submit(self, evaluation: Evaluation, jobs: Sequence[Job]) -> None:
        """Hand over one stack of jobs; returns at once."""

    @abstractmethod
    def ready(self, timeout_s: float | None = None) -> list[Finished]:
        """The jobs that ended since the last call; waits until there are some, or the time is up.

        It is empty at once if nothing is left of what was submitted.

        Args:
            timeout_s: seconds to wait at most; None waits as long as it takes, 0 does not wait.

        Raises:
            SearchError: no worker is left, and none can be had.
            TorchqError: an error of an evaluation that no other scheme would mend.
        """

    @abstractmethod
    def forget(self) -> None:
        """Forget all that was submitted and not handed back; workers that are at it are stopped."""

    @abstractmethod
    def close(self) -> None:
        """Let the workers go; what they are at is lost. A second call does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
