"""``run_search``: ask, write down, evaluate, write down, tell; again until the trials are done."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torchq.errors import SearchError
from torchq.scheme import Scheme
from torchq.search.base import Searcher
from torchq.search.evaluation import Evaluation, TrialInfo
from torchq.search.executors import Executor, Finished, SerialExecutor
from torchq.search.goal import Goal
from torchq.search.journal import Journal
from torchq.search.options import searcher_of
from torchq.search.result import SearchResult, result_of
from torchq.search.space import Point, Space
from torchq.search.transfer import told_by
from torchq.search.trial import COMPLETE, FAILED, Asked, Proposal, Trial, versions


@dataclass
class _Run:
    """The state of one call of :func:`run_search`."""

    space: Space
    evaluate: Evaluation
    searcher: Searcher
    name: str
    goal: Goal
    journal: Journal
    seed: int
    trials: int
    batch: int
    patience: int
    on_trial: Callable[[Trial], None] | None
    waiting: list[tuple[Proposal, float]] = field(default_factory=list)
    running: dict[int, tuple[Proposal, float]] = field(default_factory=dict)
    failures: list[Trial] = field(default_factory=list)
    completed: float = 0.0  # the longest training that any trial completed, as a fraction of the whole
    told_s: float = 0.0

    def restore(self) -> None:
        """Tell the searcher all that the journal knows, in the order in which it happened."""
        left: dict[int, tuple[Proposal, float]] = {}
        for event in self.journal.events:
            if isinstance(event, Asked):
                for proposal in event.proposals:
                    self.searcher.reopen(proposal)
                    left[proposal.number] = proposal, event.ask_s / len(event.proposals)
            else:
                left.pop(event.number, None)
                outcome = self.goal.outcome(event.metrics) if event.complete else None
                self.searcher.restore(event.number, event.point, outcome, event.reason or "", event.fidelity)
                self._reached(event)
        self.waiting = list(left.values())

    @property
    def room(self) -> int:
        """How many more trials may begin."""
        return self.trials - len(self.journal.trials) - len(self.running)

    def run(self, executor: Executor) -> bool:
        """Go on until all trials are done; False if there was nothing left to try."""
        while self.room > 0 or self.running:
            while self.room > 0 and executor.free > 0:
                stack = self._next_stack()
                if not stack:
                    break
                for proposal, ask_s in stack:
                    self.running[proposal.number] = proposal, ask_s
                executor.submit(self.evaluate, [self._job(proposal) for proposal, _ in stack])
            if not self.running:
                return False
            self._write(executor.ready())
        return True

    def _next_stack(self) -> list[tuple[Proposal, float]]:
        """What an earlier session was asked and did not finish, and then what the searcher proposes."""
        count = min(self.batch, self.room)
        if self.waiting:
            stack, self.waiting = self.waiting[:count], self.waiting[count:]
            return stack
        before, refused = time.perf_counter(), self.searcher.refused
        proposals = self.searcher.ask(count)
        ask_s = round(time.perf_counter() - before + self.told_s, 4)
        if not proposals:
            return []
        self.told_s = 0.0
        refused = self.searcher.refused - refused
        self.journal.append(Asked(tuple(proposals), ask_s, self.name, refused))
        return [(proposal, ask_s / len(proposals)) for proposal in proposals]

    def _job(self, proposal: Proposal) -> tuple[Scheme, TrialInfo]:
        seed = self.seed + proposal.number
        info = TrialInfo(proposal.number, seed, proposal.point, proposal.fidelity)
        return self.space.scheme(proposal.point), info

    def _write(self, found: Sequence[Finished]) -> None:
        """Journal what came out of some jobs, all with one flush to the disk, and tell it."""
        trials: list[Trial] = []
        try:
            for finished in found:
                trials.append(self._trial(finished))
        finally:  # what came out before a fault of the goal is kept
            self.journal.append(*trials)
        for trial in trials:
            self._tell(trial)
        self.give_up(self.failures, self.patience)

    def _trial(self, finished: Finished) -> Trial:
        proposal, ask_s = self.running[finished.number]
        reason = finished.reason or self.goal.fault(finished.metrics)
        del self.running[finished.number]
        right = reason is None
        outcome = self.goal.outcome(finished.metrics) if right else None
        return Trial(
            number=proposal.number,
            point=proposal.point,
            scheme=self.space.scheme(proposal.point).to_dict(),
            seed=self.seed + proposal.number,
            status=COMPLETE if right else FAILED,
            metrics={name: value for name, value in finished.metrics.items() if right or _finite(value)},
            values=() if outcome is None else outcome.values,
            score=None if outcome is None else outcome.score,
            reason=reason,
            wall_s=finished.wall_s,
            ask_s=round(ask_s, 4),
            searcher=self.name,
            versions=versions(),
            fidelity=proposal.fidelity,
            worker=finished.worker,
        )

    def _tell(self, trial: Trial) -> None:
        before = time.perf_counter()
        if trial.complete:
            self.searcher.tell(trial.number, self.goal.outcome(trial.metrics))
        else:
            self.searcher.fail(trial.number, trial.reason or "")
            self.failures.append(trial)
        self.told_s += time.perf_counter() - before
        self._reached(trial)
        if self.on_trial is not None:
            self.on_trial(trial)

    def _reached(self, trial: Trial) -> None:
        if trial.complete:
            self.completed = max(self.completed, trial.fidelity)

    def give_up(self, trials: Sequence[Trial], least: int) -> None:
        """Stops if so many of the trials failed at lengths of training that no trial completed."""
        failed = [trial for trial in trials if not trial.complete and trial.fidelity > self.completed]
        if len(failed) >= least:
            longer = f" trained for more than {self.completed:.2g} of the length" if self.completed else ""
            raise SearchError(
                f"all {len(failed)} trials{longer} failed, the first one because: {failed[0].reason}",
                hint="mend the cause, then start the same search again",
            )

    def notes(self) -> list[str]:
        notes = [*self.journal.notes, *self.searcher.notes]
        refused = sum(event.refused for event in self.journal.events if isinstance(event, Asked))
        if refused:
            notes.append(f"{refused} candidates were replaced: their cost alone breaks a limit")
        if len(self.journal.trials) < self.trials:
            if self.searcher.exhausted:
                notes.append(f"the space has {self.space.cardinality} points, and all of them were tried")
            else:
                notes.append(
                    f"{self.name} had nothing more to propose after {len(self.journal.trials)} trials"
                )
        return notes


def run_search(
    space: Space,
    evaluate: Evaluation,
    *,
    goal: Goal,
    trials: int,
    journal: str | Path,
    searcher: str | Searcher = "ax",
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
    start: Sequence[Point] = (),
    batch: int = 1,
    executor: Executor | None = None,
    price: Callable[[Scheme], Mapping[str, float]] | None = None,
    transfer: str | Path | None = None,
    identity: Mapping[str, Any] | None = None,
    patience: int = 5,
    on_trial: Callable[[Trial], None] | None = None,
) -> SearchResult:
    """Search a space until so many trials are done; start again with the same arguments to go on.

    What is asked is on the disk before it is tried, and every trial that ends before the search goes on. A
    trial whose evaluation raises an error of its own (:class:`~torchq.errors.TorchqError`,
    ``ArithmeticError``, ``MemoryError``) or reports a number that is not finite is written down as failed,
    and the search goes on. After a kill or Ctrl-C the trials that were in flight are tried again under their
    numbers, and no other.

    Args:
        space: what may be tried.
        evaluate: ``(scheme, info) -> metrics``; trains and prices one scheme, or many by its method ``many``.
            The metrics must hold what the goal reads.
        goal: what is maximised, and what is kept.
        trials: how many trials there shall be, those in the journal included.
        journal: the file that keeps them.
        searcher: a name in :data:`SEARCHERS`, or a searcher of the same space and goal.
        options: more arguments of a searcher given by name.
        seed: of the searcher and, plus its number, of each trial.
        start: points to try first; only with a searcher given by name.
        batch: how many points are asked for at once and evaluated as one stack.
        executor: where stacks are evaluated; by default here, one after the other. It is not closed, and
            forgets what it was at if the search stops with an error or Ctrl-C.
        price: costs of a scheme that are known before it is trained. Candidates that break a limit of the
            goal by these alone are replaced before they become trials.
        transfer: the journal of another search. Its trials are told to the searcher as knowledge where this
            space has the same knobs and options; they do not count as trials. Searchers that learn nothing
            (``random``, ``exhaustive``) refuse it.
        identity: plain data about everything else that a trial's outcome depends on (data, training, ...); a
            journal of another identity, space, goal or seed is refused.
        patience: after so many failed trials with none completed (none that was trained as long), stop with
            the first reason.
        on_trial: called after each new trial is on the disk.

    Returns:
        All trials, the best one and the Pareto set.

    Raises:
        SearchError: arguments out of range, a journal of another search, a metric that the goal reads and the
            evaluation does not report, or nothing but failed trials.
        RunDirError: the journal cannot be written.

    Example:
        >>> import tempfile
        >>> from torchq.search import Knob, MultiObjective, Space
        >>> space = Space((Knob.units("fc1", [8, 16, 32, 64]), Knob.units("fc2", [8, 16, 32])))
        >>> def evaluate(scheme, info):
        ...     neurons = sum(scheme.units.values())
        ...     return {"accuracy": 1 - 1 / neurons, "bits": 6.0 * neurons}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     result = run_search(space, evaluate, goal=MultiObjective("bits"), trials=12,
        ...                         journal=f"{folder}/journal.jsonl", searcher="random")
        >>> result.best.scheme["units"], len(result.pareto)
        ({'fc1': 64, 'fc2': 32}, 12)
    """
    for name, value in (("trials", trials), ("batch", batch), ("patience", patience)):
        if value < 1:
            raise SearchError(f"{name} must be at least 1, got {value}")
    if isinstance(searcher, str):
        name = searcher
        searcher = searcher_of(name, space, goal, seed=seed, start=start, options=options)
    else:
        name = type(searcher).__name__
    searcher.plan(trials)
    if price is not None:
        searcher.know(lambda point: price(space.scheme(point)))
    if transfer is not None:
        known, note = told_by(transfer, space, goal)
        searcher.notes.append(note)
        for point, outcome in known:
            searcher.learn(point, outcome)
    told = {"space": space.to_dict(), "goal": goal.to_dict(), "seed": seed, **(identity or {})}
    place = SerialExecutor() if executor is None else nullcontext(executor)
    with Journal(journal, told) as book, place as workers:
        run = _Run(space, evaluate, searcher, name, goal, book, seed, trials, batch, patience, on_trial)
        restored = len(book.trials)
        run.restore()
        try:
            whole = run.run(workers)
        except BaseException:
            workers.forget()
            raise
        run.give_up(run.failures or book.trials, 1)
        notes = [*run.notes(), *workers.notes]
        return result_of(book.trials, goal, restored=restored, exhausted=not whole, notes=notes, batch=batch)


def _finite(value: float) -> bool:
    return value - value == 0.0
