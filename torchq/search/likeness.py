"""A Gaussian process over points of a space: points are alike in the knobs in which their options are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

NEIGHBOURS = 0.5
"""What of a knob's likeness falls off with the distance of ordered options; the rest is for the same one."""

SHARES = (1.0, 0.6, 0.2)
"""Of the variance, what is a sum over the knobs; the rest needs several alike. The likeliest is taken."""

NOISES = (0.01, 0.05, 0.2, 0.5)
"""Of the variance, what two trainings of the same scheme differ by. The likeliest is taken."""


def likeness(first: Sequence[Sequence[int]], second: Sequence[Sequence[int]], sizes: Sequence[int]) -> Array:
    """How alike points are, from 0 to 1; 1 for the same point.

    Args:
        first: points as option indices, knob by knob.
        second: others.
        sizes: the number of options of every knob.

    Returns:
        Shape ``(first, second)``.

    Example:
        >>> likeness([(0, 1)], [(0, 1), (0, 0), (3, 0)], (4, 2)).round(2).tolist()
        [[1.0, 0.59, 0.15]]
    """
    a, b = np.array(first), np.array(second)
    free = [place for place, size in enumerate(sizes) if size > 1]
    total = np.zeros((len(a), len(b)))
    for place in free:
        apart = np.abs(a[:, place, None] - b[None, :, place])
        total += (1 - NEIGHBOURS) * (apart == 0) + NEIGHBOURS * np.exp(-apart / (0.5 * sizes[place]))
    return total / max(len(free), 1)


class LikenessProcess:
    """A Gaussian process, fitted to values at points in closed form.

    Values far below all others (trainings that went wrong) are lifted to where they do not bend the rest.

    Args:
        keys: points as option indices.
        values: what was seen at each.
        sizes: the number of options of every knob.
        exact: whether the values are without noise.

    Example:
        >>> keys = [(0, 0), (1, 0), (2, 0), (0, 1), (2, 1)]
        >>> process = LikenessProcess(keys, [1.0, 2.0, 3.0, 2.0, 4.0], (3, 2))
        >>> mean, deviation = process.marginals([(1, 1)])
        >>> bool(2.5 < mean[0] < 3.5), bool(deviation[0] > 0)
        (True, True)
    """

    def __init__(
        self,
        keys: Sequence[Sequence[int]],
        values: Sequence[float],
        sizes: Sequence[int],
        *,
        exact: bool = False,
    ) -> None:
        self._keys, self._sizes = [tuple(key) for key in keys], tuple(sizes)
        seen = np.array(values, dtype=np.float64)
        if not exact:
            low, middle, high = np.quantile(seen, (0.25, 0.5, 0.75))
            seen = np.maximum(seen, middle - 4 * max(high - low, 1e-12))
        self._centre, self._spread = float(seen.mean()), float(seen.std()) or 1.0
        target = (seen - self._centre) / self._spread
        alike = likeness(self._keys, self._keys, self._sizes)
        noises = (1e-6,) if exact else NOISES
        fits = [_Fit.of(alike, target, share, noise) for share in SHARES for noise in noises]
        self._fit = max(fits, key=lambda fit: fit.likelihood)

    def _meets(self, keys: Sequence[Sequence[int]]) -> tuple[Array, Array]:
        """Means, and the root of what is taken from the variance by what was seen."""
        fit = self._fit
        across = fit.signal * _mixed(likeness(keys, self._keys, self._sizes), fit.share)
        return np.asarray(across @ fit.weights), np.asarray(np.linalg.solve(fit.factor, across.T))

    def marginals(self, keys: Sequence[Sequence[int]]) -> tuple[Array, Array]:
        """Mean and standard deviation at each point, noise not included."""
        mean, taken = self._meets(keys)
        variance = np.maximum(self._fit.signal - (taken**2).sum(axis=0), 1e-9) * self._fit.scale
        return self._centre + self._spread * mean, self._spread * np.sqrt(variance)

    def samples(self, keys: Sequence[Sequence[int]], dice: Array) -> Array:
        """Joint samples at all points, from standard normal numbers ``(samples, points)``."""
        mean, taken = self._meets(keys)
        alike = _mixed(likeness(keys, keys, self._sizes), self._fit.share)
        covariance = self._fit.signal * alike - taken.T @ taken + 1e-6 * np.eye(len(keys))
        factor = np.sqrt(self._fit.scale) * np.linalg.cholesky(covariance)
        return np.asarray(self._centre + self._spread * (mean + dice @ factor.T))


@dataclass(frozen=True)
class _Fit:
    """A process with these shares.

    Attributes:
        likelihood: the logarithm, with the best scale.
        scale: of the variance.
        share: of what is a sum over the knobs.
        signal: of what is no noise.
        factor: Cholesky factor of the covariance of what was seen.
        weights: of what was seen in the mean.
    """

    likelihood: float
    scale: float
    share: float
    signal: float
    factor: Array
    weights: Array

    @classmethod
    def of(cls, alike: Array, target: Array, share: float, noise: float) -> _Fit:
        count = len(target)
        covariance = (1 - noise) * _mixed(alike, share) + (noise + 1e-8) * np.eye(count)
        factor = np.asarray(np.linalg.cholesky(covariance))
        weights = np.asarray(np.linalg.solve(factor.T, np.linalg.solve(factor, target)))
        scale = max(float(target @ weights) / count, 1e-12)
        likelihood = -0.5 * count * float(np.log(scale)) - float(np.log(np.diag(factor)).sum())
        return cls(likelihood, scale, share, 1 - noise, factor, weights)


def _mixed(alike: Array, share: float) -> Array:
    """A sum over the knobs, and what needs several of them."""
    return share * alike + (1 - share) * alike**4
