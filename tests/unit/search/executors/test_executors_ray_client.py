"""A ``ray://`` address: a real cluster is reached through its client server, and lost in the middle."""

from __future__ import annotations

import os
import socket
import time
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from executor_evaluations import Deadly, Held, Sums, Unreadable, job, play, stacks, told

from torchq.errors import SearchError
from torchq.search.executors import RayExecutor, SerialExecutor
from torchq.search.executors import ray as module

NEEDS_CLIENT = pytest.mark.skipif(
    find_spec("ray") is None or find_spec("grpc") is None,
    reason="Ray's client is not installed: pip install 'torchq[ray]'",
)


def test_without_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        address = f"ray://127.0.0.1:{somebody.getsockname()[1]}"
        with pytest.raises(SearchError) as caught:
            RayExecutor(address=address)
    assert str(caught.value) == (
        f"address: '{address}' needs Ray's client, and grpcio is not installed; "
        "pip install 'torchq[ray]'; or write host:port on a machine of the cluster"
    )


@pytest.mark.parametrize("address", ["ray://127.0.0.1", "ray://"])
def test_without_a_port(address: str) -> None:
    pytest.importorskip("ray")
    with pytest.raises(SearchError) as caught:
        RayExecutor(address=address)
    assert str(caught.value) == (
        f"address: '{address}' has no port; write ray://host:10001, or the port that "
        "'ray start --ray-client-server-port' was given"
    )


@pytest.mark.parametrize("refused", [1, 3])
def test_a_cluster_that_answers_and_gives_no_connection(
    refused: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a client server does that is too busy to start a process in time."""
    ray = pytest.importorskip("ray")
    begun = []

    def busy(**settings: object) -> None:
        begun.append(settings["address"])
        if len(begun) <= refused:
            raise ConnectionAbortedError(
                "Initialization failure from server:\nRuntimeError: it is busy. See logs"
            )

    monkeypatch.setattr(module, "_knock", lambda address: None)
    monkeypatch.setattr(ray, "init", busy)
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 6.0})
    if refused == 1:
        assert RayExecutor(address="ray://here:1", threads=2).workers == 3
        assert len(begun) == 2
    else:
        with pytest.raises(
            SearchError, match=r"no Ray cluster answers at 'ray://here:1' \(RuntimeError: it is b"
        ):
            RayExecutor(address="ray://here:1")
        assert len(begun) == 3


@NEEDS_CLIENT
@pytest.mark.slow
def test_somebody_else_at_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECT_S", 3.0)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"ray://127.0.0.1:{mute.getsockname()[1]}"
        begin = time.monotonic()
        with pytest.raises(SearchError, match=f"no Ray cluster answers at '{address}' \\(nothing in 3 s\\)"):
            RayExecutor(address=address)
        assert time.monotonic() - begin < 20


def started(port: int) -> Any:
    """A cluster of one node with two CPUs, and a client server that answers; at first it may be slow to."""
    from ray.cluster_utils import Cluster  # noqa: TID251

    head = {"num_cpus": 2, "object_store_memory": 100 * 2**20, "include_dashboard": False}
    made = Cluster(initialize_head=True, head_node_args={**head, "ray_client_server_port": port})
    end = time.monotonic() + 120
    while time.monotonic() < end:
        try:
            module._knock(f"ray://127.0.0.1:{port}")
            return made
        except SearchError:
            time.sleep(0.2)
    made.shutdown()
    raise AssertionError("the client server did not come up in two minutes")


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Any, str]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as environment:
        warnings.simplefilter("ignore")
        paths = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment.setenv("PYTHONPATH", os.pathsep.join(paths))  # so that its workers find this folder
        environment.setenv("RAY_CLIENT_RECONNECT_GRACE_PERIOD", "2")
        made = started(port)
        yield made, f"ray://127.0.0.1:{port}"
        made.shutdown()


@NEEDS_CLIENT
@pytest.mark.slow
def test_from_outside_the_cluster(served: tuple[Any, str], tmp_path: Path) -> None:
    with SerialExecutor() as serial, RayExecutor(address=served[1]) as team:
        assert team.workers == 2
        deadly = Deadly(once={3: tmp_path / "three"})
        assert told(play(team, deadly, 10, 5)) == told(play(serial, Sums(), 10, 5)), "one was killed"
        (note,) = team.notes
        assert note.endswith(", with 5 trials; tried again")
        with pytest.raises(SearchError) as caught:
            team.submit(Unreadable(), [job(0)])
        assert str(caught.value) == (
            "Ray's workers cannot read the evaluation (no module of that name); "
            "install the module that defines it on the cluster's nodes"
        )


@NEEDS_CLIENT
@pytest.mark.slow
def test_a_cluster_that_is_gone(served: tuple[Any, str], tmp_path: Path) -> None:
    """The last test of this file: the cluster is not there afterwards."""
    import ray  # noqa: TID251

    cluster, address = served
    begun = []
    with RayExecutor(address=address) as team:
        for stack in stacks(4, 2):
            team.submit(Held(tmp_path), stack)
        while len(begun) < 2:
            assert team.ready(0.1) == []
            begun = list(tmp_path.glob("begun *"))
        cluster.shutdown()
        start = time.monotonic()
        with pytest.raises(SearchError) as caught:
            team.ready(120)
        assert time.monotonic() - start < 60
        assert str(caught.value).startswith(f"the Ray cluster at '{address}' is gone (")
        assert str(caught.value).endswith(
            "); start the same search again when it is back; the trials so far are safe"
        )
        with pytest.raises(SearchError, match=r"is gone \(the connection was closed\)"):
            team.submit(Sums(), [job(0)])
    assert not ray.is_initialized(), "no cluster of Ray's own making took its place"
