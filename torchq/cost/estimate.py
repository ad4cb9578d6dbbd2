"""``estimate``: a model, a graph or workloads in, a :class:`CostReport` out."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from torchq.cost.base import TARGETS, Target
from torchq.cost.reference import with_softmax
from torchq.cost.report import CostReport, LayerCost
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
        example: an input or its shape with the batch axis, to trace a model with; not needed for the others.
        targets: what to price, by name (``TARGETS`` holds them).
        softmax: whether a float32 softmax stands behind the network. A torch model ends in logits, where a
            Keras model has a softmax row (11.41 pJ of each total in the table of arXiv:2006.10159).
        settings: the targets' settings, such as ``weights_on_memory="fixed"``; see the target's class.

    Returns:
        Totals and a row for each layer.

    Raises:
        CostError: a setting that no target has or that is out of range, or nothing to trace a model with.
        UnknownNameError: an unknown target, process or memory.
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
    works = _workloads(model, example)
    if softmax:
        works = with_softmax(works)
    asked = _targets(targets, settings)
    prices = {name: target.price(works) for name, target in asked.items()}
    total: dict[str, float] = {}
    for price in prices.values():
        total.update(price.total)
    rows = tuple(
        _row(work, {k: v for price in prices.values() for k, v in price.layers[i].items()})
        for i, work in enumerate(works)
    )
    used = {name: {f.name: getattr(target, f.name) for f in fields(target)} for name, target in asked.items()}
    return CostReport(total, rows, used, {name: target.unit for name, target in asked.items()})


def _workloads(model: Any, example: Any) -> tuple[Workload, ...]:
    if isinstance(model, Sequence) and all(isinstance(work, Workload) for work in model):
        return tuple(model)
    from torch import nn

    from torchq.graph import Graph, trace, workloads

    if isinstance(model, Graph):
        return workloads(model)
    if not isinstance(model, nn.Module):
        raise CostError(
            f"estimate: a model, a graph or workloads are needed, got {type(model).__name__}",
            hint="pass the quantized model and an example input",
        )
    if example is None:
        raise CostError("estimate: a model needs an example input", hint="pass a tensor or its shape")
    return workloads(trace(model, example))


def _targets(names: Sequence[str], settings: dict[str, Any]) -> dict[str, Target]:
    if isinstance(names, str):
        names = (names,)
    classes = {name: TARGETS.get(name) for name in names}
    knows = {name: [f.name for f in fields(cls)] for name, cls in classes.items()}
    known = sorted({setting for names in knows.values() for setting in names})
    for setting in settings:
        if setting not in known:
            near = difflib.get_close_matches(setting, known, n=1)
            advice = f"did you mean {near[0]!r}? " if near else ""
            raise CostError(
                f"unknown setting {setting!r} for {', '.join(names) or 'no target'}",
                hint=f"{advice}Known: {', '.join(known) or 'none'}",
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
