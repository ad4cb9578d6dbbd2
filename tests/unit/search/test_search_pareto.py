"""Dominance and hypervolume against counting."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchq.search import hypervolume, non_dominated

ROWS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=12)


@given(st.lists(st.tuples(*[st.integers(0, 4)] * 3), max_size=10))
def test_non_dominated_as_by_definition(rows: list[tuple[int, ...]]) -> None:
    expected = [
        not any(all(b >= a for a, b in zip(row, other, strict=True)) and other != row for other in rows)
        for row in rows
    ]
    assert non_dominated(np.array(rows).reshape(-1, 3)).tolist() == expected


@settings(deadline=None)
@given(ROWS, st.tuples(st.integers(0, 3), st.integers(0, 3)))
def test_hypervolume_as_by_counting_cells(rows: list[tuple[int, int]], corner: tuple[int, int]) -> None:
    cells = sum(
        any(x < row[0] and y < row[1] for row in rows)
        for x, y in itertools.product(range(corner[0], 6), range(corner[1], 6))
    )
    assert hypervolume(np.array(rows).reshape(-1, 2), corner) == cells


@given(ROWS)
def test_only_the_front_counts(rows: list[tuple[int, int]]) -> None:
    table = np.array(rows, dtype=float).reshape(-1, 2)
    assert hypervolume(table[non_dominated(table)], (0, 0)) == hypervolume(table, (0, 0))


def test_equal_rows_both_stay() -> None:
    assert non_dominated([[1.0, 1.0], [1.0, 1.0], [0.0, 1.0]]).tolist() == [True, True, False]


def test_nothing_covers_nothing() -> None:
    assert hypervolume([], (0, 0)) == 0.0
    assert non_dominated([]).tolist() == []
    assert hypervolume([[1.0, 5.0]], (2.0, 0.0)) == 0.0


def test_fractions_are_exact_enough() -> None:
    assert hypervolume([[0.1, 0.3], [0.2, 0.2], [0.3, 0.1]], (0.0, 0.0)) == pytest.approx(0.06, abs=1e-15)
