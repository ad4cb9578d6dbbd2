"""Spaces and evaluations that cost nothing, for the tests of searching."""

from __future__ import annotations

import math

from torchq.scheme import Scheme
from torchq.search import ForgivingFactor, Knob, Outcome, Searcher, Space, TrialInfo

GOAL = ForgivingFactor("bits", reference=400.0)


def space(knobs: int = 3, options: int = 5) -> Space:
    return Space(tuple(Knob.units(f"fc{i}", range(1, options + 1)) for i in range(knobs)))


def evaluate(scheme: Scheme, info: TrialInfo) -> dict[str, float]:
    """More neurons are better and dearer, with a different weight for each layer."""
    counts = sorted(scheme.units.items())
    lost = sum(math.exp(-(1 + 0.3 * i) * count) for i, (_, count) in enumerate(counts))
    return {"accuracy": 0.8 - 0.5 * lost, "bits": 10.0 * sum(count for _, count in counts)}


def play(searcher: Searcher, trials: int, batch: int = 1) -> list[tuple[int, ...]]:
    """Ask, evaluate and tell; the points in the order they were proposed."""
    points = []
    while len(points) < trials:
        proposals = searcher.ask(batch)
        if not proposals:
            break
        for proposal in proposals:
            points.append(searcher.space.key(proposal.point))
            searcher.tell(proposal.number, judged(searcher.space, proposal.point))
    return points


def judged(where: Space, point: dict[str, int]) -> Outcome:
    metrics = evaluate(where.scheme(point), TrialInfo(0, 0, point))
    return Outcome(GOAL.values(metrics), GOAL.score(metrics))
