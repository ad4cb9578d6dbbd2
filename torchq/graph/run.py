"""What a graph computes, node by node, and the work it does."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from torchq.errors import GraphError
from torchq.graph.model import Graph, Node
from torchq.nn import QLayer
from torchq.workload import Workload

EXACT_BITS = 53
"""Float64 holds every integer of this many bits."""


def evaluate(graph: Graph, x: Tensor) -> dict[str, Tensor]:
    """The tensor that leaves each node, in evaluation mode; the model stays as it is.

    In float64 every value is exact. In float32 it is, as long as no sum needs more than 24 bits.

    Args:
        graph: from :func:`~torchq.graph.trace`.
        x: a batch ``[n, ...]`` of floats; its dtype is that of the computation.

    Returns:
        Tensors ``[n, ...]`` by node name, the input included.

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
    if x.dtype == torch.float64:
        _check_exact(graph)
    values: dict[str, Tensor] = {}
    with torch.no_grad():
        for node in graph.nodes:
            values[node.name] = x if node.kind == "input" else _computed(node, values[node.inputs[0]])
    return values


def _computed(node: Node, value: Tensor) -> Tensor:
    if node.module is None:
        assert node.function is not None  # noqa: S101 - told to the type checker
        return node.function(value)
    module = copy.deepcopy(node.module).to(device=value.device, dtype=value.dtype).eval()
    result: Tensor = module(value.clone())  # a clone, since a relu may be in place
    return result


def _check_exact(graph: Graph) -> None:
    for node in graph.nodes:
        if node.format is not None and node.format.width > EXACT_BITS:
            raise GraphError(
                f"{node.name} needs {node.format.width} bits, and float64 is exact up to {EXACT_BITS}",
                hint="use narrower weights or activations",
            )


def workloads(graph: Graph) -> tuple[Workload, ...]:
    """The work of every layer, in the order of computation; identities and the input do none.

    Args:
        graph: from :func:`~torchq.graph.trace`.
    """
    found = []
    for node in graph.nodes:
        if node.kind in ("input", "identity"):
            continue
        inputs = tuple(graph.node(name).spec for name in node.inputs)
        if isinstance(node.module, QLayer):
            found.append(node.module.workload(node.name, inputs, node.spec))
        else:
            found.append(Workload(node.name, node.kind, inputs, node.spec))
    return tuple(found)
