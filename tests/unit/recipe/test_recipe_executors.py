"""Where a recipe has its trials evaluated."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from torchq.recipe.load import load
from torchq.recipe.searches import executor_of
from torchq.search.executors import RayExecutor


@pytest.mark.parametrize(("gpus", "workers"), [(0.5, 4), (1, 2), (2, 1)])
def test_a_recipe_says_how_many_gpus_a_worker_of_ray_has(
    monkeypatch: pytest.MonkeyPatch, gpus: float, workers: int
) -> None:
    cluster = SimpleNamespace(cluster_resources=lambda: {"CPU": 8.0, "GPU": 2.0})
    monkeypatch.setattr("torchq.search.executors.ray._connected", lambda address: (cluster, False))
    told = ("device=cuda", "search.executor=ray", f"search.gpus_per_worker={gpus}")
    executor = executor_of(load("jets/autoq_energy", told).recipe)
    assert isinstance(executor, RayExecutor)
    assert (executor.gpus_per_worker, executor.workers) == (gpus, workers)


def test_unless_it_says_so_the_evaluation_does(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = SimpleNamespace(cluster_resources=lambda: {"CPU": 8.0, "GPU": 2.0})
    monkeypatch.setattr("torchq.search.executors.ray._connected", lambda address: (cluster, False))
    executor = executor_of(load("jets/autoq_energy", ("device=cuda", "search.address=auto")).recipe)
    assert isinstance(executor, RayExecutor)
    assert (executor.gpus_per_worker, executor.workers) == (None, 8)
