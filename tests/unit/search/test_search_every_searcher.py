"""What every registered searcher keeps: no repeats, the same again, small spaces, resume, failures."""

from __future__ import annotations

from pathlib import Path

import pytest
from search_problems import GOAL, evaluate, space

from torchq.errors import SearchError
from torchq.scheme import Scheme
from torchq.search import (
    SEARCHERS,
    ForgivingFactor,
    Limit,
    MultiObjective,
    Proposal,
    Searcher,
    SearchResult,
    TrialInfo,
    read_journal,
    run_search,
)

EVERY = pytest.mark.parametrize("name", list(SEARCHERS))
GOALS = pytest.mark.parametrize(
    "goal",
    [
        GOAL,
        MultiObjective("bits", 0.5, 150.0),
        ForgivingFactor("bits", 400.0, limits=(Limit("bits", 100.0, at_most=True),)),
    ],
    ids=["one", "two", "limited"],
)


def made(name: str, goal: object = GOAL, trials: int = 24) -> Searcher:
    options = {"inner": "random"} if name == "blocks" else {}
    searcher = SEARCHERS.get(name)(space(), goal, seed=3, start=[space().at(0.5)], **options)  # type: ignore[arg-type]
    searcher.plan(trials)
    return searcher


def worth(searcher: Searcher, proposal: Proposal) -> object:
    metrics = evaluate(searcher.space.scheme(proposal.point), TrialInfo(0, 0, proposal.point))
    return searcher.goal.outcome(metrics)


def play(searcher: Searcher, trials: int, batch: int, fails: int = 0) -> list[Proposal]:
    """Every so many trials, one fails."""
    found: list[Proposal] = []
    while len(found) < trials:
        proposals = searcher.ask(min(batch, trials - len(found)))
        if not proposals:
            break
        for proposal in proposals:
            found.append(proposal)
            if fails and proposal.number % fails == fails - 1:
                searcher.fail(proposal.number, "loss is nan")
            else:
                searcher.tell(proposal.number, worth(searcher, proposal))  # type: ignore[arg-type]
    return found


@EVERY
@GOALS
def test_the_same_again_and_never_the_same_point_at_one_length_twice(name: str, goal: object) -> None:
    first, second = (play(made(name, goal), 24, 6, fails=5) for _ in range(2))
    assert first == second
    assert len(first) == 24
    assert first[0].point == space().at(0.5)
    assert [proposal.number for proposal in first] == list(range(24))
    assert len({(tuple(p.point.values()), p.fidelity) for p in first}) == 24


@EVERY
def test_a_small_space_is_tried_to_the_end(name: str) -> None:
    whole = SEARCHERS.get(name)(space(2, 3), GOAL)
    found = play(whole, 99, 4)
    assert {tuple(p.point.values()) for p in found} == {(i, j) for i in range(3) for j in range(3)}
    if name not in ("halving", "hyperband"):
        assert len(found) == 9
    assert whole.exhausted
    assert whole.ask(3) == []


@EVERY
def test_open_proposals_are_not_proposed_again_and_are_told_in_any_order(name: str) -> None:
    searcher = made(name)
    asked = [*searcher.ask(5), *searcher.ask(4)]
    assert len({tuple(p.point.values()) for p in asked}) == len(asked) >= 6
    for proposal in reversed(asked):
        searcher.tell(proposal.number, worth(searcher, proposal))  # type: ignore[arg-type]
    assert searcher.ask(1)


class StoppedError(Exception):
    """Stands for a kill."""


@EVERY
@pytest.mark.parametrize("stop", [1, 7, 11])
def test_a_search_that_was_cut_off_goes_on_as_if_it_had_not_been(
    name: str, stop: int, tmp_path: Path
) -> None:
    def search(path: Path, most: int = 99) -> SearchResult:
        done = 0

        def fragile(scheme: Scheme, info: TrialInfo) -> dict[str, float]:
            nonlocal done
            done += 1
            if done > most:
                raise StoppedError
            if info.number == 3:
                raise ArithmeticError("loss is nan")
            return evaluate(scheme, info)

        return run_search(
            space(),
            fragile,
            goal=GOAL,
            trials=18,
            journal=path,
            searcher=name,
            options={"inner": "random"} if name == "blocks" else {},
            seed=2,
            batch=4,
        )

    whole = search(tmp_path / "whole")
    with pytest.raises(StoppedError):
        search(tmp_path / "parts", stop)
    assert len(read_journal(tmp_path / "parts")[1]) == stop
    parts = search(tmp_path / "parts")
    assert parts.restored == stop
    told = [[(t.number, t.point, t.fidelity, t.seed, t.status) for t in r.trials] for r in (whole, parts)]
    assert told[0] == told[1]
    assert parts.best.number == whole.best.number


@EVERY
def test_what_costs_too_much_is_not_tried_where_prices_are_known(name: str, tmp_path: Path) -> None:
    def price(scheme: Scheme) -> dict[str, float]:
        return {"bits": 10.0 * sum(scheme.units.values())}

    tried = []

    def watched(scheme: Scheme, info: TrialInfo) -> dict[str, float]:
        tried.append(price(scheme)["bits"])
        return evaluate(scheme, info)

    result = run_search(
        space(),
        watched,
        goal=MultiObjective("bits", most_cost=90.0),
        trials=20,
        journal=tmp_path / "j",
        searcher=name,
        options={"inner": "random"} if name == "blocks" else {},
        price=price,
        batch=5,
    )
    assert max(tried) <= 90.0
    assert len(tried) == 20
    assert result.unmet == ()


def transferred(name: str, tmp_path: Path, **options: object) -> SearchResult:
    run_search(space(), evaluate, goal=GOAL, trials=20, journal=tmp_path / "old", searcher="random")
    return run_search(
        space(),
        evaluate,
        goal=MultiObjective("bits"),
        trials=13,
        journal=tmp_path / "new",
        searcher=name,
        options=options,
        transfer=tmp_path / "old",
        batch=3,
    )


def test_who_learns_from_another_search() -> None:
    deaf = {name for name, kind in SEARCHERS.items() if not kind(space(), GOAL).learns}
    assert deaf == {"exhaustive", "random"}


@pytest.mark.parametrize("name", [name for name in SEARCHERS if name not in ("exhaustive", "random")])
def test_knowledge_of_another_search_does_not_count_as_trials(name: str, tmp_path: Path) -> None:
    result = transferred(name, tmp_path, **({"inner": "evolution"} if name == "blocks" else {}))
    assert len(result.trials) == 13
    assert f"20 of 20 trials of {tmp_path}/old were told to the searcher" in result.notes


@pytest.mark.parametrize(
    ("name", "options"), [("exhaustive", {}), ("random", {}), ("blocks", {"inner": "random"})]
)
def test_who_learns_nothing_refuses_what_another_search_found(
    name: str, options: dict[str, object], tmp_path: Path
) -> None:
    with pytest.raises(SearchError) as caught:
        transferred(name, tmp_path, **options)
    able = [name for name in SEARCHERS if name not in ("exhaustive", "random")]
    assert str(caught.value) == (
        f"transfer: the searcher {name} proposes the same whatever another search found; leave transfer out, "
        f"or choose a searcher that learns: {', '.join(able)}"
    )
    assert not (tmp_path / "new").exists()
