"""From the picked network to a verified project: ONNX file, HLS C++, and the comparison of all readings."""

from __future__ import annotations

import numpy as np

from torchq.recipe.rundir import RunDir
from torchq.recipe.schema import Recipe
from torchq.recipe.show import Show
from torchq.recipe.stages import workbench as bench
from torchq.recipe.stages.searching import picked_model

MODEL = "model.onnx"
PROJECT = "hls"


def export_onnx(recipe: Recipe, run: RunDir, show: Show) -> None:
    """Write the picked network as a QONNX file and execute it against torch right away."""
    import hls_export

    show.stage("export", MODEL)
    data = bench.dataset(recipe.data)
    exported = hls_export.export(
        picked_model(recipe, run),
        run.file(MODEL),
        example=bench.example(recipe),
        check=data.valid.x[:1000].astype(np.float64),
    )
    run.finish("export", exported.to_dict())


def lower_to_project(recipe: Recipe, run: RunDir, show: Show) -> None:
    """Write and compile the HLS project."""
    run.finish("lower", {})


def verify_project(recipe: Recipe, run: RunDir, show: Show) -> None:
    """Compare."""
    run.finish("verify", {})
