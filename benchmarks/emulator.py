"""How fast the emulator is, and how far above what the processor allows."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt
import torch

from hls_export.emulate import Emulator
from hls_export.hardware import Dense, HardwareGraph, Quantize

INFERENCES = 1_000_000
TARGET = 1_000_000


def emulator_rates(graph: HardwareGraph, x: npt.NDArray[np.float64]) -> dict[str, float]:
    """Print and return inferences a second, and the floors of operations and of memory.

    The floor of operations counts two for each weight, at the speed of a large matrix product; the floor of
    memory counts what must be read and written, float64 samples and results, at the speed of a large copy.

    Args:
        graph: of matrix products.
        x: samples, which are repeated.
    """
    print(f"\n{'emulator':<52} {'inferences/s':>14} {'of CPU time':>14}")
    many = np.resize(x, (INFERENCES, *x.shape[1:]))
    figures: dict[str, float] = {}
    chosen = Emulator(graph).arithmetic
    for arithmetic in ("float32", "float64"):
        emulator = Emulator(graph, arithmetic)
        emulator(many[:10_000])
        wall, cpu = _best(partial(emulator, many))
        figures[arithmetic], figures[f"{arithmetic}, CPU"] = INFERENCES / wall, INFERENCES / cpu
        note = " (what is chosen)" if arithmetic == chosen else ""
        print(f"  {arithmetic + note:<50} {INFERENCES / wall:14,.0f} {INFERENCES / cpu:14,.0f}", flush=True)
    operations = 2 * sum(node.weight.size for node in graph.nodes if isinstance(node, Dense))
    rounded = sum(int(np.prod(node.shape)) for node in graph.nodes if isinstance(node, Quantize))
    samples = 8 * (int(np.prod(graph.input_shape)) + int(np.prod(graph.output_shape)))
    floors = {"operations": _flops(chosen) / operations, "memory": _copied() / samples}
    for word, rate in floors.items():
        figures[f"floor of {word}"] = rate
        size = f"{operations:,} operations" if word == "operations" else f"{samples} bytes"
        print(f"  {f'floor of {word} ({size} an inference)':<50} {'':14} {rate:14,.0f}")
    above = min(floors.values()) / figures[f"{chosen}, CPU"]
    verdict = "met" if figures[f"{chosen}, CPU"] >= TARGET else "not met"
    print(f"  {above:.1f} times above the higher floor; {rounded} values are rounded an inference beside")
    print(f"  the target of {TARGET:,} inferences a second of one core is {verdict}")
    return figures


def _best(work: Callable[[], object], times: int = 3) -> tuple[float, float]:
    """The fewest seconds, by the clock and of the processor."""
    found = []
    for _ in range(times):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        found.append((time.perf_counter() - wall, time.process_time() - cpu))
    return min(wall for wall, _ in found), min(cpu for _, cpu in found)


def _flops(arithmetic: str) -> float:
    size = 1024
    a = torch.randn(size, size, dtype=getattr(torch, arithmetic))
    return 2 * size**3 / _best(lambda: a @ a, 5)[1]


def _copied() -> float:
    """Bytes a second that are read and written."""
    a, b = torch.ones(2**24), torch.ones(2**24)
    return 2 * 4 * a.numel() / _best(lambda: b.copy_(a), 5)[1]
