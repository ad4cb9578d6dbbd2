"""``Known``: what the goal makes of an accuracy where costs are known before training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from torchq.search.breeding import Key
from torchq.search.goal import Goal, Outcome
from torchq.search.likeness import LikenessProcess

Array = NDArray[np.float64]

ACCURACIES = (0.25, 0.5, 0.75)
"""Where a goal is asked; what it says must lie on a line."""

LEAST_PRICED = 150
"""Points that are priced before others are guessed from them."""

MOST_PRICED = 600
"""Guesses are made from so many, the latest."""


class Known:
    """The goal as a line over the accuracy, point by point.

    Args:
        goal: what is maximised.
        sizes: the number of options of every knob.
        price: what is known of a point before it is trained; empty where it cannot be priced.
    """

    def __init__(self, goal: Goal, sizes: Sequence[int], price: Callable[[Key], Mapping[str, float]]) -> None:
        self._goal, self._sizes, self._price = goal, tuple(sizes), price
        self._priced: dict[Key, Mapping[str, float]] = {}
        self._names = tuple(
            dict.fromkeys([*goal.costs, *(w.metric for w in goal.wanted if w.metric != goal.accuracy)])
        )

    def usable(self, key: Key) -> bool:
        """Whether this point's price holds all that the goal reads beside the accuracy, on a line."""
        known = self.costs(key)
        if any(not known.get(name, 0.0) > 0.0 for name in self._names):
            return False
        low, middle, high = (np.array(self._outputs(known, accuracy)) for accuracy in ACCURACIES)
        return bool(np.allclose(middle, (low + high) / 2, rtol=1e-9, atol=1e-12) and np.any(high != low))

    def costs(self, key: Key) -> Mapping[str, float]:
        """What is known of the point."""
        found = self._priced.get(key)
        if found is None:
            found = self._priced[key] = self._price(key)
        return found

    def lines(self, keys: Sequence[Key], *, exact: bool) -> tuple[Array, Array]:
        """Objectives and margins of each point at accuracy 0, and what they gain with it.

        Args:
            keys: points.
            exact: whether to price them all; else those that were never priced are guessed.
        """
        costs = [self.costs(key) for key in keys] if exact else self._guessed(keys)
        low, high = (
            np.array([self._outputs(known, accuracy) for known in costs])
            for accuracy in (ACCURACIES[0], ACCURACIES[-1])
        )
        slope = (high - low) / (ACCURACIES[-1] - ACCURACIES[0])
        return low - ACCURACIES[0] * slope, slope

    def accuracy(self, key: Key, outcome: Outcome) -> float:
        """The accuracy behind an outcome at this point."""
        (start,), (slope,) = self.lines([key], exact=True)
        place = int(np.abs(slope).argmax())
        return float(((*outcome.values, *outcome.margins)[place] - start[place]) / slope[place])

    def _outputs(self, known: Mapping[str, float], accuracy: float) -> tuple[float, ...]:
        outcome = self._goal.outcome({**known, self._goal.accuracy: accuracy})
        return *outcome.values, *outcome.margins

    def _guessed(self, keys: Sequence[Key]) -> list[Mapping[str, float]]:
        """From the prices of others: the logarithm of each cost by a process without noise."""
        unknown = [key for key in keys if key not in self._priced]
        for key in unknown[: max(LEAST_PRICED - len(self._priced), 0)]:
            self.costs(key)
        unknown = [key for key in unknown if key not in self._priced]
        guessed: dict[Key, dict[str, float]] = {key: {} for key in unknown}
        if unknown:
            seen = [key for key, known in self._priced.items() if known][-MOST_PRICED:]
            for name in self._names:
                logs = [float(np.log(self._priced[key][name])) for key in seen]
                means, _ = LikenessProcess(seen, logs, self._sizes, exact=True).marginals(unknown)
                for key, mean in zip(unknown, means.tolist(), strict=True):
                    guessed[key][name] = float(np.exp(mean))
        return [self._priced[key] if key in self._priced else guessed[key] for key in keys]
