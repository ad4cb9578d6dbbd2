"""What is imported beside the first trials, and where it is not."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import warnings
from typing import Literal

import pytest

from torchq.search import beside
from torchq.search.beside import Beside


class Slow:
    """Stands for imports: says who called it, and waits for leave where there is another thread."""

    def __init__(self, faults: int = 0) -> None:
        self.callers: list[str] = []
        self.collecting: list[bool] = []
        self.leave = threading.Event()
        self.faults = faults

    def __call__(self) -> None:
        self.callers.append(threading.current_thread().name)
        self.collecting.append(gc.isenabled())
        if threading.current_thread() is not threading.main_thread():
            self.leave.wait(10)
        if len(self.callers) <= self.faults:
            raise ImportError(f"call {len(self.callers)}")


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "_cores", lambda: 2)


def quietly(work: Beside) -> None:
    """Start as where Python's own filters of warnings hold."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        work.start()


def test_it_begins_in_a_thread_and_is_done_when_it_was_waited_for(two_cores: None) -> None:
    load = Slow()
    work = Beside(load)
    quietly(work)
    quietly(work)  # once is enough
    assert load.callers in ([], ["import"])
    load.leave.set()
    work.wait()
    quietly(work)
    assert load.callers == ["import", "MainThread"], "the second call finds everything there"
    assert load.collecting == [False, False]
    assert gc.isenabled()


def test_one_core_or_warnings_that_are_errors_and_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    load = Slow()
    work = Beside(load)
    monkeypatch.setattr(beside, "_cores", lambda: 1)
    quietly(work)
    monkeypatch.setattr(beside, "_cores", lambda: 2)
    actions: tuple[Literal["error", "always", "default"], ...] = ("error", "always", "default")
    for action in actions:
        with warnings.catch_warnings():
            warnings.simplefilter(action, DeprecationWarning)
            work.start()
    assert not load.callers
    work.wait()
    assert load.callers == ["MainThread"]


def test_what_goes_wrong_beside_is_raised_to_who_waits(two_cores: None) -> None:
    load = Slow(faults=2)
    load.leave.set()
    work = Beside(load)
    quietly(work)
    with pytest.raises(ImportError, match=r"^call 2$"):
        work.wait()
    work.wait()
    assert load.callers == ["import", "MainThread", "MainThread"]


SCRIPT = """
import sys, threading
from torchq.search import AxSearcher, Knob, MultiObjective, Outcome, Space, beside
beside._cores = lambda: 2
space = Space(tuple(Knob.units(f"fc{i}", [4, 8, 16, 32]) for i in range(3)))
searcher = AxSearcher(space, MultiObjective("bits"), initial=4)
for proposal in searcher.ask(4):
    outcome = Outcome((0.1 * sum(proposal.point.values()), -1.0 * proposal.point["fc0.units"]), 0.0)
    searcher.tell(proposal.number, outcome)
print([thread.name for thread in threading.enumerate()])
print(len(searcher.ask(4)), searcher.notes, "ax" in sys.modules)
"""


@pytest.mark.slow
def test_ax_comes_while_the_first_points_are_tried() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, timeout=300
    )
    assert done.stdout.splitlines() == ["['MainThread', 'import']", "4 [] True"]
    assert done.stderr == ""
