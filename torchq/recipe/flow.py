"""From a recipe to a report: the whole story in one function.

Every stage reads its arguments and what stands in the run directory, nothing else, and ends by writing its
JSON file there. So ``--until``, going on after a kill, and writing the report anew need no code of their own.
"""

from __future__ import annotations

from pathlib import Path

from torchq.errors import RecipeError, RunDirError
from torchq.recipe.load import LoadedRecipe, load
from torchq.recipe.rundir import RunDir
from torchq.recipe.schema_prices import PriceRecipe
from torchq.recipe.show import Show

STAGES = (
    *("data", "float", "references", "search", "train"),
    *("export", "lower", "verify", "synthesis", "report"),
)
PRICE_STAGES = ("prices", "report")
"""The stages of a recipe with ``task: price``."""


def run_recipe(
    loaded: LoadedRecipe,
    out: str | Path,
    *,
    until: str = "report",
    resume: bool = False,
    show: Show | None = None,
) -> Path:
    """Run a recipe, or go on with a run of it.

    Args:
        loaded: the checked recipe.
        out: the run directory.
        until: the last stage to do, one of ``STAGES`` (of ``PRICE_STAGES`` for a recipe that prices).
        resume: refuse to begin a new run.
        show: where progress is printed; None is silence.

    Returns:
        The run directory.

    Raises:
        TorchqError: whatever a stage found wrong; what was finished stays.
    """
    import torch

    priced = isinstance(loaded.content, PriceRecipe)
    stages = PRICE_STAGES if priced else STAGES
    if until not in stages:
        task = "price" if priced else "search"
        raise RecipeError(
            f"a recipe with task: {task} has no stage {until!r}", hint=f"its stages are {', '.join(stages)}"
        )
    if isinstance(loaded.content, PriceRecipe):
        return _price(loaded, loaded.content, Path(out), until, resume, show or Show())
    threads = torch.get_num_threads()
    torch.set_num_threads(loaded.recipe.threads)
    try:
        return _run(loaded, Path(out), until, resume, show or Show())
    finally:
        torch.set_num_threads(threads)


def _run(loaded: LoadedRecipe, out: Path, until: str, resume: bool, show: Show) -> Path:
    from torchq.recipe.stages import choosing, firmware, learning, outcome, searching, synthesis

    stages = {
        "data": learning.prepare_data,
        "float": learning.train_float,
        "references": learning.train_references,
        "search": searching.search_schemes,
        "train": choosing.train_picked,
        "export": firmware.export_onnx,
        "lower": firmware.lower_to_project,
        "verify": firmware.verify_project,
        "synthesis": synthesis.synthesize,
        "report": outcome.write_report,
    }
    with RunDir.open(out, loaded, resume=resume) as run:
        for name in STAGES[: STAGES.index(until) + 1]:
            if name == "synthesis" and loaded.recipe.synthesis is None:
                continue
            again = name == STAGES[-1] or (name == "synthesis" and synthesis.is_open(loaded.recipe, run))
            if run.done(name) and not again:
                show.stage(name, "done before")
                continue
            stages[name](loaded.recipe, run, show)
        if until == STAGES[-1]:
            outcome.print_summary(loaded.recipe, run, show)
        outcome.require_agreement(run)
    return out


def _price(
    loaded: LoadedRecipe, recipe: PriceRecipe, out: Path, until: str, resume: bool, show: Show
) -> Path:
    from torchq.recipe.stages import pricing

    with RunDir.open(out, loaded, resume=resume) as run:
        if run.done("prices"):
            show.stage("prices", "done before")
        else:
            pricing.price_designs(recipe, run, show)
        if until == PRICE_STAGES[-1]:
            pricing.write_report(recipe, run, show)
        pricing.print_table(recipe, run, show)
    return out


def report_run(path: str | Path, show: Show | None = None) -> Path:
    """Write the report of a run anew, as far as the run has come.

    Raises:
        RunDirError: the folder holds no run.
    """
    from torchq.recipe.stages import outcome

    show = show or Show()
    loaded = _recipe_of(path)
    if isinstance(loaded.content, PriceRecipe):
        return _price(loaded, loaded.content, Path(path), PRICE_STAGES[-1], True, show)
    with RunDir.open(path, loaded, resume=True) as run:
        outcome.write_report(loaded.recipe, run, show)
        outcome.print_summary(loaded.recipe, run, show)
    return Path(path)


def verify_run(
    path: str | Path,
    show: Show | None = None,
    *,
    jets: int | None = None,
    adversarial: int | None = None,
    with_verilog: bool = True,
) -> Path:
    """Compare all readings of a run's picked network once more; write ``verify.json`` and the report anew.

    Args:
        path: the run directory.
        show: where the verdict is printed; None is silence.
        jets: test samples; as in the recipe unless told.
        adversarial: made vectors; likewise.
        with_verilog: whether the Verilog takes part, where its tools are there.

    Raises:
        RunDirError: the folder holds no run, or none with a firmware project.
        VerifyError: the readings differ.
    """
    from hls_export import open_project
    from torchq.recipe.stages import firmware, outcome, readings

    show = show or Show()
    loaded = _recipe_of(path)
    asked = {"jets": jets, "adversarial": adversarial}
    told = {key: value for key, value in asked.items() if value is not None}
    recipe = loaded.recipe.model_copy(update={"verify": loaded.recipe.verify.model_copy(update=told)})
    with RunDir.open(path, loaded, resume=True) as run:
        if not run.done("lower"):
            raise RunDirError(
                f"{path}: the run has no firmware project yet", hint="finish it with `torchq run` first"
            )
        project = open_project(run.file(firmware.PROJECT)).compile()
        sets = readings.vectors(recipe, run.file(firmware.MODEL))
        show.stage("verify", ", ".join(f"{len(x):,} {kind} vectors" for kind, x in sets.items()))
        firmware.compare_all(recipe, run, show, project, sets, with_verilog=with_verilog)
        if run.done("report"):
            outcome.write_report(recipe, run, show)
        outcome.require_agreement(run)
    return Path(path)


def _recipe_of(path: str | Path) -> LoadedRecipe:
    """The recipe of a run.

    Raises:
        RunDirError: the folder holds no run.
    """
    run = RunDir(path)
    about = run.about()
    if about is None:
        raise RunDirError(f"{path}: holds no run", hint="give the folder that `torchq run` printed")
    return load(str(run.file("recipe.yaml")), about.get("overrides", ()))
