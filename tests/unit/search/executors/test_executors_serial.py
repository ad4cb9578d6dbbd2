"""In this process: the same results in the same order, and what every executor refuses."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from executor_evaluations import Defect, Sums, Unmendable, job, play, stacks, told

from torchq.errors import SearchError, TrainError
from torchq.scheme import Scheme
from torchq.search import TrialInfo
from torchq.search.evaluation import Job
from torchq.search.executors import EXECUTORS, SerialExecutor, evaluate_stack


class OneByOne:
    def __init__(self) -> None:
        self.begun: list[int] = []

    def __call__(self, scheme: Scheme, info: TrialInfo) -> dict[str, float]:
        self.begun.append(info.number)
        return {"bits": 1.0 / (info.number - 1)}


def test_one_job_a_call_without_many() -> None:
    evaluation = OneByOne()
    with SerialExecutor() as executor:
        executor.submit(evaluation, [job(n) for n in range(3)])
        assert executor.free == 0
        first = executor.ready()
        assert evaluation.begun == [0], "the others wait until the first one is written down"
        assert [one.number for one in first] == [0]
        assert executor.free == 0
        assert executor.ready()[0].reason == "float division by zero"
        executor.ready()
        assert executor.free == 1
        assert executor.ready() == []


def test_a_whole_stack_a_call_with_many() -> None:
    with SerialExecutor() as executor:
        executor.submit(Sums(), stacks(4, 4)[0])
        assert [one.number for one in executor.ready()] == [0, 1, 2, 3]


def test_stacks_and_single_jobs_say_the_same() -> None:
    with SerialExecutor() as executor:
        found = play(executor, Sums(), 8, 4)
        assert told(found) == told(play(executor, Sums(), 8, 1))
    assert found[2].metrics == {"accuracy": 4.0 + (1 << 18) + 2, "bits": 3.0}
    assert found[5].reason == "the loss is not a number; try a smaller lr"
    assert found[5].metrics == {}


def test_close_forgets_what_waits() -> None:
    executor = SerialExecutor()
    executor.submit(Sums(), [job(0)])
    executor.close()
    executor.close()
    assert executor.ready() == []


def test_an_error_that_no_other_scheme_would_mend_passes_through() -> None:
    with SerialExecutor() as executor:
        executor.submit(Unmendable(), [job(0)])
        with pytest.raises(SearchError, match="the goal reads 'energy'; name a cost"):
            executor.ready()


def test_a_defect_passes_through() -> None:
    with SerialExecutor() as executor:
        executor.submit(Defect(), [job(0)])
        with pytest.raises(KeyError, match="fc9"):
            executor.ready()


class Whole(Sums):
    """Its `many` fails as a whole, with what it is told."""

    def __init__(self, fault: Exception | None, answers: int = 0) -> None:
        super().__init__()
        self.fault, self.answers = fault, answers

    def many(self, jobs: Sequence[Job]) -> list[dict[str, float]]:  # type: ignore[override]
        if self.fault is not None:
            raise self.fault
        return [{"bits": 1.0}] * self.answers


@pytest.mark.parametrize("fault", [TrainError("one of them went wrong"), MemoryError()])
def test_a_stack_that_fails_as_a_whole_is_taken_apart(fault: Exception) -> None:
    found = evaluate_stack(Whole(fault), stacks(3, 3)[0], "here")
    assert [dict(one.metrics) for one in found] == [Sums()(*job(n)) for n in range(3)]
    assert {one.worker for one in found} == {"here"}


def test_many_must_answer_every_job() -> None:
    words = r"the evaluation's many\(\) must answer 3 jobs, got 2 answers"
    with pytest.raises(SearchError, match=words):
        evaluate_stack(Whole(None, 2), stacks(3, 3)[0])


def test_an_answer_that_no_other_scheme_would_mend_is_raised() -> None:
    class Answers(Sums):
        def many(self, jobs: Sequence[Job]) -> list[Exception]:  # type: ignore[override]
            return [SearchError("nothing to read")] * len(jobs)

    with pytest.raises(SearchError, match="nothing to read"):
        evaluate_stack(Answers(), stacks(2, 2)[0])


@pytest.mark.parametrize("name", list(EXECUTORS))
def test_no_workers_are_refused(name: str) -> None:
    with pytest.raises(SearchError, match="workers must be at least 1, got 0"):
        EXECUTORS.get(name)(workers=0)


def test_serial_has_one_worker_and_no_address() -> None:
    words = (
        "the executor 'serial' has 1 worker, this process; got workers: 4; "
        "choose the executor 'processes' or 'ray'"
    )
    with pytest.raises(SearchError) as caught:
        SerialExecutor(workers=4)
    assert str(caught.value) == words
    with pytest.raises(SearchError) as caught:
        SerialExecutor(address="auto")
    assert str(caught.value) == "the executor 'serial' has no address, got 'auto'; choose the executor 'ray'"
