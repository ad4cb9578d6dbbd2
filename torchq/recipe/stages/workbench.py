"""What several stages need: the data of a recipe, its float network, its schemes, and how to train."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import nn

from torchq.autoq import candidate
from torchq.autoq.candidate import pruned
from torchq.cost import CostReport, estimate
from torchq.data import Dataset
from torchq.data import load as load_data
from torchq.graph import trace, workloads
from torchq.recipe.figures import FPGA_FIGURES
from torchq.recipe.rundir import RunDir
from torchq.recipe.schema import Data, Recipe, Uniform
from torchq.recipe.schema_parts import Training
from torchq.recipe.searches import cost_settings, goal_costs, untrained
from torchq.recipe.show import Show
from torchq.scheme import Scheme
from torchq.search import Settings
from torchq.train import History, accuracy, auc, fit, load_weights, predict_logits, roc


@cache
def dataset(data: Data) -> Dataset:
    """The data of a recipe; read once a process."""
    return load_data(
        data.name,
        source=data.source,
        path=data.path,
        label=data.label,
        seed=data.seed,
        fractions=(data.train, data.valid, round(1 - data.train - data.valid, 12)),
        limit=data.limit,
    )


def port_names(data: Dataset) -> dict[str, Any]:
    """What a firmware engineer must know of inputs and outputs, as metadata of an ONNX file."""
    return {
        "standardisation": {"mean": data.mean.tolist(), "scale": data.scale.tolist()},
        "features": list(data.features),
        "classes": list(data.classes),
    }


def float_model(recipe: Recipe) -> nn.Module:
    """The untrained float network of a recipe."""
    data = dataset(recipe.data)
    return untrained(recipe, len(data.features), len(data.classes))


def trained_float(recipe: Recipe, run: RunDir) -> nn.Module:
    """The float network as the float stage left it."""
    return load_weights(run.file("float.pt"), float_model(recipe))


def quantized(
    recipe: Recipe, run: RunDir, scheme: Scheme, settings: Settings | None = None, seed: int = 0
) -> nn.Module:
    """The trained float network under a scheme and settings, before any training of its own."""
    return candidate(trained_float(recipe, run), scheme, settings, example=example(recipe), seed=seed)


def example(recipe: Recipe) -> torch.Tensor:
    """One input of the network, ``[1, features]``."""
    return torch.from_numpy(dataset(recipe.data).train.x[:1])


def uniform_scheme(uniform: Uniform) -> Scheme:
    """The scheme of a reference network."""
    return Scheme.uniform(
        input=uniform.input, weight=uniform.weight, bias=uniform.bias, output=uniform.output
    )


def figures(recipe: Recipe) -> tuple[str, ...]:
    """Every cost figure that the recipe and the report name."""
    limited = (*recipe.pick.times_lower, *recipe.pick.at_most)
    return tuple(dict.fromkeys(("bits", "energy_pj", *goal_costs(recipe), *limited)))


def price(recipe: Recipe, model: nn.Module) -> CostReport:
    """What a quantized network costs, layer by layer, in the figures that the recipe names."""
    named = figures(recipe)
    return estimate(model, example(recipe), targets=named, **cost_settings(recipe, named))


def price_on_fpga(recipe: Recipe, model: nn.Module) -> CostReport:
    """What a quantized network would take of an FPGA: bit operations, and estimates with their errors."""
    settings = {"clock_ns": recipe.lower.clock_ns, **cost_settings(recipe, FPGA_FIGURES)}
    return estimate(model, example(recipe), targets=FPGA_FIGURES, **settings)


def costs(recipe: Recipe, report: CostReport) -> dict[str, float]:
    """The totals of a report, one number a figure."""
    return {name: float(report.total[name]) for name in figures(recipe)}


def shapes(recipe: Recipe, model: nn.Module) -> dict[str, dict[str, Any]]:
    """The output shape and the number of parameters of each layer, by name."""
    works = workloads(trace(model, example(recipe)))
    return {
        work.layer: {
            "shape": list(work.output.shape),
            "parameters": sum(parameter.count for parameter in work.parameters),
        }
        for work in works
    }


def train(
    recipe: Recipe,
    model: nn.Module,
    training: Training,
    seed: int,
    *,
    settings: Settings | None = None,
    checkpoint: Any = None,
    show: Show | None = None,
    text: str = "",
) -> History:
    """Train a network on the training split, watching the validation split.

    ``settings`` may prune it, and set another learning rate. With a ``checkpoint`` a killed training goes on
    after its last epoch; with ``show`` a bar named ``text`` is drawn, one step an epoch.
    """
    data = dataset(recipe.data)
    settings = settings or Settings()
    pruners = pruned(model, settings)
    with (show or Show()).bar(text, training.epochs) as advance:
        return fit(
            model,
            (data.train.x, data.train.y),
            (data.valid.x, data.valid.y),
            epochs=training.epochs,
            batch_size=training.batch_size,
            lr=settings.learning_rate or training.learning_rate,
            after_step=[pruner.step for pruner in pruners],
            weight_decay=training.weight_decay,
            schedule=training.schedule,
            patience=training.patience,
            seed=seed,
            device=recipe.device,
            checkpoint=checkpoint,
            on_epoch=lambda record: advance(
                f"loss {record.valid_loss:.4f}  accuracy {100 * record.valid_accuracy:.2f} %", record.epoch
            ),
        )


def measure(recipe: Recipe, model: nn.Module) -> dict[str, Any]:
    """Accuracy, areas under the curves and the curves themselves, on the test split."""
    data = dataset(recipe.data)
    scores = predict_logits(model, data.test.x)
    areas = auc(data.test.y, scores, data.classes)
    curves = {name: roc(data.test.y, scores, i) for i, name in enumerate(data.classes)}
    return {
        "accuracy": accuracy(data.test.y, scores),
        "auc_macro": areas.macro,
        "auc": dict(areas.per_class),
        "roc": {name: {"fpr": list(c.fpr), "tpr": list(c.tpr)} for name, c in curves.items()},
    }
