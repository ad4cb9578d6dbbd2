"""What a graph computes, node by node, and the work it does."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchq.errors import GraphError
from torchq.formats import FixedPoint
from torchq.graph.model import Graph, Node
from torchq.graph.steps import Step
from torchq.nn import QLayer
from torchq.nn.registry import passive_module
from torchq.workload import Operation, TensorSpec, Workload

WIRES = ("input", "identity", "reshape", "transpose", "item")
"""Kinds of nodes that do no work."""

EXACT_BITS = 53
"""Float64 holds every integer of this many bits."""


def evaluate(graph: Graph, x: Tensor) -> dict[str, Tensor]:
    """The tensor that leaves each node, in evaluation mode; the model stays as it is.

    In float64 every value is exact. In float32 it is, as long as no sum needs more than 24 bits.

    Args:
        graph: from :func:`~torchq.graph.trace`.
        x: a batch ``[n, ...]`` of floats, and its dtype is that of the computation; or of whole numbers for
            a model that starts with an embedding, which is computed in float64.

    Returns:
        Tensors ``[n, ...]`` by node name, the input included; tuples where a layer returns one.

    Raises:
        GraphError: the samples have another shape than the graph's, or ``x`` is in float64 and a sum is so
            wide that float64 would round it.

    Example:
        >>> from torch import nn
        >>> from torchq.graph import trace
        >>> from torchq.nn import QInput
        >>> graph = trace(nn.Sequential(QInput("quantized_bits(4,0,alpha=1)")), (2,))
        >>> evaluate(graph, torch.tensor([[0.3, 7.0]], dtype=torch.float64))["0"].tolist()
        [[0.25, 0.875]]
    """
    first = graph.node(graph.input)
    if tuple(x.shape[1:]) != first.shape:
        raise GraphError(f"{first.name} has samples of shape {first.shape}, got {tuple(x.shape[1:])}")
    dtype = x.dtype if x.is_floating_point() else torch.float64
    if dtype == torch.float64:
        _check_exact(graph)
    values: dict[str, Any] = {}
    with torch.no_grad():
        for node in graph.nodes:
            values[node.name] = x if node.step is None else _computed(node, node.step, values, len(x), dtype)
    return values


def _computed(node: Node, step: Step, values: Mapping[str, Any], batch: int, dtype: torch.dtype) -> Any:
    given = [values[name] for name in node.inputs]
    given = [value.clone() if isinstance(value, Tensor) else value for value in given]
    if node.module is None:
        return step.compute(None, given, batch)
    like = next((value for value in given if isinstance(value, Tensor)), None)
    module = copy.deepcopy(node.module).to(device=None if like is None else like.device, dtype=dtype).eval()
    return step.compute(module, given, batch)  # of clones, since a relu may be in place


def _check_exact(graph: Graph) -> None:
    for node in graph.nodes:
        format = node.format
        width = int(np.max(format.width)) if isinstance(format, FixedPoint) else 0
        if width > EXACT_BITS:
            raise GraphError(
                f"{node.name} needs {width} bits, and float64 is exact up to {EXACT_BITS}",
                hint="use narrower weights or activations",
            )


def workloads(graph: Graph) -> tuple[Workload, ...]:
    """The work of every layer, in the order of computation; identities and the input do none.

    Args:
        graph: from :func:`~torchq.graph.trace`.
    """
    found: list[Workload] = []
    for node in graph.nodes:
        if node.kind in WIRES:
            continue
        inputs = tuple(_spec(graph, graph.node(name)) for name in node.inputs)
        if isinstance(node.module, QLayer):
            found += node.module.workloads(node.name, inputs, node.spec)
        else:
            work = _passive_work(node, inputs[0])
            found.append(Workload(node.name, node.kind, inputs, node.spec, operations=work))
    return tuple(found)


def _passive_work(node: Node, source: TensorSpec) -> tuple[Operation, ...]:
    """What a layer without quantizers computes."""
    passive = None if node.module is None else passive_module(node.module)
    if passive is None or passive.operations is None or node.module is None:
        return ()
    return passive.operations(node.module, source, node.spec)


def _spec(graph: Graph, node: Node) -> TensorSpec:
    """A tensor by the name of the layer that made its values, reshaped as it is read."""
    spec, maker = node.spec, node
    while maker.kind in WIRES and maker.inputs:
        maker = graph.node(maker.inputs[0])
    return replace(spec, name=maker.name)
