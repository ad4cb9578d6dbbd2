"""``SerialExecutor``: in this process, one stack after the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from torchq.errors import SearchError
from torchq.search.evaluation import Evaluation, Job
from torchq.search.executors.base import EXECUTORS, Executor, Finished
from torchq.search.executors.evaluating import evaluate_one, evaluate_stack


@EXECUTORS.register("serial")
class SerialExecutor(Executor):
    """Evaluates in this process, when :meth:`ready` is called, in the order of submission.

    :meth:`ready` hands back a whole stack if the evaluation takes stacks (``many``), and else one job a call,
    so that each can be written down before the next one starts. The same submissions give the same results in
    the same order.

    Args:
        workers: 1 or None.
        address: None.

    Raises:
        SearchError: workers or an address.
    """

    def __init__(self, *, workers: int | None = None, address: str | None = None) -> None:
        super().__init__(workers=workers, address=address)
        if self.workers != 1:
            raise SearchError(
                f"the executor 'serial' has 1 worker, this process; got workers: {workers}",
                hint="choose the executor 'processes' or 'ray'",
            )
        if address is not None:
            raise SearchError(
                f"the executor 'serial' has no address, got {address!r}", hint="choose the executor 'ray'"
            )
        self._waiting: deque[tuple[Evaluation, list[Job]]] = deque()

    @property
    def free(self) -> int:
        """1 if nothing waits, else 0."""
        return 0 if self._waiting else 1

    def submit(self, evaluation: Evaluation, jobs: Sequence[Job]) -> None:
        """Remember a stack for :meth:`ready`."""
        if jobs:
            self._waiting.append((evaluation, list(jobs)))

    def ready(self, timeout_s: float | None = None) -> list[Finished]:  # noqa: ARG002
        """Evaluate the next job or stack, however long it takes."""
        if not self._waiting:
            return []
        evaluation, jobs = self._waiting.popleft()
        if hasattr(evaluation, "many"):
            return evaluate_stack(evaluation, jobs)
        first, *others = jobs
        if others:
            self._waiting.appendleft((evaluation, others))
        return [evaluate_one(evaluation, first)]

    def forget(self) -> None:
        """Forget what waits."""
        self._waiting.clear()

    def close(self) -> None:
        """As :meth:`forget`."""
        self.forget()
