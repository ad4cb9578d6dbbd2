"""A function of one value, looked up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hls_export.nodes.base import Array, Node, format_key, frozen
from torchq.errors import ExportError
from torchq.formats import FixedPoint


@dataclass(frozen=True, eq=False, kw_only=True)
class Table(Node):
    """A function of each value, looked up: ``values[address]``.

    What it reads comes from a :class:`Quantize` to :attr:`address` (perhaps moved), whose codes are the
    addresses.

    Args:
        address: the format of what it reads, per tensor.
        values: float64 ``[2 ** address.width]``. The value at a place belongs to the input code with the same
            bits: in two's complement, so the negative codes stand in the upper half.
    """

    kind = "table"

    address: FixedPoint
    values: Array

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "values", frozen(self.values))
        if not self.address.is_scalar or self.values.shape != (1 << int(self.address.width),):
            raise ExportError(f"{self.name} has {self.values.size} values for addresses of {self.address}")

    def constants(self) -> Mapping[str, Array]:
        """The values."""
        return {"values": self.values}

    def facts(self) -> Mapping[str, Any]:
        """The format of the addresses."""
        return {"address": format_key(self.address)}
