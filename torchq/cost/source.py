"""Workloads of whatever is to be priced: a model, a traced graph, or workloads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from torchq.errors import CostError
from torchq.workload import ParamSpec, TensorSpec, Workload

if TYPE_CHECKING:
    from torch import Tensor, nn

    from torchq.graph import Graph


_WHOLE = (int, np.integer)


def workloads_of(
    model: nn.Module | Graph | Sequence[Workload], example: Tensor | tuple[int, ...] | None = None
) -> tuple[Workload, ...]:
    """The workloads of a network, in the order of execution, with wires taken out of the way.

    Args:
        model: a quantized model, a traced graph, or workloads.
        example: what to trace a model with: a batch, or the shape of one sample; see
            :func:`torchq.graph.trace`.

    Raises:
        CostError: none of these, or a negative size.
        GraphError: the model cannot be traced, or an edge that no quantizer made.

    Example:
        >>> from torchq.nn import QInput, QLinear
        >>> from torch import nn
        >>> q = "quantized_bits(6,0,alpha=1)"
        >>> fc = QLinear(16, 5, weight_quantizer=q, bias_quantizer=q)
        >>> [work.kind for work in workloads_of(nn.Sequential(QInput(q), nn.Dropout(0.1), fc))]
        ['quantize', 'linear']
    """
    given: Any = model
    if isinstance(given, Sequence) and not isinstance(given, str):
        found = tuple(given)
        odd = next((work for work in found if not isinstance(work, Workload)), None)
        if odd is not None:
            raise CostError(
                f"workloads can be priced, got a list with a {type(odd).__name__}",
                hint="pass the quantized model, or what workloads_of(model) returns",
            )
    else:
        found = _of_graph(_graph(model, example))
    for work in found:
        _check_sizes(work)
    return found


def _graph(model: Any, example: Any) -> Graph:
    from torch import nn

    from torchq.graph import Graph, trace

    if isinstance(model, Graph):
        return model
    if isinstance(model, nn.Module):
        return trace(model, example)
    raise CostError(
        f"a model, a graph or workloads can be priced, got {type(model).__name__}",
        hint="pass the quantized model",
    )


def _of_graph(graph: Graph) -> tuple[Workload, ...]:
    """Wires (dropout, flatten) are no workloads: who reads one reads what the wire reads."""
    from torchq.graph import workloads

    behind: dict[str, str] = {}
    for node in graph.nodes:
        if node.kind == "identity":
            (source,) = node.inputs
            behind[node.name] = behind.get(source, source)
    found = workloads(graph)
    if not behind:
        return found
    return tuple(
        replace(work, inputs=tuple(replace(x, name=behind.get(x.name, x.name)) for x in work.inputs))
        for work in found
    )


def _check_sizes(work: Workload) -> None:
    specs: tuple[TensorSpec | ParamSpec, ...] = (*work.inputs, work.output, *work.parameters)
    for what in specs:
        shape: Any = what.shape
        if not isinstance(shape, tuple) or not all(isinstance(size, _WHOLE) for size in shape):
            raise CostError(
                f"{work.layer}: {what.name} needs a shape of whole numbers, got {shape!r}",
                hint="write a tuple such as (16,)",
            )
        if any(size < 0 for size in shape):
            raise CostError(f"{work.layer}: sizes must be at least 0, {what.name} has shape {shape}")
    counts: tuple[Any, Any] = (work.macs, work.fan_in)
    if not all(isinstance(count, _WHOLE) for count in counts):
        raise CostError(
            f"{work.layer}: macs and fan_in must be whole numbers, got {counts[0]!r} and {counts[1]!r}"
        )
    if min(counts) < 0:
        raise CostError(
            f"{work.layer}: macs and fan_in must be at least 0, got {work.macs} and {work.fan_in}"
        )
