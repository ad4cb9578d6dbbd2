"""All readings of a network compared on the vectors of a recipe, as one verdict."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

import hls_export
from hls_export.backends import Project
from hls_export.rtl.project import RtlProject
from torchq.recipe.schema import Recipe
from torchq.recipe.stages import workbench as bench

Array = npt.NDArray[np.float64]

ICARUS_S = 60.0
"""How long Icarus may simulate about, where no Verilator is there; then it takes the first vectors only."""


def vectors(recipe: Recipe, model: Path) -> dict[str, Array]:
    """The recipe's test samples, and adversarial vectors for the network in a file."""
    data, asked = bench.dataset(recipe.data), recipe.verify
    return {
        "real": data.test.x[: asked.jets].astype(np.float64),
        "adversarial": hls_export.adversarial(hls_export.read(model), asked.adversarial, asked.seed),
    }


def compared(
    model: nn.Module,
    path: Path,
    projects: tuple[Project, ...],
    sets: Mapping[str, Array],
) -> dict[str, Any]:
    """Compare torch, the file, the emulator and the simulations of projects; for ``verify.json``.

    Args:
        model: the quantized network.
        path: its ONNX file.
        projects: what was lowered from it. Verilog that only Icarus can simulate takes as many vectors of
            each set as it simulates in about :data:`ICARUS_S` together.
        sets: vectors by name.

    Returns:
        ``agree``, ``vectors``, ``values``, ``mismatches``, ``verdict``, ``first``, and ``comparisons`` with
        one entry for each reading and set.
    """
    found: dict[str, hls_export.Verification] = {}
    further: dict[str, hls_export.Verification] = {}
    slow = [one for one in projects if isinstance(one, RtlProject) and one.affordable(ICARUS_S) is not None]
    for kind, x in sets.items():
        patient = [one for one in projects if one not in slow]
        for one in slow:
            most = max(1, (one.affordable(ICARUS_S) or len(x)) // len(sets))
            if most >= len(x):
                patient.append(one)
            else:
                further[f"{kind}, the first {most:,}"] = hls_export.verify(model, path, one, x[:most])
        found[kind] = hls_export.verify(model, path, patient, x)
    return _merged(found, further)


def _merged(
    found: Mapping[str, hls_export.Verification], further: Mapping[str, hls_export.Verification]
) -> dict[str, Any]:
    """One verdict over all sets of vectors; ``further`` are parts of sets, for some of the readings."""
    every = [*found.values(), *further.values()]
    differing = [v for v in every if not v.agree]
    comparisons = []
    for kind, v in (*found.items(), *further.items()):
        readings = v.readings[1:] if kind in found else v.readings[-1:]
        comparisons += [
            {
                "reading": reading,
                "against": v.readings[0],
                "kind": kind,
                "vectors": v.vectors,
                "mismatches": sum(d.count for d in v.differences if d.reading == reading),
            }
            for reading in readings
        ]
    return {
        "agree": not differing,
        "vectors": sum(v.vectors for v in found.values()),
        "values": sum(v.values for v in found.values()),
        "mismatches": sum(comparison["mismatches"] for comparison in comparisons),
        "verdict": "; ".join(map(str, every)),
        "first": differing[0].to_dict()["first"] if differing else None,
        "comparisons": comparisons,
        "sets": {kind: v.to_dict() for kind, v in (*found.items(), *further.items())},
    }
