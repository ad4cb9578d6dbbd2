"""From the picked network to a verified project: ONNX file, HLS C++, and the comparison of all readings."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np

import hls_export
from hls_export.rtl import installed
from torchq.errors import BackendError
from torchq.recipe.rundir import RunDir
from torchq.recipe.schema import Recipe
from torchq.recipe.show import Show
from torchq.recipe.stages import readings, verilog
from torchq.recipe.stages import workbench as bench
from torchq.recipe.stages.choosing import picked_model

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
        metadata=bench.port_names(data),
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
    facts = project.to_dict()
    run.finish(
        "lower",
        {
            "project": PROJECT,
            "compile_s": round(seconds, 3),
            "report": report.to_dict(),
            **{name: facts[name] for name in ("state", "files")},
        },
    )


def verify_project(recipe: Recipe, run: RunDir, show: Show) -> None:
    """Compare torch, the ONNX file, the emulator, the C++ and the Verilog on real and adversarial vectors.

    The Verilog takes part if the recipe asks for it and its tools are there.

    Raises:
        VerifyError: the readings differ; ``verify.json`` says where, and the report can still be written.
    """
    project = hls_export.open_project(run.file(PROJECT)).compile()
    sets = readings.vectors(recipe, run.file(MODEL))
    show.stage("verify", ", ".join(f"{len(x):,} {kind} vectors" for kind, x in sets.items()))
    compare_all(recipe, run, show, project, sets, with_verilog=verilog.is_asked(recipe, "picked"))


def compare_all(
    recipe: Recipe,
    run: RunDir,
    show: Show,
    project: hls_export.Project,
    sets: Mapping[str, readings.Array],
    *,
    with_verilog: bool,
) -> bool:
    """Compare all readings of the picked network and write ``verify.json``; whether they agree.

    Args:
        recipe: of the run.
        run: with the ONNX file.
        show: told what came out.
        project: the compiled project.
        sets: vectors by name.
        with_verilog: whether the Verilog takes part; where it cannot, one line says why.
    """
    projects, reason = [project], ""
    if with_verilog and recipe.lower.backend != "rtl":
        reason = verilog.left_out(installed.WRITE, installed.SIMULATE)
        if not reason:
            show.fact("writing and simulating the Verilog ...")
            try:
                projects.append(verilog.project(recipe, run, "picked", run.file(MODEL)).compile())
            except BackendError as fault:
                reason = str(fault)
        if reason:
            show.fact(f"without Verilog: {reason}")
    found = readings.compared(picked_model(recipe, run), run.file(MODEL), tuple(projects), sets)
    for verdict in found["sets"].values():
        show.fact(verdict["verdict"], "" if verdict["agree"] else "bold red")
    run.finish("verify", {**found, "left_out": {"RTL simulation": reason} if reason else {}})
    return bool(found["agree"])
