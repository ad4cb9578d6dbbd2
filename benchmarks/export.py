"""From a torch model to verified C++: the time of each part, and of the emulator.

``OMP_NUM_THREADS=1 python -m benchmarks.export`` from the repository's root; ``--json`` prints the figures
once more. A perceptron for jets and a convolutional network for digits go through the same parts, and beside
our compilation stands that of hls4ml's own script for the same files. ``--windows`` compiles the second
network in io_parallel as well, with and without what :mod:`hls_export.backends.unit` does about it (minutes).
Where other programs run beside, the seconds of the processor say more than those of the clock.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

import hls_export
from benchmarks.emulator import emulator_rates
from hls_export.backends import csim
from hls_export.backends.csim import CsimProject
from hls_export.backends.unit import source
from torchq.convert import quantize
from torchq.models import jets_mlp
from torchq.scheme import Scheme

T = TypeVar("T")
Figures = dict[str, float]

TARGET_S = 30.0
VECTORS = 10_000
IMAGES = 300


class Parts:
    """The parts of one network's way: seconds, and seconds of the processor with all programs it started.

    Args:
        name: of the network, in front of every figure.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.figures: Figures = {}
        print(f"\n{name:<52} {'s':>8} {'CPU s':>8}")

    def timed(self, part: str, work: Callable[[], T]) -> T:
        """Do one part; print and keep its time."""
        cpu, start = _cpu(), time.perf_counter()
        result = work()
        self.figures[part] = time.perf_counter() - start
        self.figures[f"{part}, CPU"] = _cpu() - cpu
        print(f"  {part:<50} {self.figures[part]:8.2f} {self.figures[f'{part}, CPU']:8.2f}", flush=True)
        return result

    def total(self, *parts: str) -> float:
        """The sum of some parts, in seconds."""
        return sum(self.figures[part] for part in parts)


def _cpu() -> float:
    uses = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(use.ru_utime + use.ru_stime for use in uses)


def digits() -> nn.Module:
    """The layers of qonnx's ``mnist-conv``: two convolutions, two pools, one product."""
    first, second = nn.Conv2d(1, 8, 5, padding=2), nn.Conv2d(8, 16, 5, padding=2)
    return nn.Sequential(
        *(first, nn.ReLU(), nn.MaxPool2d(2)),
        *(second, nn.ReLU(), nn.MaxPool2d(3), nn.Flatten(), nn.Linear(256, 10)),
    )


def quantized(model: nn.Module) -> nn.Module:
    """Six bits everywhere, sixteen at the input."""
    weight = "quantized_bits(6,0,alpha=1)"
    scheme = Scheme.uniform(
        input="quantized_bits(16,6,alpha=1)", weight=weight, bias=weight, output="quantized_relu(6,2)"
    )
    return quantize(model.eval(), scheme)


def walk(
    name: str, model: nn.Module, x: npt.NDArray[np.float64], extra: int, io_type: str, folder: Path
) -> tuple[Parts, CsimProject]:
    """One network from torch to verified C++, and hls4ml's compilation of the same project."""
    parts = Parts(f"{name}, {io_type}")
    exported = parts.timed(
        "export (write, execute, compare)",
        lambda: hls_export.export(model, folder / f"{name}.onnx", x.shape[1:]),
    )
    graph = parts.timed("read", lambda: hls_export.read(exported.path))
    project = parts.timed(
        "lower (hls4ml writes the project)",
        lambda: hls_export.lower(graph, folder / f"{name}-{io_type}", io_type=io_type),
    )
    assert isinstance(project, CsimProject)  # noqa: S101
    parts.timed("compile (g++)", project.compile)
    verdict = parts.timed(
        f"verify, 4 readings of {len(x) + extra:,} vectors",
        lambda: hls_export.verify(model, exported.path, project, x, hls_export.adversarial(graph, extra)),
    )
    seconds = parts.total(*[part for part in parts.figures if not part.endswith(", CPU")])
    parts.figures["torch to verified C++"] = seconds
    print(f"  {'torch to verified C++':<50} {seconds:8.2f}")
    print(f"  {verdict}")
    verdict.raise_if_different()
    parts.timed(f"of that, C simulation of {len(x):,} vectors", lambda: project.predict(x))
    parts.timed(
        f"of that, ONNX execution of {len(x):,} vectors", lambda: hls_export.execute(exported.path, x)
    )
    own = folder / "own"
    shutil.copytree(project.path, own)
    script = ["bash", "build_lib.sh"]
    parts.timed(
        "hls4ml's own compilation (build_lib.sh), alone",
        lambda: subprocess.run(script, cwd=own, check=True, capture_output=True),
    )
    shutil.rmtree(own)
    slower = parts.figures["hls4ml's own compilation (build_lib.sh), alone, CPU"]
    ratio = slower / parts.figures["compile (g++), CPU"]
    print(f"  hls4ml's compilation takes {ratio:.2f} times the processor time of ours")
    return parts, project


def windows(onnx: Path, folder: Path) -> Figures:
    """Convolutions in io_parallel: the compilation with the copies of windows optimised, and as it is."""
    parts = Parts("digits, io_parallel")
    graph = hls_export.read(onnx)
    made = hls_export.lower(graph, folder / "digits-io_parallel", io_type="io_parallel")
    assert isinstance(made, CsimProject)  # noqa: S101
    weights = (made.path / "firmware" / "weights").resolve()
    plain = source(folder / "no such project", "myproject", weights)
    command = ["g++", *csim.FLAGS, "-std=c++17", "-Ifirmware/ap_types", "-I."]
    command += ["-x", "c++", "-", "-o", str(folder / "windows.so")]
    before, after = "compile (g++), copies of windows optimised", "compile (g++)"
    parts.timed(before, lambda: subprocess.run(command, cwd=made.path, input=plain, text=True, check=True))
    parts.timed(after, made.compile)
    ratio = parts.figures[f"{before}, CPU"] / parts.figures[f"{after}, CPU"]
    print(f"  optimising them takes {ratio:.1f} times the processor time")
    x = np.random.default_rng(1).uniform(0, 30, size=(40, 1, 28, 28))
    compiled = parts.timed("C simulation of 40 vectors", lambda: made.predict(x))
    differ = int((compiled != hls_export.emulate(graph, x)).sum())
    print(f"  {differ} of {compiled.size} values differ from the emulator")
    return parts.figures


def imports() -> Figures:
    """What a fresh Python needs before anything is done."""
    parts = Parts("imports, in a Python of their own")
    for module in ("torch", "hls_export", "hls4ml"):
        command = [sys.executable, "-c", f"import {module}"]
        parts.timed(f"import {module}", partial(subprocess.run, command, check=True, capture_output=True))
    return parts.figures


def main(folder: Path, *, with_windows: bool) -> dict[str, Figures]:
    """Print one line a part; returns seconds, and inferences per second."""
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    print(f"{os.cpu_count()} cores, torch uses {torch.get_num_threads()}; load {os.getloadavg()[0]:.1f}")
    x = random.normal(size=(VECTORS, 16)) * 2
    images = random.uniform(0, 30, size=(IMAGES, 1, 28, 28))
    jets, _ = walk("jets", quantized(jets_mlp()), x, 2000, "io_parallel", folder)
    streamed, _ = walk("digits", quantized(digits()), images, 100, "io_stream", folder)
    seconds = jets.figures["torch to verified C++"]
    verdict = "met" if seconds < TARGET_S else "not met"
    print(f"\n{jets.name}: {seconds:.1f} s, the target of {TARGET_S:g} s is {verdict}")
    found = {"imports": imports(), jets.name: jets.figures, streamed.name: streamed.figures}
    if with_windows:
        found["windows"] = windows(folder / "digits.onnx", folder)
    found["emulator"] = emulator_rates(hls_export.read(folder / "jets.onnx"), x)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.export", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the figures once more, as JSON")
    parser.add_argument("--windows", action="store_true", help="compile convolutions in io_parallel as well")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        figures = main(Path(temporary), with_windows=given.windows)
    if given.json:
        print(json.dumps(figures, indent=1))
