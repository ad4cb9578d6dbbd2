"""Choosing a batch from what a model believes: hypervolume along directions, diversity, limits."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchq.search import hypervolume
from torchq.search.batch_choice import choose, directions, heights
from torchq.search.breeding import Breeder
from torchq.search.pool import Array, Belief, Pool


@given(st.lists(st.tuples(*[st.integers(0, 6)] * 3), min_size=1, max_size=8))
def test_volumes_are_those_of_the_cells_that_are_covered(points: list[tuple[int, ...]]) -> None:
    cells = {cell for point in points for cell in itertools.product(*(range(size) for size in point))}
    assert hypervolume(np.array(points, dtype=float), np.zeros(3)) == pytest.approx(len(cells))


@pytest.mark.parametrize("objectives", [2, 3])
def test_mean_heights_are_proportional_to_the_hypervolume(objectives: int) -> None:
    generator = np.random.default_rng(0)
    along = directions(objectives, 20_000, generator)
    ratios = []
    for count in (1, 3, 8):
        points = generator.random((count, objectives))
        mean = heights(points, np.zeros(objectives), along).max(axis=0).mean()
        ratios.append(mean / hypervolume(points, np.zeros(objectives)))
    assert ratios == pytest.approx([ratios[0]] * 3, rel=0.05)


def test_a_batch_is_spread_over_the_front_instead_of_repeating_its_best_point() -> None:
    values = np.array([[1.0, 1.0], [1.01, 0.99], [0.1, 2.0], [2.0, 0.1], [0.2, 0.2]])
    along = directions(2, 500, np.random.default_rng(0))
    found = heights(values[None], np.zeros(2), along)
    assert set(choose(found, np.zeros((1, 5)), np.zeros((1, 500)), 3)) in ({0, 2, 3}, {1, 2, 3})


def test_where_nothing_gains_the_one_that_lacks_least_is_taken() -> None:
    assert choose(np.zeros((2, 3, 1)), np.array([[0.3, 0.1, 0.2], [0.1, 0.3, 0.2]]), np.zeros((2, 1)), 2) == [
        1,
        0,
    ]


def belief(limit: float = np.inf) -> Belief:
    """Knows that the sum of a point's indices is its worth, and that the first one may not pass the limit."""

    def marginals(points: Array) -> tuple[Array, Array]:
        means = np.stack([points.sum(axis=1), points[:, 0]], axis=1)
        return means, np.full_like(means, 1e-3)

    def joint(points: Array, dice: Array) -> Array:
        means, deviations = marginals(points)
        return np.asarray(means + deviations * dice)

    return Belief(
        marginals,
        joint,
        objectives=lambda samples: samples[..., :1],
        corner=np.zeros(1),
        lacks=lambda samples: np.maximum(samples[..., 1] - limit, 0.0),
        floors=np.zeros(1, dtype=bool),
    )


def pool(taken: set[tuple[int, ...]]) -> Pool:
    sizes = [6] * 5
    there = [(2, 2, 2, 2, 2), (3, 1, 2, 2, 2)]
    return Pool(sizes, there, there, lambda key: key not in taken, np.random.default_rng(1))


def test_the_best_points_of_a_known_function_are_found_beside_those_that_are_taken() -> None:
    assert pool(set()).batch(belief(), 1) == [(5, 5, 5, 5, 5)]
    (second,) = pool({(5, 5, 5, 5, 5)}).batch(belief(), 1)
    assert sum(second) == 24
    assert len(set(pool(set()).batch(belief(), 20))) == 20


def test_limits_are_kept() -> None:
    chosen = pool(set()).batch(belief(limit=2.5), 10)
    assert chosen[0][0] == 2
    assert sum(chosen[0]) >= 21
    assert sum(key[0] <= 2 for key in chosen) >= 8


@given(st.lists(st.integers(1, 5), min_size=1, max_size=6), st.integers(0, 2**20))
def test_children_are_points_of_the_space_and_mutants_differ(sizes: list[int], seed: int) -> None:
    generator = np.random.default_rng(seed)
    breeder = Breeder(sizes)
    parents = [tuple(int(i) for i in generator.integers(sizes)) for _ in range(3)]
    for _ in range(5):
        child = breeder.child(parents, generator)
        assert all(0 <= index < size for index, size in zip(child, sizes, strict=True))
        mutant = breeder.mutated(child, generator)
        assert all(0 <= index < size for index, size in zip(mutant, sizes, strict=True))
        assert mutant != child or max(sizes) == 1


def test_only_those_whose_turn_it_is_are_asked_whether_they_may_be_chosen() -> None:
    asked: list[tuple[int, ...]] = []

    def admits(key: tuple[int, ...]) -> bool:
        asked.append(key)
        return key[1] < 5

    there = [(2, 2, 2, 2, 2), (3, 1, 2, 2, 2)]
    made = Pool([6] * 5, there, there, lambda key: True, np.random.default_rng(1), admits=admits)
    chosen = made.batch(belief(), 4)
    assert chosen == [key for key in asked if key[1] < 5]
    assert chosen[0] == (5, 4, 5, 5, 5)
    assert len(asked) < 60


def test_where_most_may_not_be_chosen_it_goes_on_behind_the_first_few() -> None:
    there = [(2, 2, 2, 2, 2), (3, 1, 2, 2, 2)]
    rare = {key for key in itertools.product(range(6), repeat=5) if sum(key) < 9}
    made = Pool(
        [6] * 5, there, there, lambda key: True, np.random.default_rng(1), final=20, admits=rare.__contains__
    )
    chosen = made.batch(belief(), 5)
    assert len(chosen) == 5
    assert set(chosen) <= rare
    nothing = Pool(
        [6] * 5, there, there, lambda key: True, np.random.default_rng(1), admits=lambda key: False
    )
    assert nothing.batch(belief(), 5) == []
