"""Which points to try next as one batch, from samples of what a model believes about a pool of points."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def directions(objectives: int, count: int, generator: np.random.Generator) -> Array:
    """Random directions into the positive orthant, shape ``(count, objectives)``, each of length 1."""
    if objectives == 1:
        return np.ones((1, 1))
    drawn = np.abs(generator.standard_normal((count, objectives))) + 1e-6
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))


def heights(values: Array, corner: Array, along: Array) -> Array:
    """How far a box from the corner reaches along each direction, to the power of the number of objectives.

    The mean of the largest of several points over all directions is, up to a constant, the hypervolume that
    they cover (Zhang and Golovin, Proc. ICML 119, 11096 (2020)); with one objective it is the best value.

    Args:
        values: shape ``(..., objectives)``; all maximised.
        corner: shape ``(objectives,)``.
        along: shape ``(directions, objectives)``.

    Returns:
        Shape ``(..., directions)``.
    """
    gains = values - corner
    if values.shape[-1] == 1:
        return gains
    reach = np.min(np.maximum(gains, 0.0)[..., None, :] / along, axis=-1)
    return np.asarray(reach ** values.shape[-1])


class Gain:
    """What points would add to what is there, in every sample of a model.

    Args:
        base: heights of the best that is there, shape ``(samples, directions)``.
    """

    def __init__(self, base: Array) -> None:
        self.base = base

    def of(self, candidates: Array) -> Array:
        """The mean gain of each candidate; heights of shape ``(samples, candidates, directions)``."""
        return np.asarray(np.maximum(candidates - self.base[:, None, :], 0.0).mean(axis=(0, 2)))

    def take(self, candidate: Array) -> None:
        """From now on the candidate is there; heights of shape ``(samples, directions)``."""
        self.base = np.maximum(self.base, candidate)


def choose(
    candidates: Array, lacks: Array, base: Array, count: int, admits: Callable[[int], bool] | None = None
) -> list[int]:
    """A batch, one after the other, each the most gainful beside those before it.

    Where no candidate gains anything in any sample, the one is taken that lacks least in one of the samples,
    another sample for each.

    Args:
        candidates: heights, shape ``(samples, candidates, directions)``.
        lacks: how far each candidate is beyond limits and thresholds, shape ``(samples, candidates)``.
        base: heights of what is there, shape ``(samples, directions)``.
        count: how many to choose; fewer if there are fewer candidates.
        admits: whether the candidate at a place may be chosen; asked of those only whose turn it is.

    Returns:
        Places among the candidates.

    Example:
        >>> heights_of = np.array([[[1.0], [3.0], [2.9]], [[4.0], [3.0], [2.0]]])
        >>> choose(heights_of, np.zeros((2, 3)), np.array([[1.0], [1.0]]), 2)
        [1, 0]
        >>> choose(heights_of, np.zeros((2, 3)), np.array([[1.0], [1.0]]), 2, admits=lambda place: place != 1)
        [0, 2]
    """
    gain = Gain(base)
    chosen: list[int] = []
    open_ = np.ones(candidates.shape[1], dtype=bool)
    while len(chosen) < count and open_.any():
        worth = gain.of(candidates)
        lack = lacks[len(chosen) % len(lacks)]
        while open_.any():
            best = int(np.where(open_, worth, -1.0).argmax())
            if worth[best] <= 0.0:
                best = int(np.where(open_, lack, np.inf).argmin())
            open_[best] = False
            if admits is None or admits(best):
                chosen.append(best)
                gain.take(candidates[:, best])
                break
    return chosen
