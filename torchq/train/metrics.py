"""Accuracy, area under the ROC curve and the curve itself, in NumPy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from torchq.errors import TrainError

Float64 = NDArray[np.float64]
CURVE_POINTS = 200


@dataclass(frozen=True)
class Auc:
    """Areas under the ROC curves of each class against all others.

    Attributes:
        per_class: area by class name, 0 to 1; 0.5 is guessing.
        macro: their mean.
    """

    per_class: Mapping[str, float]
    macro: float

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"per_class": dict(self.per_class), "macro": self.macro}


@dataclass(frozen=True)
class Roc:
    """A ROC curve from (0, 0) to (1, 1).

    Attributes:
        fpr: fraction of the others taken for this class, at most 200 values, never falling.
        tpr: fraction of this class found, likewise.
    """

    fpr: Float64
    tpr: Float64

    def to_dict(self) -> dict[str, list[float]]:
        """For JSON."""
        return {"fpr": self.fpr.tolist(), "tpr": self.tpr.tolist()}


def accuracy(y: ArrayLike, scores: ArrayLike) -> float:
    """Fraction of samples whose highest score is their class; the first class wins a tie.

    Args:
        y: classes ``[rows]``.
        scores: logits or probabilities ``[rows, classes]``.

    Raises:
        TrainError: shapes do not fit, no samples, or a score that is no finite number.

    Example:
        >>> accuracy([0, 1, 1, 0], [[2, 1], [0, 3], [1, 0], [5, 5]])
        0.75
    """
    classes, values = _checked(y, scores)
    return float((values.argmax(axis=1) == classes).mean())


def auc(y: ArrayLike, scores: ArrayLike, classes: Sequence[str] | None = None) -> Auc:
    """Area under the ROC curve of each class against all others, and their mean.

    The area is the chance that a sample of the class scores above a sample of the others, where a tie counts
    half (Mann and Whitney's U). Logits are compared as softmax probabilities are, but by their log-odds,
    which do not saturate.

    Args:
        y: classes ``[rows]``.
        scores: logits or probabilities ``[rows, classes]``; rows of non-negative numbers that add up to 1 are
            taken for probabilities.
        classes: names of the classes; by default "0", "1", ...

    Raises:
        TrainError: shapes do not fit, no samples, a score that is not finite, or all samples of one class.

    Example:
        >>> auc([0, 0, 1, 1], [[.9, .1], [.6, .4], [.65, .35], [.2, .8]], classes=("g", "q")).to_dict()
        {'per_class': {'g': 0.75, 'q': 0.75}, 'macro': 0.75}
    """
    numbers, values = _checked(y, scores)
    names = tuple(classes) if classes is not None else tuple(str(i) for i in range(values.shape[1]))
    if len(names) != values.shape[1]:
        raise TrainError(f"scores have {values.shape[1]} columns and there are {len(names)} names of classes")
    ranked = _comparable(values)
    areas = {}
    for index, name in enumerate(names):
        inside = _members(numbers, index, name)
        _, inverse, counts = np.unique(ranked[:, index], return_inverse=True, return_counts=True)
        ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse.reshape(-1)]
        n = int(inside.sum())
        above = ranks[inside].sum() - n * (n + 1) / 2
        areas[name] = float(above / (n * (len(numbers) - n)))
    return Auc(areas, float(np.mean(list(areas.values()))))


def roc(y: ArrayLike, scores: ArrayLike, index: int, points: int = CURVE_POINTS) -> Roc:
    """The ROC curve of one class against all others.

    Args:
        y: classes ``[rows]``.
        scores: logits or probabilities ``[rows, classes]``, as for :func:`auc`.
        index: number of the class.
        points: at most this many points, spread evenly along the curve, both ends included.

    Raises:
        TrainError: as :func:`auc`, or no such class.

    Example:
        >>> roc([0, 0, 1, 1], [[.9, .1], [.6, .4], [.65, .35], [.2, .8]], 1).to_dict()
        {'fpr': [0.0, 0.0, 0.5, 0.5, 1.0], 'tpr': [0.0, 0.5, 0.5, 1.0, 1.0]}
    """
    numbers, values = _checked(y, scores)
    if not 0 <= index < values.shape[1]:
        raise TrainError(f"there is no class {index}; scores have {values.shape[1]} columns")
    inside = _members(numbers, index, str(index))
    ranked = _comparable(values)[:, index]
    order = np.argsort(-ranked, kind="stable")
    last = np.append(np.diff(ranked[order]) != 0, True)  # where a group of equal scores ends
    hits = np.cumsum(inside[order])[last]
    misses = np.cumsum(~inside[order])[last]
    tpr = np.concatenate([[0.0], hits / hits[-1]])
    fpr = np.concatenate([[0.0], misses / misses[-1]])
    if len(fpr) > points:
        way = tpr + fpr  # grows from 0 to 2 along the curve
        chosen = np.unique(np.searchsorted(way, np.linspace(0.0, 2.0, points)).clip(max=len(way) - 1))
        tpr, fpr = tpr[chosen], fpr[chosen]
    return Roc(fpr, tpr)


def _checked(y: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.int64], Float64]:
    numbers = np.asarray(y).astype(np.int64)
    values = np.asarray(scores).astype(np.float64)
    if numbers.ndim != 1 or values.ndim != 2 or len(numbers) != len(values) or len(numbers) == 0:
        raise TrainError(
            f"classes have shape {numbers.shape} and scores {values.shape}; "
            "they need to be [rows] and [rows, classes], with at least one row"
        )
    bad = ~np.isfinite(values).all(axis=1)
    if bad.any():
        raise TrainError(f"scores are not finite numbers in {int(bad.sum())} of {len(values)} rows")
    return numbers, values


def _members(numbers: NDArray[np.int64], index: int, name: str) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = numbers == index
    if inside.all() or not inside.any():
        how = "all" if inside.all() else "none"
        raise TrainError(f"class {name}: {how} of the samples are of it, so it has no ROC curve")
    return inside


def _comparable(values: Float64) -> Float64:
    """Scores that rank samples as probabilities do: these themselves, or the log-odds of logits."""
    sums = values.sum(axis=1)
    if values.min() >= 0 and np.allclose(sums, 1.0, rtol=0, atol=1e-4):
        return values
    odds = np.empty_like(values)
    for index in range(values.shape[1]):
        others = np.delete(values, index, axis=1)
        odds[:, index] = values[:, index] - np.logaddexp.reduce(others, axis=1) if others.size else 0.0
    return odds
