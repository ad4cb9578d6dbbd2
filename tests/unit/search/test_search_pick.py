"""Picking: the most accurate trial that keeps every limit, or the nearest and what it lacks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from torchq.search import Limit, Trial, pick


def trial(number: int, accuracy: float, energy: float, bits: float, score: float = 0.0) -> Trial:
    metrics = {"accuracy": accuracy, "energy_pj": energy, "bits": bits}
    return Trial(number, {}, {}, 0, "complete", metrics, (score,), score)


TRIALS = [
    trial(0, 0.76, 1000.0, 6000.0),
    trial(1, 0.75, 400.0, 4000.0),
    trial(2, 0.74, 100.0, 3000.0),
    trial(3, 0.60, 50.0, 1000.0),
    Trial(4, {}, {}, 0, "failed", reason="loss is nan"),
]
CHEAP = Limit.times_lower("energy_pj", 2960.0, 7.4)
SMALL = Limit.times_lower("bits", 65000.0, 13.0)


def test_the_most_accurate_that_keeps_every_limit() -> None:
    assert pick(TRIALS).best.number == 0
    assert pick(TRIALS, [CHEAP, SMALL]).best.number == 1, "exactly on the bound is kept"
    picked = pick(TRIALS, [CHEAP, SMALL, Limit.lost("accuracy", 0.765, 0.021)], count=5)
    assert [t.number for t in picked.trials] == [1]
    assert picked.text == "trial 1 keeps every limit"
    assert picked.require().number == 1


def test_several_come_best_first() -> None:
    assert [t.number for t in pick(TRIALS, [CHEAP], count=2).trials] == [1, 2]
    equal = [trial(0, 0.7, 1.0, 1.0, 0.5), trial(1, 0.7, 1.0, 1.0, 0.9), trial(2, 0.7, 1.0, 1.0, 0.9)]
    assert [t.number for t in pick(equal, count=3).trials] == [1, 2, 0]


def test_another_metric_can_be_the_one_to_make_large() -> None:
    assert pick(TRIALS, [CHEAP], by="bits").best.number == 1


def test_the_nearest_says_what_it_lacks() -> None:
    picked = pick(
        TRIALS, [Limit.times_lower("energy_pj", 2960.0, 7.4), Limit("accuracy", 0.9, at_most=False)]
    )
    assert picked.best.number == 1
    assert picked.text == (
        "no trial keeps every limit; the nearest is trial 1: accuracy 0.75, at least 0.9 is needed"
    )


def test_sentences_name_the_limit_and_by_how_much_it_is_missed() -> None:
    lost = Limit.lost("accuracy", 0.765, 0.01)
    dear = Limit.times_lower("energy_pj", 2960.0, 40.0)
    picked = pick(TRIALS[:3], [dear, lost, Limit("bits", 3000.0, at_most=True)])
    assert picked.best.number == 2
    assert picked.unmet == (
        "energy_pj 100, 29.6 times lower than 2960; 40 times is needed",
        "accuracy 0.74, 0.025 lower than 0.765; at most 0.01 is allowed",
    )
    assert ", and " in picked.text


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(1, 100), st.floats(1, 100)), min_size=1, max_size=8),
    st.floats(1, 100),
    st.floats(0.1, 1),
)
def test_as_by_looking_at_each(rows: list[tuple[float, float, float]], most: float, least: float) -> None:
    trials = [trial(i, *row) for i, row in enumerate(rows)]
    limits = [Limit("energy_pj", most, at_most=True), Limit("accuracy", least, at_most=False)]
    kept = [t for t in trials if t.metrics["energy_pj"] <= most and t.metrics["accuracy"] >= least]
    picked = pick(trials, limits)
    assert (not picked.unmet) == bool(kept)
    if kept:
        assert picked.best.metrics["accuracy"] == max(t.metrics["accuracy"] for t in kept)
    else:

        def excess(t: Trial) -> float:
            return (
                max(t.metrics["energy_pj"] - most, 0) / most + max(least - t.metrics["accuracy"], 0) / least
            )

        assert excess(picked.best) == min(map(excess, trials))
