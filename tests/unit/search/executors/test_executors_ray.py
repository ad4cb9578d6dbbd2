"""A real Ray cluster of two workers on this machine, with workers and a whole node killed in the middle."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from executor_evaluations import (
    Deadly,
    Held,
    Slow,
    Sums,
    Unmendable,
    Where,
    bring_up,
    job,
    play,
    stacks,
    told,
)

from torchq.errors import SearchError
from torchq.search.executors import RayExecutor, SerialExecutor
from torchq.search.executors import ray as module

STORE = 100 * 2**20


def serial(trials: int, size: int) -> dict[int, tuple[dict[str, float], str | None]]:
    with SerialExecutor() as executor:
        return told(play(executor, Sums(), trials, size))


def nothing_at() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


def test_without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SearchError) as caught:
        RayExecutor(address="auto")
    assert str(caught.value) == "ray is not installed; pip install 'torchq[ray]'"


def test_no_threads() -> None:
    with pytest.raises(SearchError, match="threads must be at least 1, got 0"):
        RayExecutor(threads=0)


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_nobody_at_the_address(scheme: str) -> None:
    pytest.importorskip("ray")
    address = scheme + nothing_at()
    with pytest.raises(SearchError) as caught:
        RayExecutor(address=address)
    assert str(caught.value) == (
        f"no Ray cluster answers at '{address}' (Connection refused); start one with 'ray start --head', or "
        "give the address that 'ray start --head' printed"
    )


@pytest.mark.slow
def test_somebody_else_at_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    monkeypatch.setattr(module, "CONNECT_S", 3.0)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"127.0.0.1:{mute.getsockname()[1]}"
        begin = time.monotonic()
        with pytest.raises(SearchError, match=f"no Ray cluster answers at '{address}' \\(nothing in 3 s\\)"):
            RayExecutor(address=address)
        assert time.monotonic() - begin < 10


def test_workers_lost_one_by_one_are_waited_for_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time in which a cluster must give a worker counts from when the last one was up."""

    class Empty:
        def __getattr__(self, name: str) -> Any:
            return self

        def __call__(self, *args: object, **settings: object) -> Any:
            return self

        def wait(self, asked: list[Any], **settings: object) -> tuple[list[Any], list[Any]]:
            return [], asked

        def available_resources(self) -> dict[str, float]:
            return {"CPU": 0.0}

    now = [0.0]
    monkeypatch.setattr(module, "_connected", lambda address: (Empty(), False))
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    with RayExecutor(workers=1) as team:
        team.submit(Sums(), [job(0)])
        (worker,) = team._team
        worker.up = True
        now[0] = 10 * module.START_S
        assert team._wait(0) == []
        worker.up = False
        now[0] += 0.9 * module.START_S
        assert team._wait(0) == []
        now[0] += 0.2 * module.START_S
        with pytest.raises(
            SearchError, match=r"gave no worker in 120 s; a worker needs 1 CPU, and 0 are free"
        ):
            team._wait(0)


def started() -> Any:
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "object_store_memory": STORE, "include_dashboard": False}
    made = Cluster(initialize_head=True, head_node_args=head)
    for _ in range(2):
        made.add_node(num_cpus=1, object_store_memory=STORE)
    return made


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    pytest.importorskip("ray", reason="ray is not installed: pip install 'torchq[ray]'")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.MonkeyPatch.context() as environment:
            paths = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
            environment.setenv("PYTHONPATH", os.pathsep.join(paths))  # so that its workers find this folder
            made = started()
    yield made
    made.shutdown()


@pytest.fixture(scope="module")
def team(cluster: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayExecutor]:
    with RayExecutor(address=cluster.address) as executor:
        bring_up(executor, tmp_path_factory.mktemp("held"))
        yield executor


@pytest.mark.slow
def test_as_in_this_process(team: RayExecutor) -> None:
    assert team.workers == 2, "one for each CPU of the cluster"
    assert told(play(team, Sums(), 20, 4)) == serial(20, 4)
    found = play(team, Where(), 8, 1)
    assert len({one.metrics["pid"] for one in found.values()}) == 2
    assert {one.metrics["threads"] for one in found.values()} == {1.0}


@pytest.mark.slow
def test_a_straggler_blocks_nobody(team: RayExecutor, tmp_path: Path) -> None:
    slow = Slow(tmp_path / "go on")
    waiting, done = stacks(10, 2), []
    while len(done) < 8:
        while waiting and team.free:
            team.submit(slow, waiting.pop(0))
        done += [one.number for one in team.ready(60)]
    assert done == [2, 3, 4, 5, 6, 7, 8, 9], "all but the first stack, which is still at it"
    slow.until.touch()
    assert [one.number for one in team.ready(60)] == [0, 1]


@pytest.mark.slow
def test_an_error_that_no_other_scheme_would_mend_is_raised(team: RayExecutor) -> None:
    team.submit(Unmendable(), [job(0)])
    with pytest.raises(SearchError) as caught:
        team.ready(60)
    assert str(caught.value) == "the goal reads 'energy'; name a cost"


@pytest.mark.slow
def test_an_evaluation_that_cannot_be_sent(team: RayExecutor) -> None:
    lock = threading.Lock()

    def locked(scheme: object, info: object) -> dict[str, float]:
        return {"bits": float(lock.locked())}

    with pytest.raises(SearchError) as caught:
        team.submit(locked, [job(0)])
    assert str(caught.value) == (
        "the evaluation cannot be sent to Ray's workers (cannot pickle '_thread.lock' object); "
        "hold nothing in it that belongs to this process alone, such as locks and files"
    )
    assert team.free == 2


@pytest.mark.slow
def test_killed_workers_are_replaced(team: RayExecutor, tmp_path: Path) -> None:
    before = len(team.notes)
    deadly = Deadly(always=[6], once={3: tmp_path / "three"})
    found = told(play(team, deadly, 10, 5))
    expected = serial(10, 5)
    metrics, reason = found.pop(6)
    del expected[6]
    assert found == expected
    assert metrics == {}
    assert reason is not None
    assert reason.startswith("its worker was lost 3 times, the last one because it was lost (")
    assert len(team.notes) == before + 4


@pytest.mark.slow
def test_the_cluster_is_left_as_it_was(cluster: Any, team: RayExecutor) -> None:
    import ray

    team.close()
    assert not ray.is_initialized()
    ray.init(address=cluster.address, logging_level="ERROR", log_to_driver=False)
    try:
        end = time.monotonic() + 20
        while ray.available_resources().get("CPU") != 2.0 and time.monotonic() < end:
            time.sleep(0.2)
        assert ray.available_resources()["CPU"] == 2.0
        with RayExecutor(address=cluster.address, workers=1) as second:
            assert told(play(second, Sums(), 3, 3)) == serial(3, 3)
        assert ray.is_initialized(), "a connection that was there before stays"
    finally:
        ray.shutdown()


@pytest.mark.slow
def test_a_killed_node_loses_nothing(cluster: Any, tmp_path: Path) -> None:
    evaluation = Held(tmp_path)
    found = {}
    with RayExecutor(address=cluster.address) as team:
        for stack in stacks(12, 3):
            team.submit(evaluation, stack)
        while len(list(tmp_path.glob("begun *"))) < 2:
            assert team.ready(0.1) == []
        cluster.remove_node(cluster.worker_nodes.copy().pop(), allow_graceful=False)
        end = time.monotonic() + 120
        while not team.notes and time.monotonic() < end:
            assert team.ready(0.5) == [], "the other one is still held"
        (tmp_path / "go on").touch()
        while len(found) < 12:
            some = team.ready(120)
            assert some, "nothing ended in two minutes"
            found |= {one.number: one for one in some}
        assert told(found) == serial(12, 3)
        (note,) = team.notes
        assert note.startswith("ray worker ")
        assert "was lost (" in note
        assert note.endswith(", with 3 trials; tried again")


@pytest.mark.slow
def test_a_cluster_without_room(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "START_S", 2.0)
    with RayExecutor(address=cluster.address, workers=1, threads=64) as team:
        team.submit(Sums(), [job(0)])
        with pytest.raises(SearchError) as caught:
            team.ready(60)
    assert str(caught.value).startswith(f"the Ray cluster at '{cluster.address}' gave no worker in 2 s; ")
    assert str(caught.value).endswith("wait until other jobs end, or add nodes")
