"""``ProcessExecutor``: evaluation processes on this machine."""

from __future__ import annotations

import io
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import connection, parent_process, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, UntypedStorage

from torchq.errors import SearchError
from torchq.search.evaluation import Evaluation
from torchq.search.executors.base import EXECUTORS
from torchq.search.executors.evaluating import answer
from torchq.search.executors.pool import Event, Pool, Stack, Worker

SHARED_BYTES = 1 << 20
"""Tensors and arrays of at least so many bytes are shared by all processes; others are copied to each."""


@dataclass(kw_only=True, eq=False)
class _Process(Worker):
    process: SpawnProcess
    pipe: Connection
    knows: Evaluation | None = None


@EXECUTORS.register("processes")
class ProcessExecutor(Pool[_Process]):
    """Each process takes a stack of jobs; the evaluation is sent to it once, not with every stack.

    Processes are spawned, so the evaluation must be of a class or function that can be imported, and a script
    must guard its main part by ``if __name__ == "__main__"``. Tensors and arrays of a megabyte and more lie
    in shared memory: an evaluation must not write into its own data. A process that ends (killed, out of
    memory) is replaced and its jobs are tried again, see :class:`~torchq.search.executors.pool.Pool`. The
    processes end with this one, however it ends.

    Args:
        workers: how many processes; by default as many as this process may use cores.
        address: None.
        retries: how often a job whose process was lost is tried again.
        threads: of each process; results may depend on it in the last digits.

    Raises:
        SearchError: arguments out of range, or an address.

    Example:
        >>> from torchq.search.executors import EXECUTORS
        >>> with EXECUTORS.get("processes")(workers=2) as executor:  # nothing starts before there is work
        ...     executor.workers, executor.notes
        (2, [])
    """

    def __init__(
        self,
        *,
        workers: int | None = None,
        address: str | None = None,
        retries: int = 2,
        threads: int = 1,
    ) -> None:
        super().__init__(
            workers=len(os.sched_getaffinity(0)) if workers is None else workers, retries=retries
        )
        if address is not None:
            raise SearchError(
                f"the executor 'processes' has no address, got {address!r}", hint="choose the executor 'ray'"
            )
        if threads < 1:
            raise SearchError(f"threads must be at least 1, got {threads}")
        self.threads = threads
        self._begun = 0
        self._last: Evaluation | None = None
        self._shared: dict[int, tuple[NDArray[Any], Tensor]] = {}
        self._context = SpawnContext()

    def _start(self) -> _Process:
        self._begun += 1
        ours, theirs = self._context.Pipe()
        name = f"process {self._begun}"
        process = self._context.Process(
            target=serve, args=(theirs, name, self.threads), name=f"torchq {name}", daemon=True
        )
        with _no_interrupts():
            process.start()
        theirs.close()
        return _Process(name=f"{name} (pid {process.pid})", process=process, pipe=ours)

    def _send(self, worker: _Process, stack: Stack) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # its end is reported by _wait
            if worker.knows is not stack.evaluation:
                if self._last is not stack.evaluation:
                    self._last, self._shared = stack.evaluation, {}
                worker.pipe.send_bytes(_packed(stack.evaluation, self._shared))
                worker.knows = stack.evaluation
            worker.pipe.send(stack.jobs)

    def _wait(self, timeout_s: float | None) -> list[Event[_Process]]:
        by_handle: dict[Any, _Process] = {worker.pipe: worker for worker in self._team}
        by_handle |= {worker.process.sentinel: worker for worker in self._team}
        woken = {
            id(worker): worker for h in connection.wait(by_handle, timeout_s) if (worker := by_handle[h])
        }
        return [self._heard(worker) for worker in woken.values()]

    def _heard(self, worker: _Process) -> Event[_Process]:
        try:
            kind, answer = worker.pipe.recv()
        except (EOFError, OSError):
            worker.process.join(5)
            return Event(worker, "lost", why=_end(worker.process.exitcode))
        return Event(worker, kind, answer)

    def _stop(self, worker: _Process) -> None:
        worker.pipe.close()
        worker.process.terminate()
        worker.process.join(5)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
        worker.process.close()

    def _hopeless(self, why: str) -> SearchError:
        return SearchError(
            f"evaluation processes end before they begin ({why})",
            hint="a script that searches with processes must guard its main part by "
            'if __name__ == "__main__": ...',
        )


def serve(pipe: Connection, name: str, threads: int) -> None:
    """What a process does: stacks of jobs in, results out, until the pipe or the parent ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    pipe.send(("up", None))
    evaluation: Evaluation | SearchError = SearchError("no evaluation was sent")
    while True:
        try:
            message = pipe.recv()
        except EOFError:
            return
        except Exception as fault:
            message = _unreadable(fault)
        if not isinstance(message, tuple):
            evaluation = message
        elif isinstance(evaluation, SearchError):
            pipe.send(("done", evaluation))
        else:
            pipe.send(("done", answer(evaluation, message, name)))


def _unreadable(fault: Exception) -> SearchError:
    return SearchError(
        f"evaluation processes cannot read the evaluation ({type(fault).__name__}: {fault})",
        hint="define it in a module that can be imported",
    )


class _Packer(ForkingPickler):
    """Pickles for another process of this machine; shares what is large, and copies the rest.

    Args:
        buffer: where to.
        shared: arrays that lie in shared memory already, by identity, and which tensor they became.
    """

    def __init__(self, buffer: io.BytesIO, shared: dict[int, tuple[NDArray[Any], Tensor]]) -> None:
        super().__init__(buffer)
        self.shared = shared

    def reducer_override(self, thing: Any) -> Any:
        if isinstance(thing, UntypedStorage) and thing.device.type == "cpu" and thing.nbytes() < SHARED_BYTES:
            return _storage, (torch.empty(0, dtype=torch.uint8).set_(thing).numpy().tobytes(),)
        if type(thing) is np.ndarray and thing.nbytes >= SHARED_BYTES and not thing.dtype.hasobject:
            if id(thing) not in self.shared:
                values = torch.empty(thing.nbytes, dtype=torch.uint8)
                values.share_memory_()  # type: ignore[no-untyped-call]
                values.numpy()[:] = np.ascontiguousarray(thing).reshape(-1).view(np.uint8)
                self.shared[id(thing)] = thing, values
            return _array, (self.shared[id(thing)][1], thing.dtype.str, thing.shape)
        return NotImplemented


def _array(values: Tensor, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    return values.numpy().view(dtype).reshape(shape)


def _storage(data: bytes) -> UntypedStorage:
    values = torch.frombuffer(bytearray(data), dtype=torch.uint8) if data else torch.empty(0)
    return values.untyped_storage()


def _packed(evaluation: Evaluation, shared: dict[int, tuple[NDArray[Any], Tensor]]) -> bytes:
    buffer = io.BytesIO()
    try:
        _Packer(buffer, shared).dump(evaluation)
    except Exception as fault:  # pickle's errors have no common class
        raise SearchError(
            f"the evaluation cannot be sent to other processes ({type(fault).__name__}: {fault})",
            hint="define it at the top of a module, or search with the executor 'serial'",
        ) from fault
    return buffer.getvalue()


def _end(code: int | None) -> str:
    if code == -signal.SIGKILL:
        return "was killed by SIGKILL, as happens when memory runs out"
    if code is not None and code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """Ctrl-C reaches this process only, and later: what is started in here never sees it."""
    resource_tracker.ensure_running()  # or it would be started in here, and let interrupts through
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
