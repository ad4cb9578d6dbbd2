"""Searchers side by side after equal trials: ``python -m benchmarks.searchers``.

Every searcher gets the same number of trials, the same batches, the same seeds and nothing from another one.
The problem is the jet network 16-64-32-32-5 with knobs for the widths of weights and activations and for the
neurons of every hidden layer; each trial trains the float network on as a quantized one (the trials of a
batch as one stack) and prices it. What counts is the hypervolume of accuracy and energy above the thresholds:
at most 5 points of accuracy lost against the float network, and at least 4 times less energy than 16 bits
everywhere; in points times factors of e. ``--problem formulas`` puts formulas in the place of training.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks import searcher_formulas as formulas
from torchq.autoq.evaluation import TrainAndPrice
from torchq.autoq.training import Training
from torchq.data import load
from torchq.models import jets_mlp
from torchq.scheme import Scheme
from torchq.search import (
    SEARCHERS,
    Evaluation,
    Knob,
    MultiObjective,
    SearchResult,
    Space,
    hypervolume,
    run_search,
)
from torchq.train import fit

TRAIN, VALID = 16_000, 8_000
LOST, LOWER = 0.05, 4.0


@dataclass(frozen=True)
class Problem:
    """Where to search, for what, and by which evaluation."""

    space: Space
    goal: MultiObjective
    evaluate: Evaluation


def jets_space() -> Space:
    """10 knobs, 112 million points."""
    knobs = []
    for layer, counts in (("fc1", (16, 24, 32, 48, 64)), ("fc2", (8, 16, 24, 32)), ("fc3", (8, 16, 24, 32))):
        knobs += [_weights(layer), Knob.units(layer, counts)]
    for place in (1, 2, 3):
        knobs.append(
            Knob.quantizer(f"relu{place}", "output", (f"quantized_relu({bits},2)" for bits in range(2, 9)))
        )
    knobs.append(_weights("output"))
    base = Scheme.uniform(bias="quantized_bits(6,0,alpha=1)", input="quantized_bits(16,6,alpha=1)")
    return Space(tuple(knobs), base)


def _weights(layer: str) -> Knob:
    texts = ["ternary(alpha=1)", *(f"quantized_bits({bits},0,alpha=1)" for bits in range(2, 9))]
    return Knob.quantizer(layer, "weight", texts)


def jets(epochs: int) -> Problem:
    """The jet network, its float weights trained once, for all searchers."""
    data = load("jets")
    train, valid = (
        (torch.as_tensor(part.x)[:count], torch.as_tensor(part.y)[:count])
        for part, count in ((data.train, TRAIN), (data.valid, VALID))
    )
    model = jets_mlp(seed=0)
    history = fit(model, train, valid, epochs=20, batch_size=512, lr=1e-2, seed=0)
    space = jets_space()
    evaluate = TrainAndPrice(
        model, train, valid, space, training=Training(epochs=epochs, batch_size=512), costs=("energy_pj",)
    )
    wide = "quantized_bits(16,6,alpha=1)"
    dearest = evaluate.priced(Scheme.uniform(wide, wide, "quantized_relu(16,6)", wide))["energy_pj"]
    accuracy = history.best.valid_accuracy
    print(f"float accuracy {100 * accuracy:.2f} %, 16 bits everywhere {dearest:.0f} pJ", flush=True)
    return Problem(space, MultiObjective("energy_pj", accuracy - LOST, dearest / LOWER), evaluate)


def covered(problem: Problem, result: SearchResult) -> float:
    """The area over the thresholds, in points of accuracy times factors of e."""
    corner = [objective.threshold or 0.0 for objective in problem.goal.objectives]
    trades = [problem.goal.trade(trial.metrics) for trial in result.trials if trial.final]
    return 100 * hypervolume(trades, corner)


def search(problem: Problem, searcher: str, seed: int, trials: int, batch: int) -> SearchResult:
    """One search from nothing."""
    with tempfile.TemporaryDirectory() as folder:
        return run_search(
            problem.space,
            problem.evaluate,
            goal=problem.goal,
            trials=trials,
            journal=Path(folder) / "journal.jsonl",
            searcher=searcher,
            seed=seed,
            batch=batch,
        )


def compare(problem: Problem, searchers: Sequence[str], seeds: int, trials: int, batch: int) -> None:
    """Search with each, seed by seed, and print what each reached."""
    areas: dict[str, list[float]] = {searcher: [] for searcher in searchers}
    print(f"{'seed':>4}  {'searcher':11}{'area':>8}{'wall s':>8}{'asking s':>10}{'share':>7}  area so far")
    for seed in range(seeds):
        for searcher in searchers:
            before = time.perf_counter()
            result = search(problem, searcher, seed, trials, batch)
            wall_s = time.perf_counter() - before
            area = covered(problem, result)
            areas[searcher].append(area)
            curve = " ".join(f"{100 * value:.2f}" for _, value in result.reached)
            print(
                f"{seed:4}  {searcher:11}{area:8.3f}{wall_s:8.1f}{result.ask_s:10.1f}"
                f"{result.ask_s / wall_s:7.1%}  {curve}",
                flush=True,
            )
    for searcher, column in areas.items():
        ahead = ""
        if searcher != "random" and "random" in areas:
            won = sum(own > other for own, other in zip(column, areas["random"], strict=True))
            gain = statistics.fmean(column) / statistics.fmean(areas["random"])
            ahead = f"   {gain:.2f} times random's, ahead in {won} of {seeds} seeds"
        print(f"mean  {searcher:11}{statistics.fmean(column):8.3f}{ahead}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--problem", choices=["jets", "formulas"], default="jets")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=64)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument(
        "--searchers", nargs="+", choices=list(SEARCHERS), default=["ax", "evolution", "random"]
    )
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.problem == "jets":
        problem = jets(given.epochs)
    else:
        problem = Problem(formulas.space(), formulas.goal(), formulas.evaluate)
    size = f"{len(problem.space.knobs)} knobs, {problem.space.cardinality:,} points"
    print(f"{given.trials} trials in batches of {given.batch}, {size}")
    compare(problem, given.searchers, given.seeds, given.trials, given.batch)


if __name__ == "__main__":
    main()
