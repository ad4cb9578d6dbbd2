"""``GaussianSearcher``: Bayesian optimisation in a moment, which takes known costs as known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from torchq.errors import SearchError
from torchq.search.base import SEARCHERS, Searcher
from torchq.search.breeding import Key
from torchq.search.goal import Goal, Outcome
from torchq.search.known import Known
from torchq.search.likeness import LikenessProcess
from torchq.search.pool import Belief, Pool
from torchq.search.ranking import ranked
from torchq.search.sampling import sobol_points
from torchq.search.space import Point, Position, Space
from torchq.search.trial import Proposal

Array = NDArray[np.float64]

FINAL = 48
"""Points of a pool that are priced exactly, and that a batch is chosen from."""

LEAST_OBSERVED = 3
"""Completed trials that the model needs before it proposes anything."""

HOPE = 0.9
"""The accuracy that the first points are chosen for, where costs are known."""


@SEARCHERS.register("gaussian")
class GaussianSearcher(Searcher):
    """A Gaussian process over the knobs, for short trials and for goals whose costs are known beforehand.

    Options that are the same, or next to each other, make points alike (:mod:`torchq.search.likeness`); the
    process is fitted in closed form, in milliseconds. Where the costs follow from the scheme
    (``run_search(..., price=)``), only the accuracy is modelled and the goal computed from it and the price;
    the first points then are those that would be best if all were equally accurate, half of them. A batch is
    chosen as by Ax's searcher: expected (hypervolume) improvement over a pool of points.

    With ``short`` below 1 new points are trained for that part of the whole length, and the model learns
    from these trials. Some of each batch, and all of the last one, are the best of them, trained in full.

    Args:
        space: where to search.
        goal: what is maximised; its limits are kept first.
        seed: of all dice.
        start: points that are proposed before all others.
        initial: how many points, ``start`` included, are tried before the model takes over; by default one
            more than there are knobs, but at least 5 and at most 12.
        short: the part of the whole training length that new points are trained for.
        full: the part of a batch that is trained in full, where ``short`` is below 1.

    Raises:
        SearchError: as :class:`Searcher`, or a number out of range.
    """

    def __init__(
        self,
        space: Space,
        goal: Goal,
        *,
        seed: int = 0,
        start: Sequence[Point] = (),
        initial: int | None = None,
        short: float = 1.0,
        full: float = 0.25,
    ) -> None:
        super().__init__(space, goal, seed=seed, start=start)
        if initial is not None and initial < 1:
            raise SearchError(f"gaussian: initial must be at least 1, got {initial}")
        for name, part in (("short", short), ("full", full)):
            if not 0.0 < part <= 1.0:
                raise SearchError(f"gaussian: {name} must be above 0 and at most 1, got {part:g}")
        self._short, self._full = short, full
        self._sizes = [len(knob.options) for knob in space.knobs]
        free = sum(size > 1 for size in self._sizes)
        self._initial = min(max(free + 1, 5), 12) if initial is None else initial
        self._told: dict[Key, Outcome] = {}
        self._failed: list[Key] = []
        self._known: Known | None = None

    def _propose(self, count: int) -> Sequence[Position]:
        tried = len(self._taken)
        wanted = count if len(self._told) < LEAST_OBSERVED else max(min(self._initial - tried, count), 0)
        first = min(max(self._initial - tried, 0), wanted)
        positions = self._first(tried, first)
        positions += sobol_points(self.space, self.seed, tried + first, wanted - first)
        if wanted < count:
            positions += [self.space.point(key) for key in self._batch(count - wanted)]
        return positions + sobol_points(self.space, self.seed, tried + len(positions), count - len(positions))

    # ------------------------------------------------------------------ the first points

    def _first(self, tried: int, count: int) -> list[Position]:
        """Evenly spread; where costs are known, every other one the most promising by them of a dozen."""
        spread = sobol_points(self.space, self.seed, tried, count)
        known = self._prices()
        if known is None:
            return spread
        generator = np.random.default_rng([self.seed, self._next])
        for place in range(1, count, 2):
            drawn = generator.integers(self._sizes, size=(12, len(self._sizes))).tolist()
            keys = [tuple(key) for key in drawn]
            start, slope = known.lines(keys, exact=True)
            hoped = start + HOPE * slope
            objectives = len(self.goal.objectives)
            outcomes = [
                Outcome(tuple(row[:objectives]), 0.0, tuple(row[objectives:])) for row in hoped.tolist()
            ]
            spread[place] = self.space.point(keys[ranked(outcomes, self.goal)[0]])
        return spread

    # ------------------------------------------------------------------ by the model

    def _batch(self, count: int) -> list[Key]:
        told = {**self._told, **dict.fromkeys(self._failed, Outcome.lowest(self._told.values()))}
        order = ranked([*told.values()], self.goal)
        keys = [*told]
        pool = Pool(
            self._sizes,
            best=[keys[place] for place in order[:40]],
            there=[*keys, *(self.space.key(proposal.point) for proposal in self._open.values())],
            fresh=lambda key: self._fresh(self.space.point(key)),
            generator=np.random.default_rng([self.seed, self._next]),
            final=FINAL,
        )
        return pool.batch(self._belief(told), count)

    def _belief(self, told: dict[Key, Outcome]) -> Belief:
        known = self._prices()
        keys, objectives = [*told], len(self.goal.objectives)
        outputs = np.array([(*outcome.values, *outcome.margins) for outcome in told.values()])
        if known is not None:
            outputs = np.array([[known.accuracy(key, outcome)] for key, outcome in told.items()])
        processes = [LikenessProcess(keys, column, self._sizes) for column in outputs.T.tolist()]

        def keys_of(points: Array) -> list[Key]:
            return [tuple(int(index) for index in row) for row in points]

        def of_latent(latent: Array, points: Array, *, exact: bool) -> Array:
            """Objectives and margins from what the processes say."""
            if known is None:
                return latent
            start, slope = known.lines(keys_of(points), exact=exact)
            return np.asarray(start + slope * latent)

        def marginals(points: Array) -> tuple[Array, Array]:
            means, deviations = (
                np.stack(column, axis=1)
                for column in zip(*(process.marginals(keys_of(points)) for process in processes), strict=True)
            )
            if known is None:
                return means, deviations
            start, slope = known.lines(keys_of(points), exact=False)
            return start + slope * means, np.abs(slope) * deviations

        def joint(points: Array, dice: Array) -> Array:
            drawn = [p.samples(keys_of(points), dice[..., i]) for i, p in enumerate(processes)]
            return of_latent(np.stack(drawn, axis=-1), points, exact=True)

        def lacks(samples: Array) -> Array:
            return np.asarray(np.maximum(-samples[..., objectives:], 0.0).sum(axis=-1))

        values = np.array([outcome.values for outcome in told.values()])
        lowest = values.min(axis=0) - 0.1 * (values.max(axis=0) - values.min(axis=0))
        given = [objective.threshold for objective in self.goal.objectives]
        floors = np.array([threshold is not None for threshold in given])
        corner = np.array([low if t is None else t for low, t in zip(lowest, given, strict=True)])
        return Belief(marginals, joint, lambda samples: samples[..., :objectives], corner, lacks, floors)

    def _prices(self) -> Known | None:
        """The goal over the accuracy, if its costs are known."""
        if self._screen is None:
            return None
        if self._known is None:
            screen = self._screen
            self._known = Known(self.goal, self._sizes, lambda key: screen.costs(self.space.point(key)))
        cheapest = self.space.key(self.space.at(0.0))
        return self._known if self._known.usable(cheapest) else None

    # ------------------------------------------------------------------ short and full trainings

    def _fidelity(self) -> float:
        return self._short

    def _promoted(self, count: int) -> Sequence[tuple[Point, float]]:
        if self._short == 1.0 or len(self._told) < self._initial:
            return ()
        last = self._planned is not None and self._planned - self._next <= count
        wanted = count if last else round(self._full * count)
        keys = [key for key in self._told if (key, 1.0) not in self._tried]
        order = ranked([self._told[key] for key in keys], self.goal)[:wanted]
        return [(self.space.point(keys[place]), 1.0) for place in order]

    # ------------------------------------------------------------------ what it hears

    def _observe(self, proposal: Proposal, outcome: Outcome) -> None:
        if proposal.fidelity == self._short:
            self._told[self.space.key(proposal.point)] = outcome

    def _reject(self, proposal: Proposal, reason: str) -> None:  # noqa: ARG002
        if proposal.fidelity == self._short:
            self._failed.append(self.space.key(proposal.point))

    def _study(self, point: Point, outcome: Outcome) -> None:
        self._told[self.space.key(point)] = outcome
