"""What stacking gains in training: ``python -m benchmarks.stacked [--peer-python /path/to/venv/bin/python]``.

The jet network 16-64-32-32-5 with a 16-bit input and weights, biases and activations of 4 to 7 bits, trained
by ``fit`` alone (as torch runs it) and by ``fit_many``, 32 and 128 candidates at once, compiled, in stacks of
the size that it picks, each candidate with its own quantizers, seed and sample order. They take turns in
short rounds, so that a slow moment of the machine meets them all; what is compared is the median CPU time of
one epoch, drawing the order of samples, validation (on 1,024 samples) and keeping the best weights included.
One thread, pinned to one core.

With ``--peer-python``, the Python of an environment that has HGQ2 and JAX, HGQ2 with fixed 6 bits trains the
same network on as many samples in the same rounds (``benchmarks/peers/hgq2.py``); samples are rows, times
candidates for a stack.
"""

from __future__ import annotations

import argparse
import itertools
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import torch
from torch import nn

from benchmarks.fake_quant import SIZES, machine
from torchq.convert import quantize
from torchq.models import jets_mlp
from torchq.scheme import Scheme
from torchq.train import fit
from torchq.train.stacked import StackReport, fit_many

TARGETS = {128: 12.0, 1024: 3.0}
PEER_TARGET = 1.3
ROUNDS = 7
PEER_SAMPLES = 100_000
VALID = 1024
STEPS = {128: 100, 1024: 32}
"""Training steps of an epoch, by batch."""

Samples = tuple[torch.Tensor, torch.Tensor]
Epoch = Callable[[], float]
"""Trains; the CPU seconds of an epoch."""
Make = Callable[[int], nn.Module]
"""The candidate of a number."""


def candidate(number: int) -> nn.Module:
    bits = 4 + number % 4
    weight = f"quantized_bits({bits},0,alpha=1)"
    scheme = Scheme.uniform(
        weight=weight,
        bias=weight,
        output=f"quantized_relu({bits},{number % 3})",
        input="quantized_bits(16,6,alpha=1)",
    )
    return quantize(jets_mlp(seed=number), scheme)


def samples(rows: int) -> Samples:
    random = torch.Generator().manual_seed(0)
    return torch.randn(rows, SIZES[0], generator=random), torch.randint(0, 5, (rows,), generator=random)


def alone(batch: int, train: Samples, valid: Samples, make: Make = candidate) -> Epoch:
    model = make(0)

    def epoch() -> float:
        times = [time.process_time()]
        fit(
            model,
            train,
            valid,
            epochs=2,
            batch_size=batch,
            on_epoch=lambda _: times.append(time.process_time()),
        )
        return times[-1] - times[-2]

    return epoch


def stacked(count: int, batch: int, train: Samples, valid: Samples, make: Make = candidate) -> Epoch:
    models = [make(number) for number in range(count)]

    def epoch() -> float:
        """The second epochs of all stacks, which are trained one after the other."""
        ends: dict[int, list[float]] = {number: [] for number in range(count)}
        reports: list[StackReport] = []
        fit_many(
            models,
            train,
            valid,
            epochs=2,
            batch_size=batch,
            seeds=range(count),
            compile=True,
            on_epoch=lambda number, _: ends[number].append(time.process_time()),
            on_report=reports.append,
        )
        (report,) = reports
        if not report.compiled or report.alone:
            raise SystemExit(report.summary())
        last = [ends[chunk[-1]] for chunk in report.chunks]
        return sum(second - first for first, second in last)

    return epoch


@contextmanager
def peer(python: str, batch: int, rows: int, steps: int) -> Iterator[Epoch]:
    """HGQ2 in a process of its own, on the same core."""
    script = Path(__file__).parent / "peers" / "hgq2.py"
    command = [python, str(script), str(batch), str(rows), str(steps)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        out, ask = cast("IO[str]", process.stdout), cast("IO[str]", process.stdin)

        def answer() -> float:
            for line in out:
                if line.startswith("EPOCH "):
                    return float(line.removeprefix("EPOCH "))
            raise SystemExit(f"{' '.join(command)}: ended without an answer; run it to see why")

        def epoch() -> float:
            ask.write("go\n")
            ask.flush()
            return answer()

        answer()
        yield epoch
        ask.close()
        process.wait(timeout=60)


def measured(epochs: dict[str, Epoch], rounds: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in epochs}
    for _ in range(rounds):
        for name, epoch in epochs.items():
            times[name].append(epoch())
    return times


def floor(batch: int) -> tuple[float, float]:
    """What a step of one candidate needs at least: floating-point operations, and bytes.

    Each product is computed three times (forward, gradient of the input but of the first layer's, gradient
    of the weight). Before and after its quantizer an activation is written once and read twice; its gradient
    is written and read twice. Parameters, gradients and Adam's two moments are read, and all but the
    gradients written back.
    """
    pairs = list(itertools.pairwise(SIZES))
    products = [batch * a * b for a, b in pairs]
    values = batch * (SIZES[0] + 2 * sum(SIZES[1:-1]) + SIZES[-1])
    parameters = sum(a * b + b for a, b in pairs)
    return 2.0 * (3 * sum(products) - products[0]), 4.0 * (3 * values + 4 * values + 8 * parameters)


def spread(values: list[float]) -> str:
    return f"{min(values):,.0f} to {max(values):,.0f}"


def stacks(rounds: int) -> None:
    """Candidate-steps per CPU second."""
    flops_per_s, bytes_per_s = machine()
    for batch, target in TARGETS.items():
        train, valid = samples(batch * STEPS[batch]), samples(VALID)
        one = alone(batch, train, valid)
        many = {count: stacked(count, batch, train, valid) for count in (32, 128)}
        one()
        start = sum(os.times()[:4])  # the C compiler is another process
        many[32]()
        print(f"\nbatch {batch}: first stack {sum(os.times()[:4]) - start:.1f} CPU s, compiling included")
        many[128]()
        times = measured({"1 alone": one, **{f"{k} stacked": epoch for k, epoch in many.items()}}, rounds)
        counts = {"1 alone": 1, "32 stacked": 32, "128 stacked": 128}
        rates = {name: [counts[name] * STEPS[batch] / t for t in ts] for name, ts in times.items()}
        base = statistics.median(rates["1 alone"])
        print(f"{'':12} {'candidate-steps/CPU s':>22} {'least to most':>18} {'x alone':>8}")
        for name, values in rates.items():
            middle = statistics.median(values)
            verdict = ""
            if name != "1 alone":
                verdict = f"   target {target:g}: {'met' if middle / base >= target else 'missed'}"
            print(f"{name:12} {middle:22,.0f} {spread(values):>18} {middle / base:8.1f}{verdict}")
        flops, moved = floor(batch)
        seconds = 1 / max(statistics.median(rates[name]) for name in ("32 stacked", "128 stacked"))
        print(
            f"floor of a candidate's step: {flops / 1e6:.2f} MFLOP at {flops_per_s / 1e9:.0f} GFLOP/s = "
            f"{1e6 * flops / flops_per_s:.0f} us, {moved / 1e6:.2f} MB at {bytes_per_s / 1e9:.1f} GB/s = "
            f"{1e6 * moved / bytes_per_s:.0f} us (if not in caches); it takes {1e6 * seconds:.0f} us, "
            f"{seconds * flops_per_s / flops:.1f} times the arithmetic"
        )


def against_peer(python: str, rounds: int, steps: int) -> None:
    """Samples per CPU second at batch 1024."""
    train, valid = samples(PEER_SAMPLES), samples(VALID)
    ours = stacked(32, 1024, train, valid)
    ours()
    with peer(python, 1024, PEER_SAMPLES, 1) as plain, peer(python, 1024, PEER_SAMPLES, steps) as several:
        names = {
            "32 stacked": ours,
            "HGQ2 on JAX, fixed 6 bit": plain,
            f"the same, {steps} steps a call": several,
        }
        times = measured(names, rounds)
    counts = {name: 32 * PEER_SAMPLES if name == "32 stacked" else PEER_SAMPLES for name in times}
    rates = {name: [counts[name] / t / 1e3 for t in ts] for name, ts in times.items()}
    print("\nbatch 1024, thousand samples per CPU second")
    for name, values in rates.items():
        print(f"{name:28} {statistics.median(values):8,.0f} {spread(values):>18}")
    mine = statistics.median(rates.pop("32 stacked"))
    for name, values in rates.items():
        ratio = mine / statistics.median(values)
        verdict = "met" if ratio >= PEER_TARGET else "missed"
        print(f"32 stacked / {name}: {ratio:.2f}   target {PEER_TARGET:g}: {verdict}")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--peer-python", help="the Python of an environment that has HGQ2 and JAX")
    arguments.add_argument("--peer-steps", type=int, default=49, help="steps of the peer's second way")
    arguments.add_argument("--rounds", type=int, default=ROUNDS)
    arguments.add_argument("--cnn", action="store_true", help="small convolutional networks instead")
    options = arguments.parse_args()
    torch.set_num_threads(1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    print(
        f"torch {torch.__version__}, Python {platform.python_version()}, one thread on one core, "
        f"{options.rounds} rounds, load {os.getloadavg()[0]:.1f}"
    )
    if options.cnn:
        from benchmarks.stacked_images import images

        images(options.rounds)
    else:
        stacks(options.rounds)
    if options.peer_python:
        against_peer(options.peer_python, options.rounds, options.peer_steps)
    print(f"\nload {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
