"""GPUs on Ray: asked for where the evaluation trains on one. Ray only counts them, so none is needed here."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from executor_evaluations import Visible, job, play

from torchq.errors import SearchError
from torchq.search.executors import RayExecutor

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    pytest.importorskip("ray", reason="ray is not installed: pip install 'torchq[ray]'")
    from ray.cluster_utils import Cluster  # noqa: TID251

    head = {"num_cpus": 3, "num_gpus": 1, "object_store_memory": 100 * 2**20, "include_dashboard": False}
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as environment:
        warnings.simplefilter("ignore")
        paths = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment.setenv("PYTHONPATH", os.pathsep.join(paths))  # so that its workers find this folder
        made = Cluster(initialize_head=True, head_node_args=head)
    yield made
    made.shutdown()


def shown(executor: RayExecutor, device: str) -> dict[float, float]:
    """The GPU that each worker is shown, by process."""
    found = play(executor, Visible(device), 12, 1)
    return {one.metrics["pid"]: one.metrics["gpu"] for one in found.values()}


def test_a_worker_has_one_of_its_own(cluster: Any) -> None:
    with RayExecutor(address=cluster.address) as executor:
        assert executor.workers == 3, "as many as there are CPUs, until it is known that GPUs are needed"
        assert list(shown(executor, "cuda").values()) == [0.0]
        assert executor.workers == 1


def test_half_a_gpu_each(cluster: Any) -> None:
    with RayExecutor(address=cluster.address, gpus_per_worker=0.5) as executor:
        assert executor.workers == 2
        assert set(shown(executor, "cuda").values()) == {0.0}


def test_none_is_asked_for_where_none_is_needed(cluster: Any) -> None:
    with RayExecutor(address=cluster.address, workers=1) as executor:
        assert set(shown(executor, "auto").values()) == {-1.0}


def test_more_than_there_are(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchq.search.executors.ray.START_S", 2.0)
    with RayExecutor(address=cluster.address, workers=1, gpus_per_worker=3) as executor:
        executor.submit(Visible("cuda"), [job(0)])
        with pytest.raises(SearchError, match=r"gave no worker in 2 s; a worker needs 1 CPU and 3 GPU, and "):
            executor.ready(60)


def test_a_gpu_of_this_machine(cluster: Any) -> None:
    with RayExecutor(address=cluster.address, workers=1) as executor:
        with pytest.raises(SearchError) as caught:
            executor.submit(Visible("cuda:1"), [job(0)])
        assert str(caught.value) == (
            "device: cuda:1 is a GPU of this machine, and Ray gives each worker one of its own; write cuda"
        )
        with pytest.raises(SearchError, match=r"^gpus_per_worker must be a number of at least 0, got -1$"):
            RayExecutor(address=cluster.address, gpus_per_worker=-1)
