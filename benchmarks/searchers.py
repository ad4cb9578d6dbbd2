"""Searchers side by side on a cheap problem shaped like the real one: ``python -m benchmarks.searchers``.

The problem is a 16-64-32-32-5 network with a width for every weight, activation and the input and a number
of neurons for every hidden layer: 11 knobs, 232 million points. Accuracy and energy are formulas, so a trial
costs nothing and what is left is the searcher: how good its points are, and how long it takes to find them.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import statistics
import tempfile
from collections.abc import Mapping
from pathlib import Path

from torchq.quantizers import parse
from torchq.scheme import Scheme
from torchq.search import (
    SEARCHERS,
    ForgivingFactor,
    Goal,
    Knob,
    MultiObjective,
    SearchResult,
    Space,
    TrialInfo,
    hypervolume,
    run_search,
)

FEATURES, CLASSES = 16, 5
HIDDEN = {"fc1": 64, "fc2": 32, "fc3": 32}
LAYERS = (*HIDDEN, "output")
NEED = {
    "input": 2.4,
    "fc1": 1.6,
    "fc2": 1.3,
    "fc3": 1.2,
    "output": 1.5,
    "relu1": 1.8,
    "relu2": 1.5,
    "relu3": 1.5,
}
CROWD = {"fc1": 0.12, "fc2": 0.06, "fc3": 0.05}
NOISE = 0.0015
FLOAT_ACCURACY = 0.766
"""How accurate the imagined network is, how fast each width saturates, and what a lost neuron costs."""


def space() -> Space:
    """11 knobs: widths 2 to 8 for weights, 3 to 8 for activations, 4 to 10 for the input, neurons."""
    knobs = [Knob.input(f"quantized_bits({bits},3,alpha=1)" for bits in range(4, 11))]
    for layer in LAYERS:
        knobs.append(
            Knob.quantizer(layer, "weight", (f"quantized_bits({bits},0,alpha=1)" for bits in range(2, 9)))
        )
    for index, (layer, most) in enumerate(HIDDEN.items(), 1):
        knobs.append(
            Knob.quantizer(f"relu{index}", "output", (f"quantized_relu({bits},2)" for bits in range(3, 9)))
        )
        knobs.append(Knob.units(layer, (most // 4, most // 2, 3 * most // 4, most)))
    return Space(tuple(knobs))


def price(widths: Mapping[str, int], units: Mapping[str, int]) -> dict[str, float]:
    """Energy (a multiplication costs the product of its widths) and bits of such a network."""
    energy, bits, sizes = 0.0, 0.0, [FEATURES, *(units[name] for name in HIDDEN), CLASSES]
    sources = ("input", "relu1", "relu2", "relu3")
    for layer, source, fan_in, fan_out in zip(LAYERS, sources, sizes, sizes[1:], strict=False):
        product = widths[layer] * widths[source]
        adder = widths[layer] + widths[source] + math.log2(fan_in)
        energy += fan_in * fan_out * (0.003 * product + 0.0031 * adder)
        bits += (fan_in + 1) * fan_out * widths[layer]
    return {"energy_pj": energy, "bits": bits}


def evaluate(scheme: Scheme, info: TrialInfo) -> dict[str, float]:
    """Formulas in place of a training, with noise that depends on the point alone."""
    texts = {layer: scheme.slot(layer, "weight") for layer in LAYERS}
    texts |= {name: scheme.slot(name, "output") for name in ("relu1", "relu2", "relu3")}
    texts["input"] = scheme.input
    widths = {name: parse(text).bits for name, text in texts.items() if text is not None}
    lost = sum(0.25 * math.exp(-NEED[name] * (bits - 1.5)) for name, bits in widths.items())
    lost += sum(CROWD[name] * (most / scheme.units[name] - 1) / 10 for name, most in HIDDEN.items())
    digest = hashlib.sha256(repr(sorted(info.point.items())).encode()).digest()
    noise = NOISE * (int.from_bytes(digest[:4], "big") / 2**31 - 1)
    return {"accuracy": FLOAT_ACCURACY * math.exp(-lost) + noise, **price(widths, scheme.units)}


REFERENCE = price(dict.fromkeys(NEED, 16), HIDDEN)
"""The costs of the same network with 16 bits everywhere."""


def goals() -> dict[str, Goal]:
    """Both goals, as the recipes set them."""
    energy = REFERENCE["energy_pj"]
    return {
        "forgiving_factor": ForgivingFactor("energy_pj", energy),
        "multi_objective": MultiObjective("energy_pj", FLOAT_ACCURACY - 0.05, energy / 4),
    }


def best_score(result: SearchResult) -> float:
    """The highest forgiving factor of all trials, whatever was searched for."""
    goal = goals()["forgiving_factor"]
    return max(goal.score(trial.metrics) for trial in result.trials)


def covered(result: SearchResult) -> float:
    """The area over the thresholds (5 points lost, 4 times less energy), in points times factors of e."""
    goal = goals()["multi_objective"]
    corner = [objective.threshold or 0.0 for objective in goal.objectives]
    return 100 * hypervolume([goal.trade(trial.metrics) for trial in result.trials], corner)


def search(searcher: str, goal: str, seed: int, trials: int, batch: int) -> SearchResult:
    """One search, from the dearest point and the middle of the space."""
    with tempfile.TemporaryDirectory() as folder:
        return run_search(
            space(),
            evaluate,
            goal=goals()[goal],
            trials=trials,
            journal=Path(folder) / "journal.jsonl",
            searcher=searcher,
            seed=seed,
            start=[space().at(1.0), space().at(0.5)],
            batch=batch,
        )


def asked(result: SearchResult) -> str:
    """Seconds to propose all trials, and to propose one around trial 10, 20, ..."""
    asks = [trial.ask_s for trial in result.trials]
    spots = [i for i in (10, 20, 30, 40, 60, 80, 100) if i <= len(asks)]
    return f"{result.ask_s:7.1f}" + "".join(f"  {i}: {statistics.fmean(asks[i - 5 : i]):.2f}" for i in spots)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--goals", nargs="+", choices=list(goals()), default=list(goals()))
    parser.add_argument("--searchers", nargs="+", choices=list(SEARCHERS), default=list(SEARCHERS))
    given = parser.parse_args()
    print(f"{'goal':18}{'searcher':10}{'seed':>5}{'score':>9}{'area':>8}  seconds to ask: all, one at trial")
    for goal in given.goals:
        for searcher in given.searchers:
            figures = []
            for seed in range(given.seeds):
                result = search(searcher, goal, seed, given.trials, given.batch)
                figures.append((best_score(result), covered(result)))
                score, area = figures[-1]
                print(f"{goal:18}{searcher:10}{seed:5}{score:9.4f}{area:8.3f}{asked(result)}", flush=True)
            score, area = (statistics.fmean(column) for column in zip(*figures, strict=True))
            print(f"{goal:18}{searcher:10} mean{score:9.4f}{area:8.3f}", flush=True)


if __name__ == "__main__":
    main()
