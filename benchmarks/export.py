"""From the torch jet model to verified C++: the time of each part, and of the emulator.

Run it with ``python -m benchmarks.export`` from the repository's root. Set ``OMP_NUM_THREADS=1`` for figures
of one core.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

import hls_export
from hls_export.emulate import Emulator
from torchq.convert import quantize
from torchq.models import jets_mlp
from torchq.scheme import Scheme

T = TypeVar("T")

VECTORS = 10_000
INFERENCES = 1_000_000


def main(folder: Path) -> dict[str, float]:
    """Print one line a part; returns seconds, and inferences per second."""
    torch.manual_seed(0)
    weight = "quantized_bits(6,0,alpha=1)"
    scheme = Scheme.uniform(
        input="quantized_bits(16,6,alpha=1)", weight=weight, bias=weight, output="quantized_relu(6,2)"
    )
    model = quantize(jets_mlp().eval(), scheme)
    x = np.random.default_rng(0).normal(size=(VECTORS, 16)) * 2
    figures: dict[str, float] = {}

    def timed(name: str, work: Callable[[], T]) -> T:
        start = time.perf_counter()
        result = work()
        figures[name] = time.perf_counter() - start
        print(f"{name:<44} {figures[name]:8.2f} s", flush=True)
        return result

    exported = timed(
        "export (write, execute, compare)", lambda: hls_export.export(model, folder / "jets.onnx")
    )
    graph = timed("read", lambda: hls_export.read(exported.path))
    project = timed("lower (hls4ml writes the project)", lambda: hls_export.lower(graph, folder / "hls"))
    timed("compile (g++)", project.compile)
    timed(f"C simulation of {VECTORS:,} vectors", lambda: project.predict(x))
    timed(f"ONNX execution of {VECTORS:,} vectors", lambda: hls_export.execute(exported.path, x))
    extra = hls_export.adversarial(graph, 2000)
    verdict = timed(
        "verify, 4 readings of 12,000 vectors",
        lambda: hls_export.verify(model, exported.path, project, x, extra),
    )
    print(verdict)
    total = sum(figures[part] for part in figures if not part.startswith(("C sim", "ONNX")))
    print(f"{'torch to verified C++':<44} {total:8.2f} s")
    many = np.resize(x, (INFERENCES, 16))
    for arithmetic in ("float32", "float64"):
        emulator = Emulator(graph, arithmetic)
        emulator(many[:10_000])
        start = time.perf_counter()
        emulator(many)
        rate = INFERENCES / (time.perf_counter() - start)
        figures[f"emulator {arithmetic}"] = rate
        chosen = " (what is chosen)" if Emulator(graph).arithmetic == arithmetic else ""
        print(f"{'emulator, ' + arithmetic + chosen:<44} {rate:8,.0f} inferences/s")
    print(f"{os.cpu_count()} cores, torch uses {torch.get_num_threads()}")
    return {**figures, "torch to verified C++": total}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        found = main(Path(temporary))
    if "--json" in sys.argv:
        print(json.dumps(found, indent=1))
