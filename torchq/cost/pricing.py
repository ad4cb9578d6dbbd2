"""``estimate``: a model, a graph or workloads in, a :class:`CostReport` out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from torchq.advice import advice
from torchq.cost.base import TARGETS, Target
from torchq.cost.figures import figures, target_of
from torchq.cost.reference import with_softmax
from torchq.cost.report import CostReport, LayerCost
from torchq.cost.source import workloads_of
from torchq.errors import CostError
from torchq.workload import ParamSpec, Workload

if TYPE_CHECKING:
    from torch import Tensor, nn

    from torchq.graph import Graph


def estimate(
    model: nn.Module | Graph | Sequence[Workload],
    example: Tensor | tuple[int, ...] | None = None,
    targets: Sequence[str] = ("bits", "energy_pj"),
    *,
    softmax: bool = False,
    **settings: Any,
) -> CostReport:
    """What one inference of a network costs.

    Args:
        model: a quantized model, a traced graph, or the workloads of its layers in the order of execution
            (such as :func:`torchq.cost.in_formats` returns them).
        example: what to trace a model with: a batch, or the shape of one sample. Not needed for the others,
            nor if the shape follows from the first layer.
        targets: what to price: names of targets (``TARGETS`` holds them) or of their figures, which stand
            for the target that they are of.
        softmax: whether a float32 softmax stands behind the network. A torch model ends in logits, where a
            Keras model has a softmax row (11.41 pJ of each total in the table of arXiv:2006.10159).
        settings: the targets' settings, such as ``weights_on_memory="fixed"``; see the target's class.

    Returns:
        Totals and a row for each layer.

    Raises:
        CostError: a setting that no target has or that is out of range, or a negative size.
        UnknownNameError: an unknown target, figure, process or memory.
        GraphError: the model cannot be traced, or an edge that no quantizer made.

    Example:
        >>> from torchq.formats import FixedPoint
        >>> from torchq.workload import TensorSpec
        >>> x, y = TensorSpec("input", (16,), FixedPoint(16, 7)), TensorSpec("fc1", (64,), None)
        >>> weight = ParamSpec("weight", (64, 16), FixedPoint(6, 1))
        >>> fc1 = Workload("fc1", "linear", (x,), y, macs=1024, fan_in=16, weight=weight)
        >>> report = estimate([fc1])
        >>> report.total["bits"], round(report.total["energy_pj"], 2)
        (6144, 765.23)
    """
    works = workloads_of(model, example)
    if not isinstance(softmax, bool):
        raise CostError(f"softmax must be true or false, got {softmax!r}")
    if softmax:
        works = with_softmax(works)
    asked = make_targets(targets, settings)
    prices = {name: target.price(works) for name, target in asked.items()}
    total: dict[str, float] = {}
    notes: dict[str, str] = {}
    for price in prices.values():
        total.update(price.total)
        notes.update(price.notes)
    rows = tuple(
        _row(work, {k: v for price in prices.values() for k, v in price.layers[i].items()})
        for i, work in enumerate(works)
    )
    used = {name: {f.name: getattr(target, f.name) for f in fields(target)} for name, target in asked.items()}
    units = {figure: unit for target in asked.values() for figure, unit in target.units.items()}
    return CostReport(total, rows, used, units, notes)


def make_targets(names: Sequence[str], settings: Mapping[str, Any]) -> dict[str, Target]:
    """The targets of these names with these settings; each takes those it knows.

    Args:
        names: of targets, or of their figures.
        settings: of the targets.

    Returns:
        The targets by their own names.

    Raises:
        CostError: a setting that none of the targets has, or a value out of range.
        UnknownNameError: an unknown target, figure, process or memory.

    Example:
        >>> make_targets(["energy_pj"], {"rd_wr_on_io": True})["energy_pj"].rd_wr_on_io
        True
    """
    names = (names,) if isinstance(names, str) else tuple(names)
    if not names:
        known_names = sorted({*TARGETS, *figures()})
        raise CostError("no cost target was named", hint=f"Known: {', '.join(known_names)}")
    targets = dict.fromkeys(target_of(name) for name in names)
    classes = {name: TARGETS.get(name) for name in targets}
    knows = {name: {f.name for f in fields(cls)} for name, cls in classes.items()}
    known = sorted(set().union(*knows.values()))
    for setting in settings:
        if setting not in known:
            raise CostError(
                f"unknown setting {setting!r} for {', '.join(classes)}",
                hint=advice(setting, known or ["none"]),
            )
    return {
        name: cls(**{k: v for k, v in settings.items() if k in knows[name]}) for name, cls in classes.items()
    }


def _row(work: Workload, costs: dict[str, float]) -> LayerCost:
    return LayerCost(
        layer=work.layer,
        kind=work.kind,
        weight=_format(work.weight),
        bias=_format(work.bias),
        accumulator="" if work.accumulator is None else str(work.accumulator),
        output="float32" if work.output.format is None else str(work.output.format),
        macs=work.macs,
        zeros=work.zeros,
        costs=costs,
    )


def _format(spec: ParamSpec | None) -> str:
    if spec is None:
        return ""
    return "float32" if spec.format is None else str(spec.format)
