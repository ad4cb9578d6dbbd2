"""The designs of a recipe that prices: the network of each, its figures, and what was published of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn

from torchq.advice import advice
from torchq.cost import (
    CostReport,
    estimate,
    figures,
    make_targets,
    with_batch_norms,
    with_softmax,
    workloads_of,
)
from torchq.errors import CostError, SchemeError
from torchq.recipe.schema_prices import Design, PriceRecipe
from torchq.scheme import Scheme
from torchq.workload import Workload

_UNITS = {"_uj": ("_pj", 1e-6, "uJ"), "_nj": ("_pj", 1e-3, "nJ")}
"""Endings of figures in another unit: the ending that is priced, the factor, the unit."""


def priced(recipe: PriceRecipe, name: str, design: Design) -> dict[str, Any]:
    """One design: its rows and totals, each beside the published figure if there is one.

    Raises:
        TorchqError: the design does not fit the model, or a published figure has nothing to stand beside.
    """
    totals = _totals(recipe, design)
    settings: dict[str, Any] = {**recipe.cost, **design.cost}
    report = estimate(network(recipe, design), targets=_targets(totals), **settings)
    return {
        "name": name,
        "note": design.note,
        "settings": {target: dict(found) for target, found in report.settings.items()},
        "rows": list(_rows(recipe, design, report)),
        "totals": [_total(total, report, design.published.total.get(total)) for total in totals],
        "costs": report.to_dict(),
    }


def check_figure(name: str) -> None:
    """See that a figure, or the figure that it is a part of, exists.

    Raises:
        CostError: it does not.
    """
    _figure(name)


def check_settings(recipe: PriceRecipe) -> None:
    """See that the settings of all designs are such that targets know.

    Raises:
        TorchqError: an unknown setting, or one out of range.
    """
    named = [total for design in recipe.designs.values() for total in _totals(recipe, design)]
    known = [total for total in named if _owners(_priced_as(total)[0])]
    make_targets(_targets(known), recipe.cost)


def network(recipe: PriceRecipe, design: Design) -> tuple[Workload, ...]:
    """The workloads of a design, whose weights are those of a random start: no price depends on them.

    Raises:
        TorchqError: the design does not fit the model.
    """
    from torchq.convert import quantize
    from torchq.models import MODELS

    units = recipe.model.units if design.units is None else design.units
    model = MODELS.get(recipe.model.name)(units=units, batch_norm=recipe.model.batch_norm, seed=0)
    _drop_biases(model, design.without_bias)
    given = {layer: slots.model_dump(exclude_none=True) for layer, slots in design.layers.items()}
    works = workloads_of(quantize(model, Scheme(given, input=design.input)))
    kept = design.batch_norms
    if kept is not None:
        works = with_batch_norms(works, kept.behind, kept.numbers, kept.bits)
    return with_softmax(works, recipe.softmax_bits) if recipe.softmax else works


def _drop_biases(model: nn.Module, names: Iterable[str]) -> None:
    layers = dict(model.named_modules())
    having = [name for name, layer in layers.items() if getattr(layer, "bias", None) is not None]
    for name in names:
        if name not in having:
            raise SchemeError(f"without_bias: {name} is no layer with a bias", hint=advice(name, having))
        layers[name].register_parameter("bias", None)


# ---------------------------------------------------------------------- figures


def _totals(recipe: PriceRecipe, design: Design) -> tuple[str, ...]:
    """The figures of the whole network: the published ones, and the recipe's own ones beside."""
    published = tuple(design.published.total)
    shown = {_priced_as(name)[0] for name in published}
    return (*published, *(name for name in (recipe.figure, "bits") if name not in shown))


def _priced_as(name: str) -> tuple[str, float, str]:
    """The figure that a total is computed from, the factor, and its unit ("" for the figure's own)."""
    for ending, (own, factor, unit) in _UNITS.items():
        if name.endswith(ending):
            return name.removesuffix(ending) + own, factor, unit
    return name, 1.0, ""


def _targets(totals: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_figure(_priced_as(total)[0]) for total in totals))


def _owners(name: str) -> list[str]:
    return [figure for figure in figures() if name == figure or name.startswith(f"{figure}_")]


def _figure(name: str) -> str:
    """The figure that a part of one belongs to: ``energy_pj`` for ``energy_pj_op_cost``.

    Raises:
        CostError: there is none.
    """
    owners = _owners(name)
    if not owners:
        raise CostError(f"unknown figure {name!r}", hint=advice(name, [*figures(), "energy_uj"]))
    return max(owners, key=len)


def unit_of(name: str) -> str:
    """The unit of a figure, or of the figure that it is a part of."""
    from torchq.cost import TARGETS, target_of

    figure = _figure(name)
    return TARGETS.get(target_of(figure)).units[figure]


def _total(name: str, report: CostReport, published: str | None) -> dict[str, Any]:
    figure, factor, unit = _priced_as(name)
    if figure not in report.total:
        raise CostError(f"unknown figure {name!r}", hint=advice(name, list(report.total)))
    ours = report.total[figure] * factor
    return {"figure": name, "unit": unit or unit_of(figure), **_beside(ours, published)}


def _rows(recipe: PriceRecipe, design: Design, report: CostReport) -> Iterable[dict[str, Any]]:
    published = design.published.layers
    known = [row.layer for row in report.layers]
    for layer in published:
        if layer not in known:
            raise CostError(f"published.layers: {layer} is no layer of the design", hint=advice(layer, known))
    if not any(recipe.figure in row.costs for row in report.layers):
        raise CostError(
            f"{recipe.figure} is no figure of a layer", hint=advice(recipe.figure, list(report.total))
        )
    for row in report.layers:
        ours = row.costs.get(recipe.figure, 0.0)
        if not ours and row.layer not in published:
            continue  # wires and the quantizer of the input
        yield {
            "layer": row.layer,
            "kind": row.kind,
            "weight": row.weight,
            "output": row.output,
            **_beside(ours, published.get(row.layer)),
        }


def _beside(ours: float, published: str | None) -> dict[str, Any]:
    """A figure of ours, and what was printed: equal if ours, printed to as many digits, is the same text."""
    if published is None:
        return {"ours": ours, "published": None, "difference": None, "equal": None}
    digits = len(published.partition(".")[2])
    same = f"{ours:.{digits}f}" == published
    return {"ours": ours, "published": published, "difference": ours - float(published), "equal": same}
