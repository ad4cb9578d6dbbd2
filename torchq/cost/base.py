"""What a cost target is, what it returns, and the registry of targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from torchq.registry import Registry
from torchq.workload import Workload

Costs = Mapping[str, float]
"""Each figure of a target under its name, its parts under ``<figure>_<part>``."""


@dataclass(frozen=True)
class Price:
    """What a target says of a network.

    Args:
        total: figures of the whole network.
        layers: figures of each layer, in the order of the workloads; what has no meaning for one layer is
            left out.
        notes: figure -> where it comes from and how wrong it is, such as ``"source=estimate: held-out
            designs: median error 6 %, worst 21 %"``; exact counts need none.
    """

    total: Costs
    layers: tuple[Costs, ...]
    notes: Mapping[str, str] = field(default_factory=dict)


class Target(Protocol):
    """One way to price a network: a frozen dataclass whose fields are its settings, with defaults.

    A new target is one file with such a class under ``@TARGETS.register(name)``, and its import in
    ``torchq/cost/__init__.py``. It checks its settings when it is made, reads workloads and nothing else,
    and keeps no state. ``units`` names its figures, each with its unit; no other target has a figure of the
    same name, so that a search or a recipe may name the figure alone. A figure of which more is better is
    listed in ``gains: ClassVar[frozenset[str]]`` and can be no search's cost.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]
    units: ClassVar[Mapping[str, str]]

    def price(self, workloads: Sequence[Workload]) -> Price:
        """The price of a network, whose layers come in the order of execution."""
        ...


TARGETS: Registry[type[Target]] = Registry("cost target")
