"""What quantization costs in training: ``python -m benchmarks.fake_quant``.

One training step (forward, cross entropy, backward, Adam) of the jet network 16-64-32-32-5 on a batch of
1024, in one thread: float torch, ours (eager, with the model compiled, with model and loss compiled as one)
and Brevitas with its fixed-point quantizers; the quantized ones have a quantized input and 6-bit weights,
biases and activations. They take turns in short rounds, so that a slow moment of the machine meets them all;
what is compared is the median CPU time.

Time from a profiler, per step, of where the difference to float goes: ``python -m benchmarks.fake_quant
--profile``.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torchq.convert import quantize
from torchq.models import jets_mlp
from torchq.scheme import Scheme

BATCH = 1024
SIZES = (16, 64, 32, 32, 5)
WARM_UP = 20
STATISTICS = 10
"""Steps in which Brevitas looks for its scales, which is slower; over when measuring starts."""
ROUNDS = 40
STEPS = 20

Step = Callable[[], None]


def float_model() -> nn.Module:
    return jets_mlp(seed=0)


def our_model() -> nn.Module:
    weight = "quantized_bits(6,0,alpha=1)"
    scheme = Scheme.uniform(
        weight=weight, bias=weight, output="quantized_relu(6,0)", input="quantized_bits(16,6,alpha=1)"
    )
    return quantize(jets_mlp(seed=0), scheme)


def brevitas_model() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import brevitas.nn as qnn
        from brevitas.quant import fixed_point as po2

        layers: list[nn.Module] = [
            qnn.QuantIdentity(
                act_quant=po2.Int8ActPerTensorFixedPoint, bit_width=16, collect_stats_steps=STATISTICS
            ),
        ]
        for index, (size, width) in enumerate(itertools.pairwise(SIZES)):
            linear = qnn.QuantLinear(
                size,
                width,
                bias=True,
                weight_quant=po2.Int8WeightPerTensorFixedPoint,
                weight_bit_width=6,
                bias_quant=po2.Int8BiasPerTensorFixedPointInternalScaling,
                bias_bit_width=6,
            )
            layers.append(linear)
            if index < len(SIZES) - 2:
                relu = po2.Uint8ActPerTensorFixedPoint
                layers.append(qnn.QuantReLU(act_quant=relu, bit_width=6, collect_stats_steps=STATISTICS))
    return nn.Sequential(*layers)


def training_step(model: nn.Module, x: Tensor, y: Tensor, compiled: str = "") -> Step:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    model.train()
    called = torch.compile(model, fullgraph=True, dynamic=False) if compiled == "model" else model

    def loss_of(x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(called(x), y)

    if compiled == "loss":
        loss_of = torch.compile(loss_of, fullgraph=True, dynamic=False)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss_of(x, y))
        optimizer.step()

    return step


def measure(steps: dict[str, Step], rounds: int = ROUNDS) -> dict[str, list[float]]:
    """CPU seconds of one step, a value a round."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            step()  # caches are the other models' now
            start = time.process_time()
            for _ in range(STEPS):
                step()
            times[name].append((time.process_time() - start) / STEPS)
    return times


def floor() -> tuple[float, float]:
    """What a step needs at least: floating-point operations, and bytes of activations and parameters.

    Each product is computed three times (forward, gradient of the input but of the first layer's, gradient
    of the weight). Each activation is written once and read twice, and so is its gradient; parameters,
    gradients and Adam's two moments are read, and all but the gradients written back.
    """
    pairs = list(itertools.pairwise(SIZES))
    products = [BATCH * a * b for a, b in pairs]
    flops = 2.0 * (3 * sum(products) - products[0])
    activations = 4 * BATCH * (2 * sum(SIZES[1:-1]) + SIZES[-1])
    parameters = 4 * sum(a * b + b for a, b in pairs)
    return flops, float(6 * activations + 4 * BATCH * SIZES[0] * 2 + 7 * parameters)


def machine() -> tuple[float, float]:
    """What one thread of this machine reaches: operations and bytes per second."""
    a, b = torch.randn(1024, 256), torch.randn(256, 256)
    big = torch.randn(16_000_000)

    def best(call: Callable[[], Any]) -> float:
        times = []
        for _ in range(7):
            start = time.process_time()
            call()
            times.append(time.process_time() - start)
        return min(times)

    return 2.0 * 1024 * 256 * 256 / best(lambda: a @ b), 8.0 * big.numel() / best(lambda: big.mul_(1.0))


def profile(steps: dict[str, Step]) -> None:
    for name, step in steps.items():
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as found:
            for _ in range(STEPS):
                step()
        print(f"\n{name}")
        print(
            found.key_averages().table(sort_by="self_cpu_time_total", row_limit=22, max_name_column_width=50)
        )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])  # type: ignore[union-attr]
    arguments.add_argument("--profile", action="store_true", help="show where the time goes")
    arguments.add_argument("--rounds", type=int, default=ROUNDS)
    options = arguments.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    x, y = torch.randn(BATCH, SIZES[0]), torch.randint(0, SIZES[-1], (BATCH,))
    steps = {
        "float": training_step(float_model(), x, y),
        "ours": training_step(our_model(), x, y),
        "ours, compiled": training_step(our_model(), x, y, compiled="loss"),
        "model compiled": training_step(our_model(), x, y, compiled="model"),
    }
    if importlib.util.find_spec("brevitas") is not None:
        steps["brevitas"] = training_step(brevitas_model(), x, y)
    for _ in range(WARM_UP):
        for step in steps.values():
            step()
    if options.profile:
        profile(steps)
        return
    times = measure(steps, options.rounds)
    report(times)


def report(times: dict[str, list[float]]) -> None:
    medians = {name: statistics.median(values) for name, values in times.items()}
    base = medians["float"]
    print(
        f"16-64-32-32-5, batch {BATCH}, torch {torch.__version__}, one thread, {len(times['float'])} rounds"
    )
    print(f"{'':16} {'CPU ms':>8} {'quartiles':>16} {'x float':>8} {'steps/s':>8}")
    for name, values in times.items():
        low, _, high = (1e3 * t for t in statistics.quantiles(values, n=4))
        spread = f"{low:.2f} to {high:.2f}"
        row = f"{1e3 * medians[name]:8.2f} {spread:>16} {medians[name] / base:8.2f} {1 / medians[name]:8.0f}"
        print(f"{name:16} {row}")
    flops, moved = floor()
    rate, width = machine()
    print(
        f"floor: {flops / 1e6:.1f} MFLOP at {rate / 1e9:.0f} GFLOP/s = {1e3 * flops / rate:.2f} ms;", end=" "
    )
    print(f"{moved / 1e6:.1f} MB at {width / 1e9:.1f} GB/s = {1e3 * moved / width:.2f} ms (if not in caches)")
    rows = [("ours / float", medians["ours"] / base, "at most 2.0", medians["ours"] <= 2.0 * base)]
    for name in ("ours, compiled", "model compiled"):
        compiled = medians[name] / base
        rows.append((f"{name} / float", compiled, "at most 1.3", compiled <= 1.3))
    if "brevitas" in medians:
        ratio = medians["brevitas"] / medians["ours"]
        rows.append(("brevitas / ours", ratio, "at least 2.5", ratio >= 2.5))
    else:
        print("Brevitas is not installed; pip install 'torchq[brevitas]'")
    for what, ratio, target, met in rows:
        print(f"{what:24} {ratio:5.2f}   target {target:14} {'met' if met else 'missed'}")


if __name__ == "__main__":
    main()
