"""``run_search``: ask, evaluate, write down, tell; again until the trials are done."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torchq.errors import DataError, RecipeError, RunDirError, SearchError, TorchqError
from torchq.scheme import Scheme
from torchq.search.base import SEARCHERS, Outcome, Proposal, Searcher
from torchq.search.goal import Goal
from torchq.search.journal import Journal
from torchq.search.pareto import non_dominated
from torchq.search.space import Point, Space
from torchq.search.trial import COMPLETE, FAILED, Trial, versions

NOT_THE_TRIALS = (SearchError, RunDirError, RecipeError, DataError)
"""Errors that no other scheme would mend; all other errors of a user's sort fail the trial alone."""


@dataclass(frozen=True)
class TrialInfo:
    """What an evaluation may want to know besides the scheme.

    Args:
        number: counts the trials from 0.
        seed: the search's seed plus the number; use it for everything random in the trial.
        point: option index by knob name.
    """

    number: int
    seed: int
    point: Mapping[str, int]


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Args:
        trials: all of them, completed and failed, restored ones first.
        best: the completed trial with the highest score.
        pareto: completed trials that no other one beats in accuracy and cost, cheapest first.
        restored: how many trials came from the journal.
        exhausted: whether the search ended because every point of the space was tried.
        notes: sentences about what was mended or worked around.
    """

    trials: tuple[Trial, ...]
    best: Trial
    pareto: tuple[Trial, ...]
    restored: int = 0
    exhausted: bool = False
    notes: tuple[str, ...] = ()

    @property
    def ask_s(self) -> float:
        """Seconds that searchers took to propose all trials."""
        return math.fsum(trial.ask_s for trial in self.trials)


Evaluate = Callable[[Scheme, TrialInfo], Mapping[str, float]]


@dataclass
class _Run:
    """The state of one call of :func:`run_search`."""

    space: Space
    evaluate: Evaluate
    searcher: Searcher
    name: str
    goal: Goal
    journal: Journal
    seed: int
    on_trial: Callable[[Trial], None] | None
    failures: list[str] = field(default_factory=list)
    completed: bool = False

    def restore(self) -> None:
        for trial in self.journal.trials:
            outcome = Outcome(trial.values, trial.score) if trial.score is not None else None
            self.searcher.restore(trial.number, trial.point, outcome, trial.reason or "")
            self.completed |= trial.complete

    def run(self, proposal: Proposal, ask_s: float, patience: int) -> None:
        scheme = self.space.scheme(proposal.point)
        info = TrialInfo(proposal.number, self.seed + proposal.number, proposal.point)
        trial = Trial(
            number=info.number,
            point=info.point,
            scheme=scheme.to_dict(),
            seed=info.seed,
            status=FAILED,
            ask_s=round(ask_s, 4),
            searcher=self.name,
            versions=versions(),
        )
        trial = self._judge(trial, scheme, info)
        self.journal.append(trial)
        if trial.score is None:
            reason = trial.reason or "unknown"
            self.searcher.fail(trial.number, reason)
            self.failures.append(reason)
        else:
            self.searcher.tell(trial.number, Outcome(trial.values, trial.score))
            self.completed = True
        if self.on_trial is not None:
            self.on_trial(trial)
        if not self.completed and len(self.failures) >= patience:
            raise self.hopeless()

    def _judge(self, trial: Trial, scheme: Scheme, info: TrialInfo) -> Trial:
        begin = time.perf_counter()
        metrics: dict[str, float] = {}
        reason: str | None
        try:
            metrics = {name: float(value) for name, value in self.evaluate(scheme, info).items()}
            reason = self.goal.fault(metrics)
        except NOT_THE_TRIALS:
            raise
        except (TorchqError, ArithmeticError, MemoryError) as fault:
            reason = str(fault) or type(fault).__name__
        trial = replace(trial, wall_s=round(time.perf_counter() - begin, 4))
        if reason is not None:
            finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
            return replace(trial, reason=reason, metrics=finite)
        return replace(
            trial,
            status=COMPLETE,
            metrics=metrics,
            values=self.goal.values(metrics),
            score=self.goal.score(metrics),
        )

    def hopeless(self) -> SearchError:
        reasons = self.failures or [trial.reason or "unknown" for trial in self.journal.trials]
        return SearchError(
            f"all {len(reasons)} trials failed, the first one because: {reasons[0]}",
            hint="mend the cause, then start the same search again",
        )


def run_search(
    space: Space,
    evaluate: Evaluate,
    *,
    goal: Goal,
    trials: int,
    journal: str | Path,
    searcher: str | Searcher = "ax",
    seed: int = 0,
    start: Sequence[Point] = (),
    batch: int = 1,
    identity: Mapping[str, Any] | None = None,
    patience: int = 5,
    on_trial: Callable[[Trial], None] | None = None,
) -> SearchResult:
    """Search a space until so many trials are done; start again with the same arguments to go on.

    Every trial that ends is on the disk before the next one starts. A trial whose evaluation raises an error
    of its own (:class:`~torchq.errors.TorchqError`, ``ArithmeticError``, ``MemoryError``) or reports a number
    that is not finite is written down as failed, and the search goes on. Ctrl-C passes through and loses the
    trial in flight only.

    Args:
        space: what may be tried.
        evaluate: ``(scheme, info) -> metrics``; trains and prices one scheme. The metrics must hold what the
            goal reads.
        goal: what is maximised.
        trials: how many trials there shall be, those in the journal included.
        journal: the file that keeps them.
        searcher: a name in :data:`SEARCHERS`, or a searcher of the same space and goal.
        seed: of the searcher and, plus its number, of each trial.
        start: points to try first; only with a searcher given by name.
        batch: how many points are asked for at once; more asks cost less each but learn later.
        identity: plain data about everything else that a trial's outcome depends on (data, training, ...); a
            journal of another identity, space, goal or seed is refused.
        patience: after so many failed trials with none completed, stop with the first reason.
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
        name, searcher = searcher, SEARCHERS.get(searcher)(space, goal, seed=seed, start=start)
    else:
        name = type(searcher).__name__
    told = {"space": space.to_dict(), "goal": goal.to_dict(), "seed": seed, **(identity or {})}
    with Journal(journal, told) as book:
        restored = len(book.trials)
        run = _Run(space, evaluate, searcher, name, goal, book, seed, on_trial)
        run.restore()
        while len(book.trials) < trials:
            begin = time.perf_counter()
            proposals = searcher.ask(min(batch, trials - len(book.trials)))
            if not proposals:
                break
            ask_s = (time.perf_counter() - begin) / len(proposals)
            for proposal in proposals:
                run.run(proposal, ask_s, patience)
        if not run.completed:
            raise run.hopeless()
        notes = [*book.notes, *searcher.notes]
        if len(book.trials) < trials:
            notes.append(f"the space has {space.cardinality} points, and all of them were tried")
        return _result(book.trials, goal, restored, len(book.trials) < trials, notes)


def _result(
    trials: Sequence[Trial], goal: Goal, restored: int, exhausted: bool, notes: Sequence[str]
) -> SearchResult:
    complete = [trial for trial in trials if trial.score is not None]
    best = max(complete, key=lambda trial: (trial.score, -trial.number))
    front = non_dominated([goal.trade(trial.metrics) for trial in complete])
    pareto = [trial for trial, kept in zip(complete, front, strict=True) if kept]
    pareto.sort(key=lambda trial: trial.metrics[goal.cost])
    return SearchResult(tuple(trials), best, tuple(pareto), restored, exhausted, tuple(notes))
