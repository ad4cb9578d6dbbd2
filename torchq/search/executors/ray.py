"""``RayExecutor``: workers on an existing Ray cluster. The only file that knows Ray."""

from __future__ import annotations

import math
import os
import socket
import subprocess
import sys
import time
import uuid
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch

from torchq.errors import SearchError
from torchq.search.evaluation import Evaluation, Job
from torchq.search.executors.base import EXECUTORS, Finished
from torchq.search.executors.evaluating import answer
from torchq.search.executors.pool import Event, Pool, Stack, Worker
from torchq.search.trial import versions

CONNECT_S = 30.0
"""Seconds that a cluster may take to answer."""

ATTEMPTS = 3
"""How often a cluster that answered is asked for a connection."""

START_S = 120.0
"""Seconds that the first worker may take to come up; the cluster may be busy with other jobs."""

LOOK_S = 1.0
"""Seconds between two looks at whether workers come up."""

KNOCK = "import sys, ray; ray.init(address=sys.argv[1], logging_level='ERROR', log_to_driver=False)"
"""Run in a process of its own: with nobody at the address, ``ray.init`` takes minutes to say so."""


@dataclass(kw_only=True, eq=False)
class _Actor(Worker):
    actor: Any
    asked: Any
    knows: Evaluation | None = None


@EXECUTORS.register("ray")
class RayExecutor(Pool[_Actor]):
    """Each worker is a Ray actor that takes a stack of jobs; the evaluation is sent to it once.

    The cluster is used as it is, and left so: nothing is started but the workers, which end with this process
    or with :meth:`close`. torchq, torch and numpy must be installed there in the versions of here. Workers
    and nodes that are lost are replaced as soon as the cluster has room, and their jobs are tried again, see
    :class:`~torchq.search.executors.pool.Pool`. If this process is connected to Ray already, that connection
    is used whatever the address, and left open.

    A worker asks for a GPU if the first evaluation's ``device`` is ``"cuda"``, and is shown no other one; one
    whose device is ``"cpu"`` or ``"auto"`` asks for none and trains on the CPU.

    Args:
        workers: how many; by default as many as the cluster has CPUs and GPUs for.
        address: ``"auto"`` (the cluster of this machine, or of the environment variable ``RAY_ADDRESS``),
            ``"host:port"``, or ``"ray://host:port"`` from outside the cluster.
        retries: how often a job whose worker was lost is tried again.
        threads: of each worker, and CPUs that it asks the cluster for.
        gpus_per_worker: GPUs that a worker asks for, such as 0.5 for two workers on each; None goes by the
            evaluation.

    Raises:
        SearchError: arguments out of range, Ray missing, or a cluster that does not answer within
            :data:`CONNECT_S` seconds (``ray://``: asked twice); later, no worker within :data:`START_S`
            seconds, or a cluster that is gone.
    """

    def __init__(
        self,
        *,
        workers: int | None = None,
        address: str | None = None,
        retries: int = 2,
        threads: int = 1,
        gpus_per_worker: float | None = None,
    ) -> None:
        super().__init__(workers=workers, address=address or "auto", retries=retries)
        if threads < 1:
            raise SearchError(f"threads must be at least 1, got {threads}")
        if gpus_per_worker is not None and not 0.0 <= gpus_per_worker < math.inf:
            raise SearchError(f"gpus_per_worker must be a number of at least 0, got {gpus_per_worker:g}")
        self.threads = threads
        self.gpus_per_worker = gpus_per_worker
        self._begun = 0
        self._counted = workers is not None
        self._sent: tuple[Evaluation, Any] | None = None
        self._since = time.monotonic()
        self._ray, self._ours = _connected(address or "auto")
        if not self._counted:
            self.workers = self._places()

    def submit(self, evaluation: Evaluation, jobs: Sequence[Job]) -> None:
        """As :meth:`Pool.submit`; the first evaluation says whether workers need a GPU."""
        device = str(getattr(evaluation, "device", "cpu"))
        kind, _, index = device.partition(":")
        if index.isdecimal() and int(index) > 0:
            raise SearchError(
                f"device: {device} is a GPU of this machine, and Ray gives each worker one of its own",
                hint="write cuda",
            )
        if self.gpus_per_worker is None:
            self.gpus_per_worker = 1.0 if kind == "cuda" else 0.0
            if not self._counted:
                self.workers = self._places()
        super().submit(evaluation, jobs)

    def _places(self) -> int:
        """Workers that the cluster has CPUs and GPUs for."""
        there = self._ray.cluster_resources()
        places = int(there.get("CPU", 0)) // self.threads
        if self.gpus_per_worker:
            places = min(places, int(there.get("GPU", 0) / self.gpus_per_worker))
        return max(places, 1)

    @contextmanager
    def _there(self) -> Iterator[None]:
        """The cluster is connected; unasked, Ray would start one of its own in its place."""
        try:
            if not self._ray.is_initialized():
                raise ConnectionError("the connection was closed")
            yield
        except ConnectionError as fault:
            raise SearchError(
                f"the Ray cluster at {self.address!r} is gone ({_said(fault)})",
                hint="start the same search again when it is back; the trials so far are safe",
            ) from fault

    def _hand_out(self) -> None:
        with self._there():
            super()._hand_out()

    def _start(self) -> _Actor:
        if not self._team:
            self._since = time.monotonic()
        self._begun += 1
        name = f"ray worker {self._begun}"
        actor = (
            self._ray.remote(_Evaluator)
            .options(
                num_cpus=self.threads,
                num_gpus=self.gpus_per_worker or 0,
                max_restarts=0,
                max_task_retries=0,
                scheduling_strategy="SPREAD",
            )
            .remote(name, self.threads)
        )
        return _Actor(name=name, actor=actor, asked=actor.up.remote())

    def _send(self, worker: _Actor, stack: Stack) -> None:
        news = None if worker.knows is stack.evaluation else self._reference(stack.evaluation)
        worker.knows = stack.evaluation
        worker.asked = worker.actor.evaluate.remote(news, stack.jobs)

    def _reference(self, evaluation: Evaluation) -> Any:
        """The evaluation in the cluster's object store, where each node fetches it once."""
        if self._sent is None or self._sent[0] is not evaluation:
            try:
                self._sent = (evaluation, self._ray.put(evaluation))
            except TypeError as fault:
                raise SearchError(
                    f"the evaluation cannot be sent to Ray's workers ({_said(fault.__cause__ or fault)})",
                    hint="hold nothing in it that belongs to this process alone, such as locks and files",
                ) from fault
            except (ImportError, AttributeError) as fault:  # from the other end of a ray:// address
                raise _unread(fault) from fault
        return self._sent[1]

    def _wait(self, timeout_s: float | None) -> list[Event[_Actor]]:
        with self._there():
            return self._looked(timeout_s)

    def _looked(self, timeout_s: float | None) -> list[Event[_Actor]]:
        if any(worker.up for worker in self._team):
            self._since = time.monotonic()
        asked = {worker.asked: worker for worker in self._team if worker.asked is not None}
        patience = LOOK_S if timeout_s is None else min(timeout_s, LOOK_S)
        done, _ = self._ray.wait(list(asked), num_returns=1, timeout=patience)
        if done:
            done, _ = self._ray.wait(list(asked), num_returns=len(asked), timeout=0)
        elif not any(worker.up for worker in self._team) and time.monotonic() - self._since > START_S:
            free, gpus = self._ray.available_resources(), self.gpus_per_worker
            needs = f"{self.threads} CPU" + (f" and {gpus:g} GPU" if gpus else "")
            are = f"{free.get('CPU', 0):g}" + (f" and {free.get('GPU', 0):g}" if gpus else "")
            raise SearchError(
                f"the Ray cluster at {self.address!r} gave no worker in {START_S:.0f} s; a worker needs "
                f"{needs}, and {are} are free",
                hint="wait until other jobs end, or add nodes",
            )
        return [self._heard(asked[reference], reference) for reference in done]

    def _heard(self, worker: _Actor, reference: Any) -> Event[_Actor]:
        from ray.exceptions import RayError, RayTaskError

        worker.asked = None
        try:
            found = self._ray.get(reference)
        except RayTaskError as fault:  # before the evaluation began, whose own errors are answers
            return Event(worker, "done", _unread(fault))
        except RayError as fault:
            return Event(worker, "lost", why=f"was lost ({_said(fault)})")
        if not isinstance(found, dict):
            return Event(worker, "done", found)
        worker.name = f"{worker.name} (pid {found['pid']} on {found['host']})"
        self._compare(worker.name, found["versions"])
        return Event(worker, "up")

    def _compare(self, name: str, found: dict[str, str]) -> None:
        other = [p for p in ("torchq", "torch", "numpy") if found.get(p) != versions().get(p)]
        if other:
            raise SearchError(
                f"{name} has {', '.join(f'{p} {found.get(p)}' for p in other)}, this process has "
                f"{', '.join(f'{p} {versions().get(p)}' for p in other)}",
                hint="install the same versions on all nodes; trials would not be comparable",
            )

    def _stop(self, worker: _Actor) -> None:
        if self._ray.is_initialized():
            with suppress(ConnectionError):
                self._ray.kill(worker.actor, no_restart=True)

    def close(self) -> None:
        """Stop the workers, and leave the cluster."""
        if self._closed:
            return
        super().close()
        self._sent = None
        if self._ours:
            self._ray.shutdown()

    def _hopeless(self, why: str) -> SearchError:
        return SearchError(
            f"workers of the Ray cluster at {self.address!r} end before they begin: the last one {why}",
            hint="install torchq on the cluster's nodes, in the version of here",
        )


class _Evaluator:
    """What a worker does; Ray makes an actor of it."""

    def __init__(self, name: str, threads: int) -> None:
        torch.set_num_threads(threads)
        self.name = name
        self.evaluation: Evaluation | None = None

    def up(self) -> dict[str, Any]:
        return {"pid": os.getpid(), "host": socket.gethostname(), "versions": dict(versions())}

    def evaluate(self, news: Evaluation | None, jobs: Sequence[Job]) -> list[Finished] | Exception:
        if news is not None:
            self.evaluation = news
        assert self.evaluation is not None  # noqa: S101
        return answer(self.evaluation, jobs, self.name)


def _connected(address: str) -> tuple[Any, bool]:
    """Ray, connected; and whether the connection was made here."""
    try:
        import ray
    except ImportError as fault:
        raise SearchError("ray is not installed", hint="pip install 'torchq[ray]'") from fault
    if ray.is_initialized():
        return ray, False
    _knock(address)
    for left in reversed(range(ATTEMPTS)):
        try:
            with _no_warnings():
                ray.init(
                    address=address,
                    namespace=f"torchq-{uuid.uuid4().hex}",
                    logging_level="ERROR",
                    log_to_driver=False,
                )
            break
        except (ConnectionError, RuntimeError) as fault:  # a client server that is too busy gives up in 30 s
            ray.shutdown()
            if not left:
                raise _silent(address, _said(fault)) from fault
    return ray, True


def _knock(address: str) -> None:
    """Connect and leave again in a process of its own, so that it can be given up.

    Raises:
        SearchError: nobody answers in time, or not as a Ray cluster does.
    """
    outside = address.startswith("ray://")
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if outside and not port.isdecimal():
        raise SearchError(
            f"address: {address!r} has no port",
            hint="write ray://host:10001, or the port that 'ray start --ray-client-server-port' was given",
        )
    try:
        if port.isdecimal():
            socket.create_connection((host, int(port)), timeout=CONNECT_S).close()
    except OSError as fault:
        raise _silent(address, fault.strerror or str(fault)) from None
    if outside and find_spec("grpc") is None:
        raise SearchError(
            f"address: {address!r} needs Ray's client, and grpcio is not installed",
            hint="pip install 'torchq[ray]'; or write host:port on a machine of the cluster",
        )
    if (said := _knocked(address)) and outside:  # a client server hangs at times where it starts a process
        said = _knocked(address)
    if said:
        raise _silent(address, said)


def _knocked(address: str) -> str:
    """What speaks against a cluster at the address; empty if nothing does."""
    try:
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-c", KNOCK, address],
            capture_output=True,
            text=True,
            timeout=CONNECT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"nothing in {CONNECT_S:.0f} s"
    return _said(done.stderr) if done.returncode else ""


def _unread(fault: Exception) -> SearchError:
    return SearchError(
        f"Ray's workers cannot read the evaluation ({_said(fault)})",
        hint="install the module that defines it on the cluster's nodes",
    )


def _silent(address: str, why: str) -> SearchError:
    return SearchError(
        f"no Ray cluster answers at {address!r} ({why})",
        hint="start one with 'ray start --head', or give the address that 'ray start --head' printed",
    )


def _said(fault: object) -> str:
    """The first sentence of the last line: Ray's errors are pages, and say what is wrong there."""
    lines = [line.strip() for line in str(fault).splitlines() if line.strip()]
    return lines[-1].split(". ")[0].rstrip(".") if lines else type(fault).__name__


@contextmanager
def _no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
