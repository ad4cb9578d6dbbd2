"""Splits are stratified, disjoint and fixed; standardisation sees the training part only."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchq.data.dataset import Dataset
from torchq.data.splits import split
from torchq.data.table import Table


def table(counts: tuple[int, ...], seed: int = 0) -> Table:
    """Rows whose first feature is the row's own number."""
    y = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    x = np.stack([np.arange(len(y)), np.sin(np.arange(len(y)))], axis=1)
    return Table("here", "made up", x, y.astype(np.int64), tuple("abcdefgh"[: len(counts)]), ("row", "sine"))


def rows(data: Dataset, part: str) -> np.ndarray:
    x = getattr(data, part).x[:, 0].astype(np.float64)
    return np.rint(x * data.scale[0] + data.mean[0]).astype(int)


PARTS = ("train", "valid", "test")


@settings(max_examples=80, deadline=None)
@given(
    counts=st.lists(st.integers(3, 60), min_size=1, max_size=5).map(tuple),
    cuts=st.tuples(st.integers(1, 98), st.integers(1, 98)).filter(lambda c: sum(c) < 100),
    seed=st.integers(0, 2**32 - 1),
)
def test_parts_are_disjoint_whole_and_stratified(counts, cuts, seed) -> None:
    fractions = (cuts[0] / 100, cuts[1] / 100, (100 - sum(cuts)) / 100)
    data = split(table(counts), name="t", seed=seed, fractions=fractions)
    found = np.concatenate([rows(data, part) for part in PARTS])
    assert sorted(found) == list(range(sum(counts)))
    for part, fraction in zip(PARTS, fractions, strict=True):
        held = np.bincount(getattr(data, part).y, minlength=len(counts))
        assert (held >= 1).all()
        assert (np.abs(held - np.array(counts) * fraction) <= 2).all()


def test_labels_stay_with_their_rows() -> None:
    source = table((30, 20, 10))
    data = split(source, name="t")
    for part in PARTS:
        assert np.array_equal(source.y[rows(data, part)], getattr(data, part).y)


def test_a_seed_gives_the_same_rows_under_every_numpy() -> None:
    data = split(table((12, 12)), name="t", seed=5)
    assert rows(data, "test").tolist() == [9, 12, 19, 16]


def test_another_seed_gives_other_rows() -> None:
    one, other = (split(table((50, 50)), name="t", seed=seed) for seed in (0, 1))
    assert set(rows(one, "test")) != set(rows(other, "test"))


def test_training_samples_have_mean_0_and_deviation_1() -> None:
    data = split(table((300, 200)), name="t")
    assert np.abs(data.train.x.astype(np.float64).mean(axis=0)).max() < 1e-6
    assert np.abs(data.train.x.astype(np.float64).std(axis=0) - 1).max() < 1e-6


def test_standardisation_does_not_look_at_other_parts() -> None:
    source = table((300, 200))
    before = split(source, name="t")
    source.x[rows(before, "test"), 1] = 1e6
    source.x[rows(before, "valid"), 1] = -1e6
    after = split(source, name="t")
    assert np.array_equal(before.mean, after.mean)
    assert np.array_equal(before.train.x, after.train.x)
    assert not np.array_equal(before.test.x, after.test.x)


def test_standardise_is_what_the_splits_went_through() -> None:
    source = table((300, 200))
    data = split(source, name="t")
    again = data.standardise(source.x[rows(data, "valid")])
    assert again.dtype == np.float32
    assert np.array_equal(again, data.valid.x)


def test_a_feature_that_never_changes_becomes_0() -> None:
    source = table((300, 200))
    source.x[:, 1] = 0.1
    data = split(source, name="t")
    assert data.constant == ("sine",)
    assert data.scale[1] == 1.0
    assert not data.train.x[:, 1].any()
    assert data.summary().splitlines()[-1] == "always the same, so 0 after standardisation: sine"


@pytest.mark.parametrize("limit", [9, 10, 47, 100, 149, 150, 1000])
def test_a_limit_keeps_the_fractions_of_the_classes(limit: int) -> None:
    counts = np.array([100, 45, 5])
    data = split(table(tuple(counts)), name="t", limit=limit)
    held = sum(np.bincount(getattr(data, part).y, minlength=3) for part in PARTS)
    assert held.sum() == min(limit, 150)
    assert (held >= 3).all()
    assert (np.abs(held - counts * min(limit, 150) / 150) <= 3).all()
