"""What stacking gains for convolutional networks: ``python -m benchmarks.stacked --cnn``.

A network for digits (a convolution of 8 filters, one of 16, a relu and a pool behind each, a linear layer)
of 4 to 7 bits, on images of 8 x 8 (the size of scikit-learn's digits) and 28 x 28 (MNIST's); measured as the
other stacks are.
"""

from __future__ import annotations

import functools
import statistics

import torch
from torch import nn

from benchmarks.stacked import Samples, alone, measured, spread, stacked
from torchq.convert import quantize
from torchq.scheme import Scheme

CASES = ((8, 128), (8, 1024), (28, 128))
"""Rows of an image, and of a batch."""
STEPS = {(8, 128): 30, (8, 1024): 10, (28, 128): 8}
"""Training steps of an epoch."""
COUNT = 16


def candidate(size: int, number: int) -> nn.Module:
    bits = 4 + number % 4
    weight = f"quantized_bits({bits},0,alpha=1)"
    scheme = Scheme.uniform(
        weight=weight,
        bias=weight,
        output=f"quantized_relu({bits},{number % 3})",
        input="quantized_bits(8,0,alpha=1)",
    )
    torch.manual_seed(number)
    network = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * (size // 4) ** 2, 10),
    )
    return quantize(network, scheme)


def samples(rows: int, size: int) -> Samples:
    random = torch.Generator().manual_seed(0)
    return torch.randn(rows, 1, size, size, generator=random), torch.randint(0, 10, (rows,), generator=random)


def images(rounds: int) -> None:
    """Candidate-steps per CPU second, 16 stacked against one alone."""
    print(f"{'image':8} {'batch':>6} {'alone':>8} {COUNT:>6} stacked {'least to most':>16} {'x alone':>8}")
    for size, batch in CASES:
        steps = STEPS[size, batch]
        train, valid = samples(batch * steps, size), samples(256, size)
        make = functools.partial(candidate, size)
        one, many = alone(batch, train, valid, make), stacked(COUNT, batch, train, valid, make)
        one(), many()
        times = measured({"alone": one, "stacked": many}, rounds)
        base = statistics.median(steps / t for t in times["alone"])
        rates = [COUNT * steps / t for t in times["stacked"]]
        middle = statistics.median(rates)
        shape = f"{size} x {size}"
        print(f"{shape:8} {batch:6} {base:8,.0f} {middle:14,.0f} {spread(rates):>16} {middle / base:8.2f}")
