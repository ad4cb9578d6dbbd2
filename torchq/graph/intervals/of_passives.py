"""Steps without numbers of their own: relu, max pools, moves, one tensor of a tuple."""

from __future__ import annotations

import numpy as np
import torch

from torchq.graph.intervals.codes import Codes
from torchq.graph.intervals.interval import Interval, Value
from torchq.graph.intervals.part import Found, Part
from torchq.graph.intervals.rules import Site, by_format
from torchq.graph.moves import origins
from torchq.graph.steps import Step
from torchq.nn.registry import Passive


def passive_step(step: Step, passive: Passive, site: Site) -> Found:
    """What is known of a step that is no quantized layer.

    Args:
        step: how it is computed.
        passive: what it is.
        site: where it stands.
    """
    node, source = site.node, site.sources[0]
    if node.kind == "item":
        return Found(_item(step, source, site))
    if passive.moves:
        return Found(_moved(step, site))
    if passive.kind == "identity":
        return Found(source)
    if passive.kind == "relu":
        x = None if site.x is None else site.x.mapped(lambda codes: codes.clip(min=0))
    elif passive.kind == "max_pool":
        x = None if site.x is None else _pooled(step, site.x)
    else:
        x = None
    if x is None:
        return by_format(site)
    return Found(x, (Part(node.name, node.kind, output=x, factors=site.formats, format=node.format),))


def _moved(step: Step, site: Site) -> Interval | None:
    """The same ranges where the values went."""
    x, node, source = site.x, site.node, site.nodes[0]
    if x is None:
        return None
    indices = origins(
        step.name,
        lambda batch: step.compute(step.module, [batch], 3),
        source.shape,
        source.batch_axis,
        node.batch_axis,
    )
    return x.mapped(lambda codes: codes.reshape(-1)[indices])


def _item(step: Step, source: Value, site: Site) -> Value:
    """One of the tensors that a layer returns; without a rule for it, what its format says."""
    picked: Value = source[int(step.call.args[1])] if isinstance(source, tuple) else None
    return picked if picked is not None or site.node.format is None else by_format(site).value


def _pooled(step: Step, x: Interval) -> Interval:
    """The largest of each window: of both ends, whose order is all that counts."""

    def pool(codes: Codes) -> Codes:
        kinds, ranks = np.unique(codes, return_inverse=True)
        batch = torch.from_numpy(ranks.reshape(1, *codes.shape).astype(np.float64))
        picked = step.compute(step.module, [batch], 1)[0].numpy().astype(np.int64)
        return np.asarray(kinds[picked])

    return x.mapped(pool)
