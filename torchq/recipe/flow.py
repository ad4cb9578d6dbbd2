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

STAGES = ("data", "float", "references", "search", "train", "export", "lower", "verify", "report")
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
    from torchq.recipe.stages import firmware, learning, outcome, searching

    stages = {
        "data": learning.prepare_data,
        "float": learning.train_float,
        "references": learning.train_references,
        "search": searching.search_schemes,
        "train": searching.train_picked,
        "export": firmware.export_onnx,
        "lower": firmware.lower_to_project,
        "verify": firmware.verify_project,
        "report": outcome.write_report,
    }
    with RunDir.open(out, loaded, resume=resume) as run:
        for name in STAGES[: STAGES.index(until) + 1]:
            if run.done(name) and name != STAGES[-1]:
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
    run = RunDir(path)
    about = run.about()
    if about is None:
        raise RunDirError(f"{path}: holds no run", hint="give the folder that `torchq run` printed")
    loaded = load(str(run.file("recipe.yaml")), about.get("overrides", ()))
    if isinstance(loaded.content, PriceRecipe):
        return _price(loaded, loaded.content, Path(path), PRICE_STAGES[-1], True, show)
    with RunDir.open(path, loaded, resume=True) as run:
        outcome.write_report(loaded.recipe, run, show)
        outcome.print_summary(loaded.recipe, run, show)
    return Path(path)
