"""The networks of a run or of a recipe: picked, references, and the float one that all started from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torchq.advice import advice
from torchq.cli.cost_what import Network, Subject
from torchq.errors import CostError, RunDirError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from torchq.recipe.load import LoadedRecipe
    from torchq.recipe.rundir import RunDir
    from torchq.recipe.schema import Recipe
    from torchq.search import Trial
    from torchq.workload import Workload

BF_NAME, Q6_NAME, FLOAT_NAME = "BF (16-bit reference)", "Q6 (uniform 6-bit)", "float32"


def of_run(what: str, number: int | None) -> Subject:
    """The picked network of a run, or another trial's; beside it the references, as far as the run has come.

    Raises:
        RunDirError: the folder holds no run, or a run without any network yet.
        CostError: there is no such trial.
    """
    from torchq.recipe.load import load
    from torchq.recipe.rundir import RunDir
    from torchq.recipe.stages import workbench as bench

    run = RunDir(what)
    about = run.about()
    if about is None:
        raise RunDirError(f"{what}: holds no run", hint="give the folder that `torchq run` printed")
    loaded = load(str(run.file("recipe.yaml")), about.get("overrides", ()))
    if _prices_designs(loaded):
        return _designs(what, loaded)
    recipe = loaded.recipe
    if not run.done("float"):
        raise RunDirError(f"{what}: the run has no trained network yet", hint="let `torchq run` go on")
    example = bench.example(recipe)
    notes: list[str] = []
    mains = _mains(what, recipe, run, example, number, notes)
    networks = [*mains, *_references(recipe, run, example)]
    return Subject(what, networks[0], tuple(networks[1:]), _settings(recipe), tuple(notes))


def of_recipe(what: str) -> Subject:
    """The uniform reference network of a recipe, untrained; beside it the others."""
    from torchq.convert import quantize
    from torchq.recipe.load import load
    from torchq.recipe.stages import workbench as bench

    loaded = load(what)
    if _prices_designs(loaded):
        return _designs(what, loaded)
    recipe = loaded.recipe
    source, example = bench.float_model(recipe), bench.example(recipe)
    named = ((Q6_NAME, recipe.references.q6), (BF_NAME, recipe.references.bf))
    q6, bf = (
        Network(name, quantize(source, bench.uniform_scheme(uniform), example=example), example)
        for name, uniform in named
    )
    note = "nothing is trained yet: what follows from the weights' values is that of a random start"
    return Subject(what, q6, (bf, _float(bf)), _settings(recipe), (note,))


def _prices_designs(loaded: LoadedRecipe) -> bool:
    from torchq.recipe.schema_prices import PriceRecipe

    return isinstance(loaded.content, PriceRecipe)


def _designs(what: str, loaded: LoadedRecipe) -> Subject:
    """The designs of a recipe that only prices: the layers of the first, the totals of all."""
    from torchq.recipe.designs import network

    recipe: Any = loaded.content
    designs = [
        Network(name, network(recipe, design), settings=design.cost)
        for name, design in recipe.designs.items()
    ]
    return Subject(what, designs[0], tuple(designs[1:]), recipe.cost)


def _mains(
    what: str, recipe: Recipe, run: RunDir, example: Tensor, number: int | None, notes: list[str]
) -> list[Network]:
    """The trial that was asked for, or the picked one, or the best one so far."""
    from torchq.recipe.stages.choosing import picked_model
    from torchq.recipe.stages.searching import trials_of

    if number is None and run.done("train"):
        picked = run.read("train.json")["number"]
        return [Network(f"picked (trial {picked})", picked_model(recipe, run), example)]
    trials = trials_of(run)
    if number is not None:
        return [_trial(what, recipe, run, example, trials, number, notes)]
    complete = [trial for trial in trials if trial.complete]
    if not complete:
        return []
    best = max(complete, key=lambda trial: trial.score or 0.0)
    notes.append(f"no trial is picked yet; trial {best.number} has the best score so far")
    return [_trial(what, recipe, run, example, trials, best.number, notes)]


def _trial(
    what: str,
    recipe: Recipe,
    run: RunDir,
    example: Tensor,
    trials: list[Trial],
    number: int,
    notes: list[str],
) -> Network:
    from torchq.recipe.stages import workbench as bench
    from torchq.scheme import Scheme
    from torchq.train import load_weights

    trial = next((trial for trial in trials if trial.number == number), None)
    if trial is None:
        known = [str(trial.number) for trial in trials]
        raise CostError(f"{what}: has no trial {number}", hint=advice(str(number), known, title="Trials"))
    model = bench.quantized(recipe, run, Scheme.from_dict(trial.scheme))
    weights = run.file(f"candidate_{number}.pt")
    if weights.is_file():
        model = load_weights(weights, model)
    else:
        notes.append(f"trial {number} keeps no weights: what follows from their values is that of its start")
    return Network(f"trial {number}", model.eval(), example)


def _references(recipe: Recipe, run: RunDir, example: Tensor) -> list[Network]:
    """Q6 with its weights, BF, and the float network."""
    from torchq.recipe.stages import workbench as bench
    from torchq.train import load_weights

    def quantized(uniform: Any) -> nn.Module:
        return bench.quantized(recipe, run, bench.uniform_scheme(uniform)).eval()

    found = []
    if run.done("references"):
        q6 = load_weights(run.file("q6.pt"), quantized(recipe.references.q6))
        found.append(Network(Q6_NAME, q6, example))
    bf = Network(BF_NAME, quantized(recipe.references.bf), example)
    return [*found, bf, _float(bf)]


def _float(network: Network) -> Network:
    """The same layers with a float32 in every place."""
    from torchq.cost import UniformFormats, in_formats
    from torchq.formats import Float

    everywhere = UniformFormats(Float(32), Float(32), Float(32), Float(32))
    works: tuple[Workload, ...] = in_formats(network.model, everywhere, network.example)
    return Network(FLOAT_NAME, works, floats=True)


def _settings(recipe: Recipe) -> dict[str, Any]:
    return dict(recipe.cost)
