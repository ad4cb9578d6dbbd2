"""What every searcher keeps, shown on the random one; and that the random one is uniform."""

from __future__ import annotations

from collections import Counter

from search_problems import GOAL, judged, play, space

from torchq.search import SEARCHERS, RandomSearcher


def test_same_seed_same_points_and_another_seed_others() -> None:
    first = play(RandomSearcher(space(), GOAL, seed=3), 20)
    assert first == play(RandomSearcher(space(), GOAL, seed=3), 20)
    assert first != play(RandomSearcher(space(), GOAL, seed=4), 20)


def test_batches_change_nothing_for_the_random_searcher() -> None:
    assert play(RandomSearcher(space(), GOAL, seed=3), 20) == play(
        RandomSearcher(space(), GOAL, seed=3), 20, 5
    )


def test_no_point_twice_until_all_were_tried() -> None:
    searcher = RandomSearcher(space(2, 4), GOAL, seed=0)
    points = play(searcher, 100, batch=3)
    assert len(points) == len(set(points)) == 16
    assert searcher.exhausted
    assert searcher.ask(3) == []


def test_start_points_come_first_and_count() -> None:
    where = space(2, 4)
    searcher = RandomSearcher(where, GOAL, start=[where.at(1.0), where.at(0.0), where.at(1.0)])
    points = play(searcher, 16, batch=4)
    assert points[:2] == [(3, 3), (0, 0)]
    assert len(set(points)) == 16


def test_restored_points_are_not_proposed_again_and_numbers_go_on() -> None:
    where = space()
    whole = play(RandomSearcher(where, GOAL, seed=7), 12)
    searcher = RandomSearcher(where, GOAL, seed=7)
    names = [knob.name for knob in where.knobs]
    for number, key in enumerate(whole[:5]):
        point = dict(zip(names, key, strict=True))
        if number == 2:
            searcher.restore(number, point, None, "loss is nan")
        else:
            searcher.restore(number, point, judged(where, point))
    assert searcher.ask(1)[0].number == 5
    searcher.fail(5, "for this test")
    assert play(searcher, 6) == whole[6:], "goes on as if it had never stopped"


def test_random_is_uniform() -> None:
    where = space(1, 4)
    first = Counter(
        RandomSearcher(where, GOAL, seed=seed).ask(1)[0].point["fc0.units"] for seed in range(2000)
    )
    assert all(420 < first[option] < 580 for option in range(4)), first


def test_registered() -> None:
    assert set(SEARCHERS) >= {"ax", "random"}
    assert SEARCHERS.get("random") is RandomSearcher
