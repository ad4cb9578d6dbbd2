"""The same search by AutoQKeras and here: ``python -m benchmarks.autoqkeras --peer-python PYTHON``.

Both search the same space for a 16-64-32-32-5 network (AutoQKeras's own configuration, read by
``from_autoqkeras``), on the same jets, with the same number of epochs, batch, learning rate and score, each
in a process of its own on one core. AutoQKeras trains every trial from random weights. Here, as in every
search of torchq, trials begin with the weights of a float network, which one epoch inside the clock trains
from random ones; new points are trained for a third of the length first, and only whole trainings count.

Seconds are CPU seconds since the search began; compiling is counted. ``PYTHON`` is the interpreter of an
environment with QKeras, see ``benchmarks/peers/autoqkeras.py``.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from torchq.autoq import TrainAndPrice, Training
from torchq.data import load
from torchq.models import jets_mlp
from torchq.quantizers import parse
from torchq.search import Space, Trial, run_search
from torchq.search.autoqkeras import from_autoqkeras
from torchq.search.autoqkeras_limits import with_alpha
from torchq.train import History
from torchq.train.stacked import fit_many

UNITS = (64, 32, 32)
EPOCHS, BATCH, RATE = 3, 1024, 1e-2
PEER_TRIALS, STACK = 50, 8
CONFIG: dict[str, Any] = {
    "quantization_config": {
        "kernel": {
            "binary(alpha=1.0)": 1,
            "ternary(alpha=1.0)": 2,
            "quantized_bits(2,1,1,alpha=1.0)": 2,
            "quantized_bits(4,0,1,alpha=1.0)": 4,
            "quantized_bits(6,0,1,alpha=1.0)": 6,
            "quantized_bits(8,0,1,alpha=1.0)": 8,
            "quantized_po2(4,1)": 4,
        },
        "bias": {"quantized_bits(4,0,1)": 4, "quantized_bits(8,3,1)": 8, "quantized_po2(4,8)": 4},
        "activation": {
            f"quantized_relu({text})": int(text[0]) for text in ("2,1", "3,1", "4,2", "6,2", "8,2")
        },
        "linear": {"quantized_bits(8,3,1)": 8},
    },
    "limit": {"Dense": [8, 8, 8], "Activation": [8], "BatchNormalization": []},
    "goal": {
        "type": "energy",
        "params": {
            "delta_p": 8.0,
            "delta_n": 8.0,
            "rate": 2.0,
            "stress": 1.0,
            "process": "horowitz",
            "parameters_on_memory": ["sram", "sram"],
            "activations_on_memory": ["sram", "sram"],
            "rd_wr_on_io": [False, False],
            "min_sram_size": [0, 0],
            "reference_internal": "int8",
            "reference_accumulator": "int32",
        },
    },
}
INPUT = "quantized_bits(8,3,alpha=1)"
"""What QTools takes the input of the network for."""


def samples(path: Path | None, rows: int) -> dict[str, np.ndarray]:
    """Standardised jets: ``rows`` to train and a fifth as many to validate, or all there are of a file."""
    if path is None:
        data = load("jets")
        x = np.concatenate([data.train.x, data.valid.x, data.test.x])
        y = np.concatenate([data.train.y, data.valid.y, data.test.y])
    else:
        with np.load(path) as arrays:
            x, y = arrays["X"].astype(np.float64), arrays["y"]
    rows = min(rows, len(x) * 5 // 6)
    x = (x - x[:rows].mean(axis=0)) / x[:rows].std(axis=0)
    x, y = x.astype(np.float32), y.astype(np.int64)
    last = rows + rows // 5
    return {"x": x[:rows], "y": y[:rows], "valid_x": x[rows:last], "valid_y": y[rows:last]}


def ours(samples_file: str, configuration: str, out: str) -> None:
    """Search here and write down every trial; runs in a process of its own."""
    began = time.perf_counter(), _cpu_s()
    torch.set_num_threads(1)
    given = json.loads(Path(configuration).read_text())
    with np.load(samples_file) as arrays:
        x, y, valid_x, valid_y = (arrays[name] for name in ("x", "y", "valid_x", "valid_y"))
    config = {name: given[name] for name in ("quantization_config", "limit", "goal")}
    model = _float(_pairs((x, y), (valid_x, valid_y)), given)
    search = from_autoqkeras(config, model, input=INPUT, learning_rate=given["lr"])
    goal = search.goal(model, x.shape[1:])
    evaluate = TrainAndPrice(
        model,
        (x, y),
        (valid_x, valid_y),
        search.space,
        training=Training(given["epochs"], given["batch_size"], given["lr"], schedule="constant"),
        costs=[goal.cost],
        cost_settings=search.cost_settings,
        trials=given["trials"],
        exportable=False,
    )
    found: list[dict[str, Any]] = []

    def note(trial: Trial) -> None:
        found.append(
            {
                "wall_s": time.perf_counter() - began[0],
                "cpu_s": _cpu_s() - began[1],
                "score": trial.score,
                "fidelity": trial.fidelity,
                "metrics": dict(trial.metrics),
                "choices": dict(trial.point),
            }
        )

    with tempfile.TemporaryDirectory() as folder:
        result = run_search(
            search.space,
            evaluate,
            goal=goal,
            trials=given["trials"],
            journal=Path(folder) / "trials.jsonl",
            searcher=given["searcher"],
            options={"short": given["short"], "initial": STACK} if given["searcher"] == "gaussian" else {},
            seed=given["seed"],
            batch=STACK,
            price=evaluate.price if evaluate.priced_early else None,
            on_trial=note,
        )
    costs = [_price(search.space, evaluate, choices)[goal.cost] for choices in given["check"]]
    answer = {
        "trials": found,
        "wall_s": time.perf_counter() - began[0],
        "cpu_s": _cpu_s() - began[1],
        "ask_s": result.ask_s,
        "notes": [*result.notes, evaluate.log.text(), *evaluate.log.reasons],
        "costs": costs,
        "deltas": [goal.delta(cost) for cost in costs],
    }
    Path(out).write_text(json.dumps(answer))


def _float(pairs: list[tuple[torch.Tensor, torch.Tensor]], given: Mapping[str, Any]) -> nn.Module:
    """The float network after one epoch, the best of four as one stack."""
    (x, y), _ = pairs
    seeds = range(given["seed"], given["seed"] + 4)
    shape = {"inputs": x.shape[1], "units": given["units"], "classes": int(y.max()) + 1}
    models = [jets_mlp(**shape, seed=seed) for seed in seeds]
    learning = {"batch_size": given["batch_size"], "lr": given["lr"], "schedule": "constant"}
    found = fit_many(models, *pairs, epochs=1, seeds=seeds, **learning)
    losses = [trained.best.valid_loss if isinstance(trained, History) else math.inf for trained in found]
    return models[losses.index(min(losses))]


def _pairs(*parts: tuple[np.ndarray, np.ndarray]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return [(torch.from_numpy(x), torch.from_numpy(y)) for x, y in parts]


def _cpu_s() -> float:
    """Seconds of CPU time of this process and of the compilers that it waited for."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _price(space: Space, evaluate: TrainAndPrice, choices: Mapping[str, str]) -> dict[str, float]:
    """What AutoQKeras's choices cost here."""
    point = {}
    for name, text in choices.items():
        layer, role, _ = name.split("_")
        slot = {"kernel": "weight"}.get(role, role)
        knob = next(knob for knob in space.knobs if knob.name == f"{layer}.{slot}")
        point[knob.name] = knob.options.index(str(parse(with_alpha(text, role))))
    return evaluate.priced(space.scheme(point))


def _run(command: list[str], core: int) -> None:
    """On one core, with one thread, and with nothing in the compiler's cache."""
    with tempfile.TemporaryDirectory() as cache:
        one = {"OMP_NUM_THREADS": "1", "TORCHINDUCTOR_COMPILE_THREADS": "1", "TORCHINDUCTOR_CACHE_DIR": cache}
        place = ["taskset", "-c", str(core)] if sys.platform == "linux" else []
        done = subprocess.run(
            [*place, *command], env={**os.environ, **one}, capture_output=True, text=True, check=False
        )
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-3000:]}")


def _full(trials: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those that were trained for the whole length, and did not fail."""
    return [trial for trial in trials if trial["score"] is not None and trial.get("fidelity", 1.0) == 1.0]


def _told(name: str, answer: Mapping[str, Any]) -> float:
    """Print a search; its trials an hour of CPU time, a shorter one counting as the part that it is."""
    trials = answer["trials"]
    whole = sum(trial.get("fidelity", 1.0) for trial in trials)
    rate = 3600 * whole / answer["cpu_s"]
    best = max(_full(trials), key=lambda trial: float(trial["score"]))
    print(
        f"{name}: {len(trials)} trials ({whole:.0f} by their length) in {answer['cpu_s']:.1f} CPU s "
        f"({answer['wall_s']:.1f} s of time), {rate:,.0f} trials an hour; "
        f"best score {best['score']:.4f} after {best['cpu_s']:.1f} CPU s"
    )
    return rate


def main() -> None:
    """Run both searches and print the two ratios."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.autoqkeras", description=__doc__)
    parser.add_argument("--peer-python", required=True, help="an interpreter that can import QKeras")
    parser.add_argument(
        "--mode", default="bayesian", choices=("random", "bayesian"), help="AutoQKeras's search"
    )
    parser.add_argument("--searcher", default="gaussian", help="ours")
    parser.add_argument("--short", type=float, default=1 / 3, help="length of its first trainings (gaussian)")
    parser.add_argument("--trials", type=int, default=128, help="of our search; AutoQKeras does 50")
    parser.add_argument("--data", type=Path, help=".npz with X and y; by default the embedded jets")
    parser.add_argument("--rows", type=int, default=100_000, help="to train, at most")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for the answers of both")
    given = parser.parse_args()
    arrays = samples(given.data, given.rows)
    print(
        f"{len(arrays['x']):,} jets to train, {len(arrays['valid_x']):,} to validate; "
        f"{EPOCHS} epochs, batch {BATCH}"
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(folder / "samples.npz", **arrays)
        common = {
            **CONFIG,
            "units": UNITS,
            "epochs": EPOCHS,
            "batch_size": BATCH,
            "lr": RATE,
            "seed": given.seed,
        }
        (folder / "peer.json").write_text(json.dumps({**common, "mode": given.mode, "trials": PEER_TRIALS}))
        peer = [given.peer_python, str(Path(__file__).parent / "peers" / "autoqkeras.py")]
        _run(
            [*peer, *(str(folder / name) for name in ("samples.npz", "peer.json", "peer_out.json"))],
            given.core,
        )
        theirs = json.loads((folder / "peer_out.json").read_text())
        rate = _told(f"AutoQKeras, {given.mode}", theirs)
        check = [trial["choices"] for trial in theirs["trials"]]
        here = {
            **common,
            "searcher": given.searcher,
            "short": given.short,
            "trials": given.trials,
            "check": check,
        }
        (folder / "here.json").write_text(json.dumps(here))
        files = [str(folder / name) for name in ("samples.npz", "here.json", "here_out.json")]
        _run([sys.executable, "-m", "benchmarks.autoqkeras", "--here", *files], given.core)
        found = json.loads((folder / "here_out.json").read_text())
    own_rate = _told(f"torchq, {given.searcher}", found)
    print(f"  asked for points in {found['ask_s']:.1f} s; {'; '.join(found['notes'])}")
    sizes = [trial["metrics"]["val_trial"] for trial in theirs["trials"]]
    worst = max(abs(cost - size) / size for cost, size in zip(found["costs"], sizes, strict=True))
    print(f"  AutoQKeras's {len(sizes)} schemes priced here: energies within {100 * worst:.1f} % of its own")
    print(f"trials an hour, torchq / AutoQKeras: {own_rate / rate:.1f} (target: 8)")
    for trial, delta in zip(theirs["trials"], found["deltas"], strict=True):
        trial["score"] = trial["metrics"]["val_acc"] * (1 + delta)
    best = max(theirs["trials"], key=lambda trial: trial["score"])
    score, took = best["score"], best["cpu_s"]
    print(f"AutoQKeras's best trial by our prices: {score:.4f} after {took:.1f} CPU s")
    reached = [trial["cpu_s"] for trial in _full(found["trials"]) if trial["score"] >= score]
    if reached:
        print(f"reached after {reached[0]:.1f} CPU s: {took / reached[0]:.1f} times sooner (target: 20)")
    else:
        print("not reached (target: 20 times sooner)")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--here"]:
        ours(*sys.argv[2:])
    else:
        main()
