"""Metrics against references that count every pair."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from torchq.errors import TrainError
from torchq.train import accuracy, auc, roc


def brute_area(inside: np.ndarray, score: np.ndarray) -> float:
    """Chance that a sample of the class scores higher than one of the others; ties count half."""
    a, b = score[inside][:, None], score[~inside][None, :]
    return float(((a > b) + 0.5 * (a == b)).mean())


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@st.composite
def samples(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Classes with every one present, and coarse logits with many ties."""
    classes = draw(st.integers(2, 4))
    rows = draw(st.integers(classes, 30))
    random = np.random.default_rng(draw(st.integers(0, 10_000)))
    y = np.concatenate([np.arange(classes), random.integers(0, classes, rows - classes)])
    return y, random.integers(-2, 3, (rows, classes)) / draw(st.sampled_from([1, 4]))


@settings(max_examples=150, deadline=None)
@given(samples())
def test_auc_of_probabilities_counts_pairs(held: tuple[np.ndarray, np.ndarray]) -> None:
    y, logits = held
    p = np.round(softmax(logits), 6)
    p[:, 0] += 1 - p.sum(axis=1)
    found = auc(y, p)
    expected = [brute_area(y == index, p[:, index]) for index in range(p.shape[1])]
    assert np.allclose(list(found.per_class.values()), expected, atol=1e-12)
    assert found.macro == pytest.approx(np.mean(expected), abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(samples())
def test_auc_of_logits_is_that_of_their_probabilities(held: tuple[np.ndarray, np.ndarray]) -> None:
    y, logits = held
    logits = logits + np.random.default_rng(0).normal(size=logits.shape)  # no ties that rounding could break
    for index, area in enumerate(auc(y, logits).per_class.values()):
        assert area == pytest.approx(brute_area(y == index, softmax(logits)[:, index]), abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(samples())
def test_areas_are_those_of_scikit_learn(held: tuple[np.ndarray, np.ndarray]) -> None:
    y, logits = held
    found = auc(y, softmax(logits))
    for index, area in enumerate(found.per_class.values()):
        assert area == pytest.approx(roc_auc_score(y == index, softmax(logits)[:, index]), abs=1e-12)


def test_logits_that_saturate_probabilities_are_still_told_apart() -> None:
    logits = np.array([[60.0, 0.0], [50.0, 0.0], [55.0, 0.0], [0.0, 9.0]])
    y = np.array([0, 1, 0, 1])
    assert softmax(logits)[0, 0] == softmax(logits)[1, 0] == 1.0
    assert auc(y, logits).per_class == {"0": 1.0, "1": 1.0}


@settings(max_examples=100, deadline=None)
@given(samples(), st.integers(0, 1))
def test_a_short_curve_is_the_whole_curve(held: tuple[np.ndarray, np.ndarray], index: int) -> None:
    y, logits = held
    p = softmax(logits)
    found = roc(y, p, index)
    fpr, tpr, _ = roc_curve(y == index, p[:, index], drop_intermediate=False)
    assert np.allclose(found.fpr, fpr)
    assert np.allclose(found.tpr, tpr)
    assert np.trapezoid(found.tpr, found.fpr) == pytest.approx(auc(y, p).per_class[str(index)], abs=1e-9)


def test_a_long_curve_is_thinned_evenly() -> None:
    random = np.random.default_rng(0)
    y = random.integers(0, 2, 20_000)
    scores = random.normal(size=(20_000, 2)) + 1.5 * np.eye(2)[y]
    found = roc(y, scores, 1)
    assert 150 < len(found.fpr) <= 200
    assert (found.fpr[0], found.tpr[0], found.fpr[-1], found.tpr[-1]) == (0, 0, 1, 1)
    assert (np.diff(found.fpr) >= 0).all()
    assert (np.diff(found.tpr) >= 0).all()
    assert np.trapezoid(found.tpr, found.fpr) == pytest.approx(auc(y, scores).per_class["1"], abs=5e-4)
    assert max(np.diff(found.fpr).max(), np.diff(found.tpr).max()) < 0.02
    assert json.loads(json.dumps(found.to_dict()))["tpr"] == found.tpr.tolist()


@settings(max_examples=50, deadline=None)
@given(samples())
def test_accuracy_counts(held: tuple[np.ndarray, np.ndarray]) -> None:
    y, logits = held
    right = sum(int(list(row).index(max(row)) == label) for row, label in zip(logits, y, strict=True))
    assert accuracy(y, logits) == right / len(y)


def test_names_of_classes() -> None:
    found = auc([0, 1], [[1.0, 0.0], [0.0, 1.0]], classes=("g", "q"))
    assert found.to_dict() == {"per_class": {"g": 1.0, "q": 1.0}, "macro": 1.0}


SCORES = [[1.0, 0.0], [0.0, 1.0]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: accuracy([0, 1, 1], SCORES),
            "classes have shape (3,) and scores (2, 2); "
            "they need to be [rows] and [rows, classes], with at least one row",
        ),
        (
            lambda: accuracy([], np.zeros((0, 2))),
            "classes have shape (0,) and scores (0, 2); "
            "they need to be [rows] and [rows, classes], with at least one row",
        ),
        (
            lambda: auc([0, 1], [[np.nan, 0.0], [0.0, np.inf]]),
            "scores are not finite numbers in 2 of 2 rows",
        ),
        (
            lambda: auc([0, 1], SCORES, classes=("g",)),
            "scores have 2 columns and there are 1 names of classes",
        ),
        (
            lambda: auc([0, 0], SCORES, classes=("g", "q")),
            "class g: all of the samples are of it, so it has no ROC curve",
        ),
        (
            lambda: roc([0, 0], SCORES, 1),
            "class 1: none of the samples are of it, so it has no ROC curve",
        ),
        (lambda: roc([0, 1], SCORES, 2), "there is no class 2; scores have 2 columns"),
    ],
)
def test_what_is_refused(call, message: str) -> None:
    with pytest.raises(TrainError) as told:
        call()
    assert str(told.value) == message
