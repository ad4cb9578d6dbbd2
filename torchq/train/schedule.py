"""Learning rate by step."""

from __future__ import annotations

import math
from collections.abc import Callable

from torchq.registry import Registry

SCHEDULES: Registry[Callable[[float], float]] = Registry("learning rate schedule")
"""Factors of the learning rate, by name: functions of the fraction of all steps done, 0 to 1."""


@SCHEDULES.register("constant")
def constant(_done: float) -> float:
    """Always 1."""
    return 1.0


@SCHEDULES.register("cosine")
def cosine(done: float) -> float:
    """Half a cosine from 1 to 0 (arXiv:1608.03983, without restarts).

    Example:
        >>> [round(cosine(t), 3) for t in (0, 0.5, 1)]
        [1.0, 0.5, 0.0]
    """
    return 0.5 * (1.0 + math.cos(math.pi * done))
