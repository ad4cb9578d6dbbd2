"""What the journal of one search tells another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torchq.errors import SearchError
from torchq.search.goal import Goal, Outcome
from torchq.search.journal import read_journal
from torchq.search.space import Space
from torchq.search.trial import Trial


def told_by(path: str | Path, space: Space, goal: Goal) -> tuple[list[tuple[dict[str, int], Outcome]], str]:
    """Points of a space, and what they were worth in an earlier search, judged by this goal.

    A trial fits if every knob of the space is a knob of that search under the same name, and stood at an
    option that the space has. Knobs that only that search had are passed over.

    Args:
        path: the other search's journal.
        space: of the new search.
        goal: of the new search; it may be another one, as long as its metrics were reported.

    Returns:
        Points with their outcomes, and a sentence about how many trials fit.

    Raises:
        SearchError: a file that is no journal, or no trial that fits.
    """
    identity, trials = read_journal(path)
    final = [trial for trial in trials if trial.final]
    there = {knob["name"]: knob["options"] for knob in _knobs(identity)}
    here = {knob.name: [_plain(option) for option in knob.options] for knob in space.knobs}
    if lost := sorted(here.keys() - there.keys()):
        raise SearchError(
            f"{path}: cannot be transferred, that search had no knob {', '.join(lost)}",
            hint=f"It had: {', '.join(sorted(there))}",
        )
    needed = {goal.accuracy, *goal.costs, *(limit.metric for limit in goal.limits)}
    known = []
    for trial in final:
        point = _point(trial, there, here)
        if point is not None and needed <= trial.metrics.keys() and goal.fault(trial.metrics) is None:
            known.append((point, goal.outcome(trial.metrics)))
    if not known:
        raise SearchError(
            f"{path}: cannot be transferred, none of its {len(final)} completed trials fits space and goal",
            hint="leave transfer out",
        )
    return known, f"{len(known)} of {len(final)} trials of {path} were told to the searcher"


def _knobs(identity: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    space = identity.get("space", {})
    knobs: Sequence[Mapping[str, Any]] = space.get("knobs", ()) if isinstance(space, dict) else ()
    return knobs


def _point(
    trial: Trial, there: Mapping[str, Sequence[Any]], here: Mapping[str, Sequence[Any]]
) -> dict[str, int] | None:
    point = {}
    for name, options in here.items():
        option = there[name][trial.point[name]]
        if option not in options:
            return None
        point[name] = options.index(option)
    return point


def _plain(option: Any) -> Any:
    """As JSON has it."""
    return list(option) if isinstance(option, tuple) else option
