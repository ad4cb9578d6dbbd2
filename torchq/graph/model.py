"""``Node`` and ``Graph``: a traced model, with a shape and a number format on every edge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from torch import nn

from torchq.advice import advice
from torchq.errors import GraphError
from torchq.formats import Format
from torchq.graph.shapes import Size
from torchq.graph.steps import Step, Symbolic
from torchq.workload import TensorSpec


@dataclass(frozen=True)
class Node:
    """One step of a model and the tensor that leaves it.

    Args:
        name: the module's name in the model (``"fc1"``, ``"block.fc1"``), or the name that tracing gave to a
            function's call.
        kind: ``"input"``, ``"quantize"``, ``"linear"``, ``"relu"``, ``"identity"`` (dropout), ``"reshape"``
            (the values in their order), ``"transpose"`` (in another order, or some of them), ``"item"`` (one
            tensor of a tuple), ``"softmax"``, or what a layer says of itself.
        inputs: the names of the nodes that it reads, in the order of its arguments.
        shape: of what leaves it, without the batch axis; of the first tensor where it is a tuple.
        format: of what leaves it; None for the input, after a softmax, and where no grid holds it.
        module: what computes it; None for the input and for functions. One module may stand in many nodes.
        step: how it is computed; None for the input.
        quantized: whether what leaves it was made by a quantizer (perhaps with a relu after it).
        batch_axis: the axis of the whole tensor that counts the samples.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    shape: tuple[int, ...]
    format: Format | None
    module: nn.Module | None = None
    step: Step | None = None
    quantized: bool = False
    batch_axis: int = 0

    @property
    def spec(self) -> TensorSpec:
        """What leaves it, as a value."""
        return TensorSpec(self.name, self.shape, self.format)


@dataclass(frozen=True)
class Traced:
    """What tracing found before any format: the steps, and the shapes that they make.

    Args:
        found: the steps.
        sizes: by step name, the input's included.
    """

    found: Symbolic
    sizes: Mapping[str, Size]


@dataclass(frozen=True)
class Graph:
    """The nodes of a model in the order in which they are computed.

    Args:
        nodes: inputs before those who read them.
        input: the name of the first node.
        output: the name of the node whose tensor is the model's result.
        traced: what :func:`~torchq.graph.rewired` goes over again; no part of what makes two graphs equal.
    """

    nodes: tuple[Node, ...]
    input: str
    output: str
    traced: Traced | None = field(default=None, compare=False, repr=False)

    @cached_property
    def _by_name(self) -> dict[str, Node]:
        return {node.name: node for node in self.nodes}

    def node(self, name: str) -> Node:
        """The node of this name.

        Raises:
            GraphError: there is none; the message proposes the nearest name.
        """
        try:
            return self._by_name[name]
        except KeyError:
            known = [node.name for node in self.nodes]
            raise GraphError(f"the model has no node {name!r}", hint=advice(name, known, "Nodes")) from None

    def consumers(self, name: str) -> tuple[Node, ...]:
        """The nodes that read what leaves this one."""
        return tuple(node for node in self.nodes if name in node.inputs)

    def __str__(self) -> str:
        return "\n".join(
            f"{node.name}: {node.kind}({', '.join(node.inputs)}) -> {list(node.shape)} {node.format}"
            for node in self.nodes
        )
