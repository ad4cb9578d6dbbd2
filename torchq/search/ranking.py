"""Which of many outcomes are better: limits first, then fronts, then what stands apart on them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from torchq.search.goal import Goal, Outcome
from torchq.search.pareto import non_dominated


def violation(outcome: Outcome, goal: Goal) -> float:
    """How far the outcome is beyond the goal's limits and thresholds, all together; 0 if it keeps them."""
    missed = [
        objective.threshold - value
        for value, objective in zip(outcome.values, goal.objectives, strict=True)
        if objective.threshold is not None
    ]
    return sum(max(0.0, lack) for lack in [*missed, *(-margin for margin in outcome.margins)])


def ranked(outcomes: Sequence[Outcome], goal: Goal) -> list[int]:
    """The outcomes' places in the sequence, the best one first.

    By constrained domination (Deb et al., IEEE Trans. Evol. Comput. 6, 182 (2002)): what keeps all limits
    comes before what does not, and that in the order of its violation; the rest goes by fronts, and within
    a front by crowding distance. With one objective that is the order of its values. Ties keep their order.

    Example:
        >>> from torchq.search import MultiObjective, Outcome
        >>> goal = MultiObjective("bits", least_accuracy=0.5)
        >>> outcomes = [Outcome((a, -b), 0.0) for a, b in [(0.4, 1.0), (0.6, 3.0), (0.7, 3.0), (0.49, 1.0)]]
        >>> ranked(outcomes, goal)
        [2, 1, 3, 0]
    """
    if not outcomes:
        return []
    beyond = np.array([violation(outcome, goal) for outcome in outcomes])
    values = np.array([outcome.values for outcome in outcomes]).reshape(len(outcomes), -1)
    order: list[int] = []
    left = np.flatnonzero(beyond == 0)
    if values.shape[1] == 1:
        return [
            *(int(i) for i in left[np.argsort(-values[left, 0], kind="stable")]),
            *_worst_last(beyond),
        ]
    while len(left):
        front = non_dominated(values[left])
        members = left[front]
        apart = crowding(values[members])
        order += [int(i) for i in members[np.argsort(-apart, kind="stable")]]
        left = left[~front]
    return order + _worst_last(beyond)


def crowding(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far a front's points are from their neighbours, in units of its extent; ends are infinite.

    Args:
        values: shape ``(points, objectives)``.

    Returns:
        Distances, shape ``(points,)``.
    """
    apart = np.zeros(len(values))
    for column in values.T:
        order = np.argsort(column, kind="stable")
        extent = column[order[-1]] - column[order[0]]
        apart[order[[0, -1]]] = np.inf
        if extent > 0 and len(order) > 2:
            apart[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / extent
    return apart


def _worst_last(beyond: NDArray[np.float64]) -> list[int]:
    broken = np.flatnonzero(beyond > 0)
    return [int(i) for i in broken[np.argsort(beyond[broken], kind="stable")]]
