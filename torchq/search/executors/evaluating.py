"""What every executor does with a stack: evaluate it, one result for every job."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from multiprocessing.reduction import ForkingPickler

from torchq.errors import DataError, RecipeError, RunDirError, SearchError, TorchqError
from torchq.search.evaluation import Evaluation, Job
from torchq.search.executors.base import Finished

NOT_THE_TRIALS = (SearchError, RunDirError, RecipeError, DataError)
"""Errors that no other scheme would mend; all other errors of a user's sort fail the trial alone."""

THE_TRIALS = (TorchqError, ArithmeticError, MemoryError)
"""Errors that fail a trial; every other one is a defect, and passes through."""


def evaluate_stack(evaluation: Evaluation, jobs: Sequence[Job], worker: str = "") -> list[Finished]:
    """A result for every job, in their order; by ``evaluation.many`` if there is such a method.

    If ``many`` raises an error that could be one trial's, the jobs are evaluated one by one, so that the
    trial at fault fails alone.

    Raises:
        TorchqError: one of :data:`NOT_THE_TRIALS`.

    Example:
        >>> from torchq.scheme import Scheme
        >>> from torchq.search import TrialInfo
        >>> jobs = [(Scheme(units={"fc1": n}), TrialInfo(n, n, {"fc1": n})) for n in (1, 2)]
        >>> for finished in evaluate_stack(lambda scheme, info: {"bits": 6 / (2 - info.number)}, jobs):
        ...     print(finished.number, dict(finished.metrics), finished.reason)
        1 {'bits': 6.0} None
        2 {} division by zero
    """
    many: Callable[[Sequence[Job]], Sequence[Mapping[str, float] | TorchqError]] | None
    many = getattr(evaluation, "many", None) if len(jobs) > 1 else None
    if many is None:
        return [evaluate_one(evaluation, job, worker) for job in jobs]
    begin = time.perf_counter()
    try:
        answers = many(jobs)
    except NOT_THE_TRIALS:
        raise
    except THE_TRIALS:
        return [evaluate_one(evaluation, job, worker) for job in jobs]
    if len(answers) != len(jobs):
        raise SearchError(f"the evaluation's many() must answer {len(jobs)} jobs, got {len(answers)} answers")
    share_s = (time.perf_counter() - begin) / len(jobs)
    return [_finished(job, answer, share_s, worker) for job, answer in zip(jobs, answers, strict=True)]


def evaluate_one(evaluation: Evaluation, job: Job, worker: str = "") -> Finished:
    """The result of one job.

    Raises:
        TorchqError: one of :data:`NOT_THE_TRIALS`.
    """
    begin = time.perf_counter()
    answer: Mapping[str, float] | Exception
    try:
        answer = evaluation(*job)
    except NOT_THE_TRIALS:
        raise
    except THE_TRIALS as fault:
        answer = fault
    return _finished(job, answer, time.perf_counter() - begin, worker)


def _finished(job: Job, answer: Mapping[str, float] | Exception, wall_s: float, worker: str) -> Finished:
    blank = Finished(job[1].number, wall_s=round(wall_s, 4), worker=worker)
    if isinstance(answer, NOT_THE_TRIALS):
        raise answer
    if isinstance(answer, Exception):
        return replace(blank, reason=str(answer) or type(answer).__name__)
    try:
        return replace(blank, metrics={name: float(value) for name, value in answer.items()})
    except (AttributeError, TypeError, ValueError) as fault:
        raise SearchError(
            f"the evaluation must return numbers by name, got {answer!r} for trial {job[1].number}",
            hint='return such as {"accuracy": 0.75, "bits": 12000.0}',
        ) from fault


def answer(evaluation: Evaluation, jobs: Sequence[Job], worker: str) -> list[Finished] | Exception:
    """As :func:`evaluate_stack`, but an error is returned: a worker sends it to the process of the search."""
    try:
        return evaluate_stack(evaluation, jobs, worker)
    except Exception as fault:
        return _portable(fault)


def _portable(fault: Exception) -> Exception:
    """An error that another process can read; a defect carries the traceback of this one."""
    if not isinstance(fault, TorchqError):
        fault.add_note(traceback.format_exc())
    try:
        ForkingPickler.loads(ForkingPickler.dumps(fault))
    except Exception:
        return RuntimeError(f"{type(fault).__name__}: {fault}\n{traceback.format_exc()}")
    return fault
