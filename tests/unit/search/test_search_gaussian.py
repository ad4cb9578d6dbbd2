"""The Gaussian searcher: costs that are known, short trainings, and what it finds."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from torchq.errors import SearchError
from torchq.scheme import Scheme
from torchq.search import ForgivingFactor, GaussianSearcher, Knob, Limit, MultiObjective, Space, run_search
from torchq.search.evaluation import TrialInfo
from torchq.search.goal import Goal
from torchq.search.known import Known
from torchq.search.likeness import LikenessProcess, likeness

SPACE = Space(tuple(Knob.units(f"fc{i}", [4, 8, 16, 32, 64]) for i in range(6)))
SIZES = [5] * 6


def bits(scheme: Scheme) -> float:
    units = [16, *(scheme.units[f"fc{i}"] for i in range(6))]
    return float(sum(a * b for a, b in itertools.pairwise(units)))


def price(scheme: Scheme) -> dict[str, float]:
    return {"bits": bits(scheme)}


class Task:
    """Accuracy that grows with every layer up to a width of its own; short trainings know less."""

    def __init__(self) -> None:
        self.full = self.short = 0

    def __call__(self, scheme: Scheme, info: TrialInfo) -> dict[str, float]:
        noise = 0.002 * np.random.default_rng(info.seed).standard_normal()
        lost = sum(0.04 * max(math.log2((8 << i % 3) / scheme.units[f"fc{i}"]), 0.0) for i in range(6))
        self.full += info.fidelity == 1.0
        self.short += info.fidelity < 1.0
        return {"accuracy": 0.75 - lost + noise - 0.05 * (1 - info.fidelity), **price(scheme)}


def best(tmp_path: Path, searcher: str, seed: int, *, known: bool, **options: float) -> float:
    goal = ForgivingFactor("bits", 5000.0)
    result = run_search(
        SPACE, Task(), goal=goal, trials=40, batch=8, seed=seed, searcher=searcher, options=options,
        price=price if known else None, journal=tmp_path / f"{searcher}{seed}{known}.jsonl",
    )  # fmt: skip
    assert result.best.score is not None
    return result.best.score


def test_it_finds_more_than_random_and_still_more_with_prices(tmp_path: Path) -> None:
    seeds = range(3)
    at_random = [best(tmp_path, "random", seed, known=False) for seed in seeds]
    unpriced = [best(tmp_path, "gaussian", seed, known=False) for seed in seeds]
    priced = [best(tmp_path, "gaussian", seed, known=True) for seed in seeds]
    assert np.mean(unpriced) > np.mean(at_random) + 0.01
    assert np.mean(priced) > np.mean(unpriced)


def test_with_short_trainings_only_full_ones_count(tmp_path: Path) -> None:
    task = Task()
    result = run_search(
        SPACE, task, goal=ForgivingFactor("bits", 5000.0), trials=48, batch=8, searcher="gaussian",
        options={"short": 0.25, "initial": 8}, price=price, journal=tmp_path / "t.jsonl",
    )  # fmt: skip
    assert result.best.fidelity == 1.0
    assert (task.short, task.full) == (8 + 4 * 6, 4 * 2 + 8)
    last = [trial.fidelity for trial in result.trials if trial.number >= 40]
    assert last == [1.0] * 8


@pytest.mark.parametrize(
    "goal",
    [
        ForgivingFactor("bits", 5000.0, limits=(Limit("accuracy", 0.5, at_most=False),)),
        MultiObjective("bits", least_accuracy=0.5),
    ],
)
def test_the_goal_is_a_line_over_the_accuracy(goal: Goal) -> None:
    prices: list[tuple[int, ...]] = []

    def of(key: tuple[int, ...]) -> Mapping[str, float]:
        prices.append(key)
        return price(SPACE.scheme(dict(zip((k.name for k in SPACE.knobs), key, strict=True))))

    known = Known(goal, SIZES, of)
    key = (1, 2, 3, 0, 4, 1)
    assert known.usable(key)
    outcome = goal.outcome({"accuracy": 0.61, **of(key)})
    assert known.accuracy(key, outcome) == pytest.approx(0.61, abs=1e-12)
    (start,), (slope,) = known.lines([key], exact=True)
    expected = (*outcome.values, *outcome.margins)
    assert (start + 0.61 * slope).tolist() == pytest.approx(expected, abs=1e-12)
    assert not Known(goal, SIZES, lambda _: {}).usable(key)


def test_prices_are_guessed_from_others() -> None:
    count = 0

    def of(key: tuple[int, ...]) -> Mapping[str, float]:
        nonlocal count
        count += 1
        return price(SPACE.scheme(dict(zip((k.name for k in SPACE.knobs), key, strict=True))))

    drawn = np.random.default_rng(0).integers(5, size=(400, 6)).tolist()
    keys = [tuple(key) for key in drawn]
    known = Known(ForgivingFactor("bits", 5000.0), SIZES, of)
    _, guessed = known.lines(keys, exact=False)
    assert count < 200
    _, exact = known.lines(keys, exact=True)
    assert float(np.abs(guessed - exact).mean()) < 0.2 * float(exact.std())


def test_likeness_is_one_for_the_same_and_falls_with_the_distance() -> None:
    sizes = (8, 1, 3)
    row = likeness([(0, 0, 0)], [(0, 0, 0), (1, 0, 0), (7, 0, 0), (7, 0, 2)], sizes)[0]
    assert row[0] == 1.0
    assert list(row) == sorted(row, reverse=True)


def test_a_training_gone_wrong_does_not_bend_the_rest() -> None:
    keys = [(i, j) for i in range(5) for j in range(5)]
    values = [0.7 + 0.01 * i + 0.005 * j for i, j in keys]
    wrong = [*values]
    wrong[12] = 0.2
    mean, _ = LikenessProcess(keys, wrong, (5, 5)).marginals(keys)
    assert float(np.abs(np.delete(mean - np.array(values), 12)).max()) < 0.02


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"initial": 0}, "gaussian: initial must be at least 1, got 0"),
        ({"short": 0.0}, "gaussian: short must be above 0 and at most 1, got 0"),
        ({"full": 1.5}, "gaussian: full must be above 0 and at most 1, got 1.5"),
    ],
)
def test_what_it_refuses(options: dict[str, float], message: str) -> None:
    with pytest.raises(SearchError) as fault:
        GaussianSearcher(SPACE, ForgivingFactor("bits", 1.0), **options)  # type: ignore[arg-type]
    assert fault.value.message == message
