"""Which layers read the model's input and which write its output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torchq.workload import Workload

_WIRES = ("input", "identity")


class Border(NamedTuple):
    """Layer names at the model's border.

    Args:
        sources: wires and quantizers that only make the model's input available.
        firsts: layers that read the model's input.
        lasts: layers that write the model's output.
    """

    sources: frozenset[str]
    firsts: frozenset[str]
    lasts: frozenset[str]


def border(workloads: Sequence[Workload]) -> Border:
    """Find the border of a network.

    A tensor that no layer makes is an input of the model. What a wire, or a quantizer of unquantized input,
    makes of it still is the model's input. A tensor that no layer reads is an output.

    Args:
        workloads: in the order of execution.

    Example:
        >>> from torchq.workload import TensorSpec
        >>> x, y, z = (TensorSpec(n, (4,), None) for n in ("x", "input", "fc1"))
        >>> found = border((Workload("input", "quantize", (x,), y), Workload("fc1", "linear", (y,), z)))
        >>> sorted(found.sources), sorted(found.firsts), sorted(found.lasts)
        (['input'], ['fc1'], ['fc1'])
    """
    made = {work.output.name for work in workloads}
    outside = {x.name for work in workloads for x in work.inputs if x.name not in made}
    sources, firsts = set(), set()
    for work in workloads:
        if not all(x.name in outside for x in work.inputs):
            if any(x.name in outside for x in work.inputs):
                firsts.add(work.layer)
            continue
        raw = all(x.format is None for x in work.inputs)
        if work.kind in _WIRES or (work.kind == "quantize" and raw):
            sources.add(work.layer)
            outside.add(work.output.name)
        else:
            firsts.add(work.layer)
    return Border(frozenset(sources), frozenset(firsts), frozenset(_lasts(workloads)))


def _lasts(workloads: Sequence[Workload]) -> set[str]:
    """Layers whose output nobody reads, wires behind them aside."""
    read: set[str] = set()
    lasts = set()
    for work in reversed(workloads):
        if work.output.name in read:
            read.update(x.name for x in work.inputs)
        elif work.kind in _WIRES:
            continue  # what it passes on is an output too
        else:
            lasts.add(work.layer)
            read.update(x.name for x in work.inputs)
    return lasts
