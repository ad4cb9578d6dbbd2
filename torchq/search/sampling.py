"""Points without knowledge: at random, and spread evenly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from torchq.search.space import Point, Position, Space

TRIES = 100
"""Random points that are drawn before one that will not do is taken all the same."""


def random_point(
    space: Space, generator: np.random.Generator, fresh: Callable[[Point], bool]
) -> dict[str, int]:
    """A random point that is fresh; after many misses any point."""
    sizes = [len(knob.options) for knob in space.knobs]
    for _ in range(TRIES):
        point = dict(
            zip((knob.name for knob in space.knobs), generator.integers(sizes).tolist(), strict=True)
        )
        if fresh(point):
            break
    return point


def sobol_points(space: Space, seed: int, first: int, count: int) -> list[Position]:
    """Rows ``first`` and following of a scrambled Sobol sequence over the points of a space."""
    from torch.quasirandom import SobolEngine

    if count == 0:
        return []
    engine: Any = SobolEngine(len(space.knobs), scramble=True, seed=seed)  # type: ignore[no-untyped-call]
    rows = engine.fast_forward(first).draw(count).tolist()
    return [
        {
            k.name: min(int(u * len(k.options)), len(k.options) - 1)
            for k, u in zip(space.knobs, row, strict=True)
        }
        for row in rows
    ]
