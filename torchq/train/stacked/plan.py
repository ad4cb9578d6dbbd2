"""Which candidates may stand in one stack, and which are trained alone, and why."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from torchq.prune.schedule import Schedule
from torchq.train.stacked.chain import Chain
from torchq.train.stacked.epochs import Settings
from torchq.train.stacked.layout import Layout
from torchq.train.stacked.pruning import refusal
from torchq.train.stacked.reading import chain_of

Members = list[tuple[int, Chain]]


@dataclass
class Plan:
    """Stacks to be made.

    Attributes:
        groups: a layout and its candidates: their numbers and chains.
        alone: the reason, for each candidate that is trained by ``fit``.
    """

    groups: list[tuple[Layout, Members]] = field(default_factory=list)
    alone: dict[int, str] = field(default_factory=dict)


def planned(
    models: Sequence[nn.Module],
    like: Sequence[nn.Module],
    settings: Settings,
    schedules: Sequence[Schedule | None],
) -> Plan:
    """Sort candidates by structure.

    Args:
        models: the candidates.
        like: models that the layouts must hold as well.
        settings: of the training.
        schedules: of each candidate's pruning.
    """
    plan = Plan()
    shape = tuple(settings.x.shape[1:])
    reason = _refusal(settings)
    groups: dict[object, Members] = {}
    for number, model in enumerate(models):
        chain = chain_of(model, shape) if reason is None else reason
        why = chain if isinstance(chain, str) else _misfit(chain, settings)
        if not isinstance(chain, str) and why is None and schedules[number] is not None:
            why = refusal(chain)
        if why is not None or isinstance(chain, str):
            plan.alone[number] = str(why)
        else:
            groups.setdefault(chain.structure, []).append((number, chain))
    others = [chain for model in like if isinstance(chain := chain_of(model, shape), Chain)]
    for structure, group in groups.items():
        chains = [chain for _, chain in group]
        layout = Layout.of([*chains, *(chain for chain in others if chain.structure == structure)])
        plan.groups.append((layout, group))
    return plan


def cut(group: Members, size: int) -> list[Members]:
    """Parts of about the same length, at most ``size`` (3 where that is 2 and one would be left over)."""
    size = max(size, 2)
    parts = max(min(-(-len(group) // size), len(group) // 2), 1)
    edges = [len(group) * index // parts for index in range(parts + 1)]
    return [group[a:b] for a, b in itertools.pairwise(edges)]


def _refusal(settings: Settings) -> str | None:
    """Why nothing can be stacked with these samples or this loss."""
    if not 2 <= settings.x.ndim <= 4:
        return f"samples of shape {list(settings.x.shape[1:])} are not stacked, only features and their maps"
    if settings.loss is None:
        for y in (settings.y, settings.valid_y):
            if y.ndim != 1 or y.is_floating_point() or int(y.min()) < 0:
                return "classes that are not numbers from 0 on are not stacked"
        return None
    try:
        logits, y = torch.zeros(2, 2, 2, device=settings.x.device), settings.y[:2].expand(2, -1)
        loss = settings.loss
        torch.vmap(torch.func.grad(lambda answer, classes: loss(answer, classes).sum()))(logits, y)
    except Exception as fault:  # whatever the loss raises under vmap
        return (
            f"the loss is not stacked: {str(fault).splitlines()[0] if str(fault) else type(fault).__name__}"
        )
    return None


def _misfit(chain: Chain, settings: Settings) -> str | None:
    """Why a candidate does not fit the samples; ``fit`` says it in its own words."""
    width = chain.features
    for link in chain.links:
        if (link.inputs or width) != width or (link.kind == "norm" and link.outputs != width):
            return f"{link.name} reads {link.inputs or link.outputs} features and gets {width}"
        width = link.outputs or width
    for x in (settings.x, settings.valid_x):
        if x.dtype != chain.dtype:
            kinds = [str(dtype).removeprefix("torch.") for dtype in (chain.dtype, x.dtype)]
            return f"it computes in {kinds[0]}, and the samples are {kinds[1]}"
    last = chain.links_with_weights[-1]
    if settings.loss is None and max(int(settings.y.max()), int(settings.valid_y.max())) >= last.outputs:
        return f"it has {last.outputs} logits, and there are more classes"
    if any(link.kind in ("norm", "folded") for link in chain.links) and len(settings.x) < 2:
        return "a batch norm cannot learn from one sample"
    return None
