"""How long cost estimates take, and how wrong the FPGA estimates are: ``python -m benchmarks.cost``.

A search that prices candidates before it trains them asks for one estimate a scheme, on a graph that is
traced once (:func:`torchq.cost.under`).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import cycle

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.fpga_error import all_lines
from torchq.convert import quantize
from torchq.cost import TARGETS, ebops_of, estimate, in_formats, under, workloads_of
from torchq.cost.reference import BF
from torchq.graph import trace, workloads
from torchq.models import MODELS
from torchq.scheme import Scheme

COUNTED = ("bits", "bops", "ebops", "energy_pj", "macs", "memory", "sparsity")
"""Targets by formulas alone; what asks a solver or a fit has lines of its own."""
INPUT = "quantized_bits(16,6,alpha=1)"
WEIGHTS = (
    *(f"quantized_bits({bits},0,alpha=1)" for bits in range(2, 9)),
    "ternary(alpha=1)",
    "binary(alpha=1)",
    "quantized_po2(4,1)",
)
BIASES = WEIGHTS[:7]
OUTPUTS = tuple(f"quantized_relu({bits},0)" for bits in range(2, 9))

Row = tuple[str, Callable[[], object], int]
"""What is timed, how it is called, and how often."""


class Branches(nn.Module):
    """A small network of convolutions with two branches."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.act = nn.Conv2d(1, 8, 3, padding=1), nn.ReLU()
        self.left, self.act_left = nn.Conv2d(8, 8, 3, padding=1), nn.ReLU()
        self.right, self.act_right = nn.Conv2d(8, 8, 1), nn.ReLU()
        self.act_both = nn.ReLU()
        self.pool, self.fc = nn.MaxPool2d(2), nn.Linear(8 * 7 * 7, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Ten numbers for each image."""
        x = self.pool(self.act(self.stem(x)))
        x = self.pool(self.act_both(self.act_left(self.left(x)) + self.act_right(self.right(x))))
        result: Tensor = self.fc(torch.flatten(x, 1))
        return result


def random_schemes(model: nn.Module, count: int) -> Iterator[Scheme]:
    """Schemes with another quantizer in every slot, again and again."""
    rng = np.random.default_rng(0)
    choices: dict[str, dict[str, Sequence[str]]] = {}
    for name, layer in model.named_modules():
        if isinstance(layer, nn.ReLU):
            choices[name] = {"output": OUTPUTS}
        elif isinstance(layer, nn.Linear | nn.Conv2d):
            choices[name] = {"weight": WEIGHTS, "bias": BIASES}
    schemes = [
        Scheme(
            {name: {s: str(rng.choice(t)) for s, t in slots.items()} for name, slots in choices.items()},
            INPUT,
        )
        for _ in range(count)
    ]
    return cycle(schemes)


def milliseconds(call: Callable[[], object], repeats: int) -> tuple[float, float, float]:
    """Minimum, median and 95th percentile."""
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(1e3 * (time.perf_counter() - start))
    return min(times), statistics.median(times), statistics.quantiles(times, n=20)[-1]


def rows_of(model: nn.Module, shape: tuple[int, ...]) -> list[Row]:
    """What is timed of a network."""
    schemes = random_schemes(model, 400)
    quantized = quantize(model, next(schemes))
    graph = trace(quantized, shape)
    works = workloads_of(graph)
    for _ in range(400):  # each quantizer is read from its text once
        under(graph, next(schemes))
    rows: list[Row] = [
        ("quantize anew: estimate", lambda: estimate(quantize(model, next(schemes)), shape, COUNTED), 10),
        ("  trace it alone", lambda: trace(quantized, shape), 10),
        ("changed scheme: estimate", lambda: estimate(under(graph, next(schemes)), targets=COUNTED), 400),
        ("  its workloads alone", lambda: under(graph, next(schemes)), 400),
        ("  and every text read anew", lambda: under(replace(graph), next(schemes)), 40),
        ("same scheme, traced graph: estimate", lambda: estimate(graph, targets=COUNTED), 200),
        ("  its workloads alone", lambda: workloads(graph), 200),
        ("workloads: estimate", lambda: estimate(works, targets=COUNTED), 200),
    ]
    for name in TARGETS:
        rows.append((f"  {name} alone", partial(estimate, works, targets=[name]), 100))
    return [*rows, ("put the reference's formats in", lambda: in_formats(works, BF), 100)]


def gradient_of_ebops() -> Row:
    """One forward and backward pass of ebops_of, bits per weight."""
    layer = nn.Linear(64, 32)
    bits = torch.full(layer.weight.shape, 4.0, requires_grad=True)
    inputs = torch.full((64,), 6.0, requires_grad=True)
    return (
        "ebops_of, 64-32, with its gradient",
        lambda: torch.autograd.grad(ebops_of(bits, inputs, layer, (64,)), (bits, inputs)),
        200,
    )


def print_times(title: str, rows: list[Row]) -> None:
    print(f"{title:44} {'min ms':>9} {'median ms':>10} {'95 % ms':>9}")
    for name, call, repeats in rows:
        least, median, high = milliseconds(call, repeats)
        print(f"{name:44} {least:9.3f} {median:10.3f} {high:9.3f}")
    print()


def times() -> None:
    """How long each target takes, and a scheme that changed."""
    print(f"estimates with {', '.join(COUNTED)}\n")
    jets = MODELS.get("jets_mlp")().eval()
    print_times("16-64-32-32-5", [*rows_of(jets, (16,)), gradient_of_ebops()])
    print_times("convolutions with branches, 28 x 28", rows_of(Branches().eval(), (1, 28, 28)))


def errors() -> None:
    """How wrong the FPGA estimates are: held-out designs, and published ones."""
    print("\n".join(all_lines()))


PARTS: tuple[Callable[[], None], ...] = (times, errors)
"""Each prints its tables."""


def main() -> None:
    """All parts, one after the other."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for part in PARTS:
        part()


if __name__ == "__main__":
    main()
