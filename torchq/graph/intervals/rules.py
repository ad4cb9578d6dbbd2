"""``rule``: what is known of what a layer makes, by its class; without a rule, what its format says."""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch
from typing import Any

from torchq.formats import Format
from torchq.graph.calls import Call, Operand
from torchq.graph.intervals.interval import Interval, Value, full
from torchq.graph.intervals.part import Found, Part
from torchq.graph.intervals.quantizers import quantized
from torchq.graph.model import Node
from torchq.nn.activation import QActivation, QReLU


@dataclass(frozen=True, eq=False)
class Site:
    """A node and what it reads.

    Args:
        node: the node.
        sources: the ranges of what it reads, in the order of ``node.inputs``.
        nodes: the nodes that it reads.
    """

    node: Node
    sources: tuple[Value, ...]
    nodes: tuple[Node, ...]

    @property
    def x(self) -> Interval | None:
        """The first tensor that it reads; None where nothing is known of it."""
        return self.ranges[0]

    @property
    def ranges(self) -> tuple[Interval | None, ...]:
        """What it reads, tensor by tensor."""
        return tuple(s if isinstance(s, Interval) else None for s in self.sources)

    @property
    def formats(self) -> tuple[Format | None, ...]:
        """The formats of what it reads."""
        return tuple(node.format for node in self.nodes)

    def number_of(self, name: str, position: int) -> int | None:
        """Which of the sources stands for an argument of the layer; None if it is left out."""
        call: Call | None = None if self.node.step is None else self.node.step.call
        if call is None:
            return None
        given: Any = call.kwargs.get(name)
        if given is None and position < len(call.args):
            given = call.args[position]
        return given.number if isinstance(given, Operand) else None


def by_format(site: Site) -> Found:
    """All that the format of the node says; unknown where it has none."""
    node = site.node
    value = None if node.format is None else full(node.format, node.shape)
    return Found(value, (Part(node.name, node.kind, output=value, factors=site.formats, format=node.format),))


@singledispatch
def rule(layer: object, site: Site) -> Found:  # noqa: ARG001
    """What is known of what a layer makes.

    Args:
        layer: in evaluation mode.
        site: where it stands.
    """
    return by_format(site)


@rule.register
def _activation(layer: QActivation, site: Site) -> Found:
    x = site.x
    if x is not None and isinstance(layer, QReLU) and not layer.contains_relu():
        x = x.mapped(lambda codes: codes.clip(min=0))
    value = quantized(x, layer.output_quantizer, site.node.shape)
    part = Part(
        site.node.name, layer.kind, output=value, factors=site.formats, format=layer.output_quantizer.format
    )
    return Found(value, (part,))
