"""From a point whose price breaks a limit to one near it that may keep it, with few prices."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from torchq.search import Knob, Limit, MultiObjective, Space
from torchq.search.screen import Screen
from torchq.search.space import Point

SPACE = Space(tuple(Knob.units(f"fc{i}", list(range(4, 68, 4))) for i in range(4)))
"""16 options for each of four knobs."""

NAMES = [knob.name for knob in SPACE.knobs]


class Priced:
    """A network's bits: products of the neurons of neighbours."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, point: Point) -> dict[str, float]:
        self.asked += 1
        neurons = [4.0 * (1 + index) for index in point.values()]
        return {"bits": sum(a * b for a, b in itertools.pairwise(neurons))}


def screen(most: float, price: Priced) -> Screen:
    return Screen(SPACE, MultiObjective("bits", limits=(Limit("bits", most, at_most=True),)), price)


@pytest.mark.parametrize(
    ("most", "prices", "edge"), [(200.0, 4.5, 0.8), (1000.0, 7.0, 0.88), (4000.0, 4.5, 0.92)]
)
def test_a_point_that_keeps_the_limit_is_found_near_its_edge_with_few_prices(
    most: float, prices: float, edge: float
) -> None:
    """One place after the other from the refused point on would take 16, 11 and 5 prices."""
    price = Priced()
    made = screen(most, price)
    generator = np.random.default_rng(0)
    spent, shares = [], []
    for _ in range(60):
        position = dict(zip(NAMES, generator.uniform(0, 15, 4).tolist(), strict=True))
        before = price.asked
        point, refused = made.nearest(position, set())
        if not refused:
            continue
        assert point is not None
        assert price(point)["bits"] <= most
        spent.append(price.asked - before - 1)
        shares.append(price(point)["bits"] / most)
    assert len(spent) > 10
    assert np.mean(spent) < prices
    assert np.mean(shares) > edge


def test_where_only_the_cheapest_is_left_it_is_found() -> None:
    made = screen(48.0, Priced())
    assert made.nearest(dict.fromkeys(NAMES, 15.0), set()) == (SPACE.at(0.0), 1)
    key = SPACE.key(SPACE.at(0.0))
    assert made.nearest(dict.fromkeys(NAMES, 15.0), {key}) == (None, 1)
