"""Handing out and trying again, with workers that live in the test."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from executor_evaluations import Sums, job, play, stacks, told
from hypothesis import given
from hypothesis import strategies as st

from torchq.errors import SearchError
from torchq.search.executors import SerialExecutor, evaluate_stack
from torchq.search.executors.pool import FLEETING, Event, Pool, Stack, Worker

SUMS = Sums()


class Imagined(Pool[Worker]):
    """Workers that come up, answer and are lost in a random order; jobs of `deadly` end theirs every time."""

    def __init__(self, workers: int, seed: int, losing: float = 0.0, deadly: Sequence[int] = ()) -> None:
        super().__init__(workers=workers)
        self.chance, self.losing, self.deadly = random.Random(seed), losing, set(deadly)
        self.begun, self.most = 0, 0

    def _start(self) -> Worker:
        self.begun += 1
        return Worker(name=f"imagined {self.begun}")

    def _send(self, worker: Worker, stack: Stack) -> None:
        assert worker in self._team
        assert worker.up
        self.most = max(self.most, 1 + sum(one.stack is not None for one in self._team))

    def _wait(self, timeout_s: float | None) -> list[Event[Worker]]:
        able = [worker for worker in self._team if worker.stack is not None or not worker.up]
        if not able or self.chance.random() < 0.2:
            return []
        worker = self.chance.choice(able)
        if not worker.up:
            return [Event(worker, "up")]
        assert worker.stack is not None
        dies = self.deadly & {info.number for _, info in worker.stack.jobs}
        if dies or (worker.stack.losses == 0 and self.chance.random() < self.losing):
            return [Event(worker, "lost", why="was killed by SIGKILL")]
        return [Event(worker, "done", evaluate_stack(SUMS, worker.stack.jobs, worker.name))]

    def _stop(self, worker: Worker) -> None:
        assert worker not in self._team

    def _hopeless(self, why: str) -> SearchError:
        return SearchError(f"nobody comes up ({why})")


@given(workers=st.integers(1, 4), seed=st.integers(0, 999), trials=st.integers(1, 30), size=st.integers(1, 6))
def test_lost_workers_change_nothing_of_the_results(workers: int, seed: int, trials: int, size: int) -> None:
    with Imagined(workers, seed, losing=0.4) as pool, SerialExecutor() as serial:
        assert told(play(pool, SUMS, trials, size)) == told(play(serial, SUMS, trials, size))
        assert pool.most <= workers
        assert pool.free == workers


@given(seed=st.integers(0, 999), deadly=st.sets(st.integers(0, 11), max_size=4))
def test_only_the_deadly_jobs_fail(seed: int, deadly: set[int]) -> None:
    with Imagined(2, seed, deadly=sorted(deadly)) as pool:
        found = play(pool, SUMS, 12, 4)
    reason = "its worker was lost 3 times, the last one because it was killed by SIGKILL"
    assert {number for number, one in found.items() if one.reason == reason} == deadly
    assert all(found[number].metrics or number % 7 == 5 for number in found.keys() - deadly)


def test_what_was_lost_is_noted() -> None:
    with Imagined(1, 0, deadly=[1]) as pool:
        play(pool, SUMS, 2, 2)
    assert pool.notes == [
        "imagined 1 was killed by SIGKILL, with 2 trials; tried again",
        "imagined 2 was killed by SIGKILL, with 2 trials; they are tried again one by one",
        "imagined 3 was killed by SIGKILL, with trial 1; given up",
    ]


def test_without_retries_a_lost_stack_fails() -> None:
    with Imagined(1, 0, deadly=[1]) as pool:
        pool.retries = 0
        found = play(pool, SUMS, 3, 3)
    reason = "its worker was lost once, the last one because it was killed by SIGKILL"
    assert [found[n].reason for n in range(3)] == [reason] * 3


def test_a_straggler_leaves_the_others_free() -> None:
    with Imagined(2, 1) as pool:
        first, *others = stacks(8, 2)
        pool.submit(SUMS, first)
        while pool._team[0].stack is None:
            pool._heed(Event(next(w for w in pool._team if not w.up), "up"))
            pool._hand_out()
        slow, pool.chance = pool._team[0], NeverFirst(1)
        found = []
        for stack in others:
            assert pool.free == 1
            pool.submit(SUMS, stack)
            while not (some := pool.ready(0)):
                pass
            found += [one.number for one in some]
        assert found == [2, 3, 4, 5, 6, 7]
        assert slow.stack is not None


class NeverFirst(random.Random):
    def choice(self, able: Sequence[Worker]) -> Worker:  # type: ignore[override]
        return able[-1]


def test_ready_ends_with_its_time_and_with_its_work() -> None:
    with Imagined(1, 0) as pool:
        assert pool.ready() == [], "nothing was submitted"
        pool.chance = Lazy(0)
        pool.submit(SUMS, [job(0)])
        assert pool.ready(0.01) == []
        assert pool.free == 0


class Lazy(random.Random):
    def random(self) -> float:
        return 0.0


def test_workers_that_never_come_up_end_the_search() -> None:
    with Imagined(1, 0) as pool:
        pool.submit(SUMS, [job(0)])
        for _ in range(2):
            pool._heed(Event(pool._team[0], "lost", why="ended with exit code 1"))
            pool._hand_out()
        with pytest.raises(SearchError, match="nobody comes up"):
            pool._heed(Event(pool._team[0], "lost", why="ended with exit code 1"))


def test_a_node_lost_while_its_workers_come_up_does_not_end_the_search() -> None:
    with Imagined(4, 0) as pool:
        for stack in stacks(4, 1):
            pool.submit(SUMS, stack)
        for worker in list(pool._team):
            pool._heed(Event(worker, "lost", why="was lost (its node is dead)"))
        pool._hand_out()
        with pytest.raises(SearchError, match=r"nobody comes up \(was lost \(its node is dead\)\)"):
            pool._heed(Event(pool._team[0], "lost", why="was lost (its node is dead)"))


def test_workers_that_come_up_and_go_again_and_again_end_the_search() -> None:
    with Imagined(2, 0) as pool:
        pool.submit(SUMS, [job(0)])
        straggler = pool._team[0]
        pool._heed(Event(straggler, "up"))
        pool._hand_out()
        assert straggler.stack is not None

        def comes_and_goes() -> None:
            pool._hand_out()
            fleeting = pool._team[-1]
            pool._heed(Event(fleeting, "up"))
            pool._heed(Event(fleeting, "lost", why="was killed by SIGKILL"))

        for _ in range(FLEETING - 1):
            comes_and_goes()
        assert pool.notes[0] == "imagined 2 was lost (was killed by SIGKILL); another one took its place"
        pool._heed(Event(straggler, "done", []))
        for _ in range(FLEETING - 1):
            comes_and_goes()
        with pytest.raises(SearchError) as caught:
            comes_and_goes()
    assert str(caught.value) == (
        "20 workers were lost with no work in hand before a stack of trials was done; the last one "
        "was killed by SIGKILL; see what ends them, or choose fewer workers, then start the same search again"
    )


def test_what_is_forgotten_never_comes_back() -> None:
    with Imagined(2, 3) as pool:
        for stack in stacks(8, 2):
            pool.submit(SUMS, stack)
        while not any(worker.stack for worker in pool._team):
            assert pool.ready(0) == []
        before = pool.begun
        pool.forget()
        assert pool.free == 2
        assert pool.ready() == []
        assert sorted(play(pool, SUMS, 4, 2)) == [0, 1, 2, 3]
        assert pool.begun > before, "those that were at it were replaced"


def test_a_closed_pool_takes_nothing() -> None:
    pool = Imagined(1, 0)
    pool.close()
    pool.close()
    with pytest.raises(SearchError, match="this executor was closed; open a new one"):
        pool.submit(SUMS, [job(0)])


def test_retries_below_zero_are_refused() -> None:
    class Some(Imagined):
        def __init__(self) -> None:
            Pool.__init__(self, retries=-1)

    with pytest.raises(SearchError, match="retries must be at least 0, got -1"):
        Some()
