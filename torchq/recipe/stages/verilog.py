"""The Verilog of a run's networks: which ones are asked for, what can be done here, and the projects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import nn

import hls_export
from hls_export.rtl import installed
from hls_export.rtl.project import RtlProject
from torchq.cost.fpga.settings import ADDER_NS, Build
from torchq.errors import BackendError
from torchq.recipe.rundir import RunDir
from torchq.recipe.schema import Recipe
from torchq.recipe.stages import workbench as bench
from torchq.recipe.stages.choosing import picked_model
from torchq.train import load_weights

FOLDER = "rtl"
NAMES = {"picked": "picked", "q6": "uniform 6-bit (Q6)"}
"""The networks that can be synthesised, and what a reader calls them."""


def left_out(*steps: str) -> str:
    """Why a step is not done here: a sentence, or nothing where all tools are there.

    Args:
        steps: of :mod:`hls_export.rtl.installed`.
    """
    lacking = installed.missing(*steps)
    if not lacking:
        return ""
    return f"{' and '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} not installed; {installed.HINT}"


def cutoff(recipe: Recipe) -> float:
    """The delay that a pipeline stage may have, in adders: as told, or as the estimates plan it."""
    asked = recipe.synthesis
    if asked is not None and asked.latency_cutoff is not None:
        return asked.latency_cutoff
    return float(Build(clock_ns=recipe.lower.clock_ns).levels)


def planned_clock_ns(recipe: Recipe) -> float:
    """The clock for which the estimates plan stages of the same depth."""
    asked = recipe.synthesis
    if asked is not None and asked.latency_cutoff is not None:
        return asked.latency_cutoff * ADDER_NS + 1e-9
    return recipe.lower.clock_ns


def network(recipe: Recipe, run: RunDir, name: str) -> nn.Module:
    """A network of the run as its training left it."""
    if name == "picked":
        return picked_model(recipe, run)
    model = bench.quantized(recipe, run, bench.uniform_scheme(recipe.references.q6))
    return load_weights(run.file("q6.pt"), model).eval()


def onnx_file(recipe: Recipe, run: RunDir, name: str, model: nn.Module) -> Path:
    """The QONNX file of a network; the picked one has it already."""
    path = run.file("model.onnx" if name == "picked" else f"{name}.onnx")
    if not path.is_file():
        data = bench.dataset(recipe.data)
        hls_export.export(
            model,
            path,
            example=bench.example(recipe),
            check=data.valid.x[:1000].astype(np.float64),
            metadata=bench.port_names(data),
        )
    return path


def project(recipe: Recipe, run: RunDir, name: str, onnx: Path) -> RtlProject:
    """Write the Verilog of a network; what was simulated and counted of the same Verilog stays.

    Raises:
        BackendError: alkaid is missing, or the network cannot be laid out side by side.
    """
    made = hls_export.lower(
        onnx,
        run.file(FOLDER) / name,
        backend="rtl",
        part=recipe.lower.part,
        clock_ns=recipe.lower.clock_ns,
        top=name,
        latency_cutoff=cutoff(recipe),
    )
    if not isinstance(made, RtlProject):
        raise BackendError(f"{made.path} is no project of Verilog")
    return made


def is_asked(recipe: Recipe, name: str) -> bool:
    """Whether the recipe wants the Verilog of a network."""
    return recipe.synthesis is not None and name in recipe.synthesis.networks
