"""Block by block: which knobs move when, what is kept, and how trials are shared out."""

from __future__ import annotations

from pathlib import Path

import pytest
from search_problems import GOAL, evaluate, space

from torchq.errors import SearchError
from torchq.search import BlocksSearcher, SearchResult, run_search


def search(path: Path, trials: int = 30, **options: object) -> SearchResult:
    price = options.pop("price", None)
    return run_search(
        space(3, 12),
        evaluate,
        goal=GOAL,
        trials=trials,
        journal=path,
        searcher="blocks",
        options={"inner": "random", **options},
        batch=4,
        price=price,  # type: ignore[arg-type]
    )


def test_one_block_moves_at_a_time_and_the_best_of_it_is_kept(tmp_path: Path) -> None:
    trials = search(tmp_path / "j", blocks=["fc1", "fc0"]).trials
    turns = ["fc1.units", "fc0.units", "fc2.units"]
    context = dict.fromkeys(turns, 11)
    for turn, name in enumerate(turns):
        own = trials[10 * turn : 10 * turn + 10]
        for trial in own:
            assert {k: v for k, v in trial.point.items() if k != name} == {
                k: v for k, v in context.items() if k != name
            }
        best = max(trials[: 10 * turn + 10], key=lambda trial: trial.score or 0.0)
        context = dict(best.point)


def test_by_cost_the_dearest_block_goes_first_and_has_the_most_trials(tmp_path: Path) -> None:
    trials = search(
        tmp_path / "j",
        trials=48,
        order="cost",
        price=lambda s: {"bits": s.units["fc0"] + 3.0 * s.units["fc1"] + 8.0 * s.units["fc2"]},
    ).trials
    moved = [next((k for k, v in trial.point.items() if v != 11), "none") for trial in trials[:8]]
    assert set(moved) - {"none"} == {"fc2.units"}
    points = [trial.point for trial in trials]
    assert points[0]["fc0.units"] == points[0]["fc1.units"] == 11


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"order": "size"}, "blocks: order must be 'sequential' or 'cost', got 'size'"),
        ({"inner": "halving"}, "blocks: halving cannot search a block; choose ax, evolution or random"),
        ({"blocks": ["fc9"]}, "blocks: 'fc9' matches no knob that is left; "
                              "Left: fc0.units, fc1.units, fc2.units"),
        ({"blocks": ["("]}, "blocks: '(' is no regular expression (missing ), unterminated subpattern at "
                            "position 0)"),
    ],
)  # fmt: skip
def test_blocks_that_cannot_be(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(SearchError) as fault:
        BlocksSearcher(space(), GOAL, **options)  # type: ignore[arg-type]
    assert str(fault.value) == sentence


def test_by_cost_needs_prices() -> None:
    with pytest.raises(SearchError, match=r"^blocks: order 'cost' needs prices; give price, or choose 'seq"):
        BlocksSearcher(space(), GOAL, order="cost").ask()
