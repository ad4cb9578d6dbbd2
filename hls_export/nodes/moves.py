"""Nodes that make no new values: wires in another order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hls_export.nodes.base import Array, Identity, Node
from torchq.errors import ExportError


@dataclass(frozen=True, eq=False, kw_only=True)
class Reshape(Node):
    """The same values in the same (row-major) order, in another shape."""

    kind = "reshape"


@dataclass(frozen=True, eq=False, kw_only=True)
class Concat(Node):
    """The inputs one after the other along ``axis`` of the sample (0 is its first axis)."""

    kind = "concat"

    axis: int

    def facts(self) -> Mapping[str, Any]:
        """The axis."""
        return {"axis": self.axis}


@dataclass(frozen=True, eq=False, kw_only=True)
class Transpose(Node):
    """The axes of the sample in another order: axis ``i`` of the result is axis ``axes[i]`` of the input."""

    kind = "transpose"

    axes: tuple[int, ...]

    def facts(self) -> Mapping[str, Any]:
        """The order."""
        return {"axes": self.axes}


@dataclass(frozen=True, eq=False, kw_only=True)
class Select(Node):
    """Values picked from the sample: slices, splits, padding, repetition, interleaved zeros; wires alone.

    Args:
        indices: of the node's shape: the place in the flat (row-major) input of each value; -1 stands for 0.
    """

    kind = "select"

    indices: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        super().__post_init__()
        indices = np.array(self.indices, dtype=np.int64)
        indices.setflags(write=False)
        object.__setattr__(self, "indices", indices)
        if indices.shape != self.shape:
            raise ExportError(f"{self.name} has {indices.shape} indices for a result of {self.shape}")

    def constants(self) -> Mapping[str, Array]:
        """The indices."""
        return {"indices": self.indices.astype(np.float64)}


MOVES = (Identity, Reshape, Transpose, Select, Concat)
"""Nodes that make no new values, :class:`Select`'s zeros aside."""
