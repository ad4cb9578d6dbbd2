"""``Node``: what every node is, and the simplest of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from torchq.errors import ExportError
from torchq.formats import FixedPoint

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class Node:
    """One operation, and the tensor that it makes.

    Args:
        name: the user's name of the layer; unique in its graph.
        inputs: names of the nodes that it reads.
        shape: of what it makes, without the batch axis.
        format: the format of what it makes; None where nothing is known (the raw input).
        tensor: what the file that it came from calls the tensor; the node's name unless told.
    """

    kind: ClassVar[str] = "node"

    name: str
    inputs: tuple[str, ...] = ()
    shape: tuple[int, ...] = ()
    format: FixedPoint | None = None
    tensor: str = ""

    def __post_init__(self) -> None:
        if not self.tensor:
            object.__setattr__(self, "tensor", self.name)

    def constants(self) -> Mapping[str, Array]:
        """The arrays that it owns, by slot."""
        return {}

    def facts(self) -> Mapping[str, Any]:
        """What decides its results beside constants, shape and format: strides, axes, ...; JSON-able."""
        return {}


@dataclass(frozen=True, eq=False, kw_only=True)
class Input(Node):
    """The samples as they come: real numbers, on no grid."""

    kind = "input"


@dataclass(frozen=True, eq=False, kw_only=True)
class Quantize(Node):
    """Rounding and saturation to :attr:`format`."""

    kind = "quantize"


@dataclass(frozen=True, eq=False, kw_only=True)
class Relu(Node):
    """``max(x, 0)``."""

    kind = "relu"


@dataclass(frozen=True, eq=False, kw_only=True)
class Identity(Node):
    """Hands its input on; :func:`hls_export.passes.drop_identities` removes it."""

    kind = "identity"


def check_grid(name: str, slot: str, values: Array, grid: FixedPoint | None) -> None:
    """Refuse constants that do not stand on the grid that is said.

    Raises:
        ExportError: a value beside the grid, or no grid.
    """
    if grid is None or not grid.holds(values).all():
        raise ExportError(
            f"{name}.{slot} has values beside the grid of {grid}",
            hint="quantize it before the graph is built",
        )


def frozen(values: npt.ArrayLike) -> Array:
    """A copy that cannot be changed, in float64."""
    array = np.array(values, dtype=np.float64)
    array.setflags(write=False)
    return array


def format_key(grid: FixedPoint | None) -> Any:
    """A format as JSON-able values."""
    if grid is None:
        return None
    fields = (grid.width, grid.integer, np.asarray(grid.signed).astype(int))
    return [[np.asarray(f).tolist() for f in fields], str(grid.rounding), str(grid.overflow)]
