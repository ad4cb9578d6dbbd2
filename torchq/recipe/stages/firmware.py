"""From the picked network to a verified project: ONNX file, HLS C++, and the comparison of all readings."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

import hls_export
from torchq.recipe.rundir import RunDir
from torchq.recipe.schema import Recipe
from torchq.recipe.show import Show
from torchq.recipe.stages import workbench as bench
from torchq.recipe.stages.searching import picked_model

MODEL = "model.onnx"
PROJECT = "hls"


def export_onnx(recipe: Recipe, run: RunDir, show: Show) -> None:
    """Write the picked network as a QONNX file; the file is executed and compared with torch right away."""
    show.stage("export", MODEL)
    data = bench.dataset(recipe.data)
    exported = hls_export.export(
        picked_model(recipe, run),
        run.file(MODEL),
        example=bench.example(recipe),
        check=data.valid.x[:1000].astype(np.float64),
        metadata={
            "standardisation": {"mean": data.mean.tolist(), "scale": data.scale.tolist()},
            "features": list(data.features),
            "classes": list(data.classes),
        },
    )
    show.fact(f"executed and equal to torch on {exported.vectors:,} vectors")
    run.finish("export", {"file": MODEL, "digest": exported.digest, "vectors": exported.vectors})


def lower_to_project(recipe: Recipe, run: RunDir, show: Show) -> None:
    """Write the project of the ONNX file and compile its simulation."""
    lower = recipe.lower
    show.stage(
        "lower", f"{lower.backend} project {PROJECT}/, {lower.part}, {lower.clock_ns:g} ns, {lower.io_type}"
    )
    project = hls_export.lower(
        run.file(MODEL),
        run.file(PROJECT),
        backend=lower.backend,
        part=lower.part,
        clock_ns=lower.clock_ns,
        io_type=lower.io_type,
        reuse_factor=lower.reuse_factor,
        strategy=lower.strategy,
    )
    began = time.perf_counter()
    project.compile()
    seconds = time.perf_counter() - began
    report = project.report()
    show.fact(f"written by {report.tool}; compiled in {seconds:.1f} s")
    run.finish("lower", {"project": PROJECT, "compile_s": round(seconds, 3), "report": report.to_dict()})


def verify_project(recipe: Recipe, run: RunDir, show: Show) -> None:
    """Compare torch, the ONNX file, the emulator and the C++ on test samples and adversarial vectors.

    Raises:
        VerifyError: the readings differ; ``verify.json`` says where, and the report can still be written.
    """
    data = bench.dataset(recipe.data)
    project = hls_export.open_project(run.file(PROJECT)).compile()
    graph = hls_export.read(run.file(MODEL))
    sets = {
        "real": data.test.x[: recipe.verify.jets].astype(np.float64),
        "adversarial": hls_export.adversarial(graph, recipe.verify.adversarial, recipe.verify.seed),
    }
    show.stage("verify", ", ".join(f"{len(x):,} {kind} vectors" for kind, x in sets.items()))
    model = picked_model(recipe, run)
    found = {kind: hls_export.verify(model, run.file(MODEL), project, x) for kind, x in sets.items()}
    for verdict in found.values():
        show.fact(str(verdict), "" if verdict.agree else "bold red")
    run.finish("verify", _merged(found))


def _merged(found: dict[str, hls_export.Verification]) -> dict[str, Any]:
    """One verdict over all sets of vectors."""
    differing = [v for v in found.values() if not v.agree]
    comparisons = [
        {
            "reading": reading,
            "against": v.readings[0],
            "kind": kind,
            "vectors": v.vectors,
            "mismatches": sum(d.count for d in v.differences if d.reading == reading),
        }
        for kind, v in found.items()
        for reading in v.readings[1:]
    ]
    return {
        "agree": not differing,
        "vectors": sum(v.vectors for v in found.values()),
        "values": sum(v.values for v in found.values()),
        "mismatches": sum(v.mismatches for v in found.values()),
        "verdict": "; ".join(map(str, found.values())),
        "first": differing[0].to_dict()["first"] if differing else None,
        "comparisons": comparisons,
        "sets": {kind: v.to_dict() for kind, v in found.items()},
    }
