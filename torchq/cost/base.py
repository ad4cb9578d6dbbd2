"""What a cost target is, what it returns, and the registry of targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from torchq.registry import Registry
from torchq.workload import Workload

Costs = Mapping[str, float]
"""A target's figure under the target's name, its parts under ``<target>_<part>``."""


@dataclass(frozen=True)
class Price:
    """What a target says of a network.

    Args:
        total: figures of the whole network.
        layers: figures of each layer, in the order of the workloads.
    """

    total: Costs
    layers: tuple[Costs, ...]


class Target(Protocol):
    """One way to price a network: a frozen dataclass whose fields are its settings, with defaults.

    A new target is one file with such a class under ``@TARGETS.register(name)``, and its import in
    ``torchq/cost/__init__.py``. It checks its settings when it is made, reads workloads and nothing else,
    and keeps no state.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]
    unit: ClassVar[str]

    def price(self, workloads: Sequence[Workload]) -> Price:
        """The price of a network, whose layers come in the order of execution."""
        ...


TARGETS: Registry[type[Target]] = Registry("cost target")
