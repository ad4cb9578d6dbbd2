"""The first stages: the data, the float network, and the references that the picked network must beat."""

from __future__ import annotations

from torchq.recipe.rundir import RunDir
from torchq.recipe.schema import Recipe
from torchq.recipe.show import Show
from torchq.recipe.stages import workbench as bench
from torchq.train import save_weights


def prepare_data(recipe: Recipe, run: RunDir, show: Show) -> None:
    """Read, split and standardise; the standardisation is kept, for it defines the firmware's input."""
    show.stage("data", f"{recipe.data.name}, source {recipe.data.source}")
    data = bench.dataset(recipe.data)
    for line in data.summary().splitlines():
        show.fact(line)
    run.finish("data", data.to_dict())


def train_float(recipe: Recipe, run: RunDir, show: Show) -> None:
    """Train the float network that everything is measured against."""
    show.stage("float", f"{recipe.model.name}, {recipe.train.epochs} epochs at most")
    model = bench.float_model(recipe)
    checkpoint = run.file("float.training.pt")
    history = bench.train(
        recipe, model, recipe.train, recipe.seed, checkpoint=checkpoint, show=show, text="float"
    )
    save_weights(run.file("float.pt"), model)
    facts = bench.measure(recipe, model)
    show.fact(f"test accuracy {100 * facts['accuracy']:.2f} %, macro AUC {facts['auc_macro']:.4f}")
    valid = history.best.valid_accuracy
    run.finish("float", {**facts, "valid_accuracy": valid, "history": history.to_dict()})
    checkpoint.unlink(missing_ok=True)


def train_references(recipe: Recipe, run: RunDir, show: Show) -> None:
    """Price the 16-bit reference BF, and train and price the uniform 6-bit network Q6."""
    show.stage("references", "BF (priced) and Q6 (trained)")
    reference = bench.quantized(recipe, run, bench.uniform_scheme(recipe.references.bf))
    bf = bench.price(recipe, reference)
    show.fact(f"BF: {bf.total['bits']:,.0f} bits, {bf.total['energy_pj']:,.0f} pJ")

    scheme = bench.uniform_scheme(recipe.references.q6)
    model = bench.quantized(recipe, run, scheme)
    checkpoint = run.file("q6.training.pt")
    history = bench.train(
        recipe, model, recipe.references.train, recipe.seed, checkpoint=checkpoint, show=show, text="Q6"
    )
    save_weights(run.file("q6.pt"), model)
    facts = bench.measure(recipe, model)
    q6 = bench.price(recipe, model)
    show.fact(
        f"Q6: {q6.total['bits']:,.0f} bits, {q6.total['energy_pj']:,.0f} pJ, "
        f"test accuracy {100 * facts['accuracy']:.2f} %"
    )
    run.finish(
        "references",
        {
            "bf": {"cost": bf.to_dict(), "fpga": bench.price_on_fpga(recipe, reference).to_dict()},
            "q6": {
                **facts,
                "valid_accuracy": history.best.valid_accuracy,
                "cost": q6.to_dict(),
                "fpga": bench.price_on_fpga(recipe, model).to_dict(),
                "scheme": scheme.to_dict(),
                "history": history.to_dict(),
            },
        },
    )
    checkpoint.unlink(missing_ok=True)
