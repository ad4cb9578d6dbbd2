"""How long one cost estimate of the jet network takes: ``python -m benchmarks.cost``.

A search asks for one estimate a trial, on a graph that is traced already.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from torch import nn

from torchq.cost import TARGETS, estimate, in_formats, workloads_of
from torchq.cost.reference import BF
from torchq.graph import trace, workloads
from torchq.nn import QInput, QLinear, QReLU


def jet_network() -> nn.Sequential:
    weight, relu = "quantized_bits(6,0,alpha=1)", "quantized_relu(6,0)"
    layers: list[nn.Module] = [QInput("quantized_bits(16,6,alpha=1)")]
    sizes = (16, 64, 32, 32, 5)
    for i in range(4):
        layers.append(QLinear(sizes[i], sizes[i + 1], weight_quantizer=weight, bias_quantizer=weight))
        if i < 3:
            layers.append(QReLU(relu))
    return nn.Sequential(*layers)


def milliseconds(call: Callable[[], object], repeats: int = 200) -> tuple[float, float]:
    """Median and 95th percentile."""
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times), statistics.quantiles(times, n=20)[-1]


def main() -> None:
    torch.set_num_threads(1)
    model = jet_network()
    graph = trace(model)
    works = workloads_of(graph)
    rows: list[tuple[str, Callable[[], object]]] = [
        ("trace the model", lambda: trace(model)),
        ("state the work of a traced graph", lambda: workloads(graph)),
        ("estimate, traced graph, all targets", lambda: estimate(graph, targets=list(TARGETS))),
        ("estimate, workloads, all targets", lambda: estimate(works, targets=list(TARGETS))),
        *(
            (f"estimate, workloads, {name}", lambda name=name: estimate(works, targets=[name]))
            for name in TARGETS
        ),
        ("put the reference's formats in", lambda: in_formats(works, BF)),
    ]
    print(f"{'16-64-32-32-5':38} {'median ms':>10} {'95 % ms':>10}")
    for name, call in rows:
        median, high = milliseconds(call, 20 if name.startswith("trace") else 200)
        print(f"{name:38} {median:10.3f} {high:10.3f}")


if __name__ == "__main__":
    main()
