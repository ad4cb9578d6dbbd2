"""``intervals``: the range of every element of every edge of a model, and of what its layers compute."""

from __future__ import annotations

import copy
from collections.abc import Mapping

from torch import nn

from torchq.graph.intervals import (  # noqa: F401 - each registers its rules
    of_attention,
    of_layer_norm,
    of_merges,
    of_pools,
    of_products,
    of_recurrent,
    of_tables,
)
from torchq.graph.intervals.of_passives import passive_step
from torchq.graph.intervals.part import Found
from torchq.graph.intervals.rules import Site, by_format, rule
from torchq.graph.model import Graph
from torchq.nn import QLayer


def intervals(graph: Graph) -> Mapping[str, Found]:
    """Which values each edge, and each sum and product on the way to it, can take.

    Everything is done in integers, so the answer is a proof: no input whatever leads outside. Sums of
    products are split by the sign of their weights, quantizers and relus are asked at both ends, tables at
    all their codes. What a recurrent layer reads from its state, and what nothing better is known of, is
    all that the format can say. The model stays as it is; it is looked at as in evaluation.

    Args:
        graph: from :func:`~torchq.graph.trace`.

    Returns:
        By node name. A value is None in front of the first quantizer, and where no fixed-point grid holds it;
        it is a tuple where the layer returns one.

    Example:
        >>> import torch
        >>> from torchq.graph import trace
        >>> from torchq.nn import QInput, QLinear
        >>> fc = QLinear(2, 1, bias=False, weight_quantizer="quantized_bits(4,1,alpha=1)")
        >>> _ = torch.nn.init.constant_(fc.weight, 0.5)
        >>> found = intervals(trace(nn.Sequential(QInput("quantized_relu(3,3)"), fc)))
        >>> found["1"].value.ends()[1].tolist(), str(found["1"].value.format())
        ([7.0], 'ap_ufixed<4,3,TRN,WRAP>')
    """
    found: dict[str, Found] = {}
    for node in graph.nodes:
        site = Site(
            node,
            tuple(found[name].value for name in node.inputs),
            tuple(graph.node(name) for name in node.inputs),
        )
        if node.step is None:
            found[node.name] = Found(None)
        elif isinstance(node.module, QLayer):
            found[node.name] = rule(_evaluated(node.module), site)
        elif node.step.passive is not None:
            found[node.name] = passive_step(node.step, node.step.passive, site)
        else:
            found[node.name] = by_format(site)
    return found


def _evaluated(module: nn.Module) -> nn.Module:
    """The module in evaluation mode, by a copy where it is in training."""
    return copy.deepcopy(module).eval() if any(m.training for m in module.modules()) else module
