"""``QConcat``: branches that are joined."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from torchq.errors import TorchqError
from torchq.formats import FixedPoint, Format
from torchq.nn.base import Example, Spec
from torchq.nn.merge import Itself, Merge, listed, thrice
from torchq.nn.registry import CALLS, LAYERS, Function
from torchq.nn.types import fixed
from torchq.workload import TensorSpec


class Concat(nn.Module):
    """``torch.cat`` as a module.

    Args:
        dim: the axis, counted with the batch axis; not the batch axis itself.

    Example:
        >>> Concat(1)(torch.zeros(5, 2), torch.zeros(5, 3)).shape
        torch.Size([5, 5])
    """

    __constants__: ClassVar[list[str]] = ["dim"]

    def __init__(self, dim: int = 1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, *inputs: Tensor) -> Tensor:
        """The tensors one after the other along an axis."""
        return torch.cat(inputs, self.dim)

    def extra_repr(self) -> str:
        """The axis."""
        return f"dim={self.dim}"


@LAYERS.register("QConcat")
class QConcat(Merge):
    """``torch.cat``: branches that are joined.

    Args:
        dim: the axis, counted with the batch axis; not the batch axis itself.
        output_quantizer: of the result; None leaves every value as it came, on its own grid.

    Raises:
        TorchqError: ``dim`` is the batch axis.

    Example:
        >>> QConcat(1)(torch.zeros(5, 2), torch.zeros(5, 3)).shape
        torch.Size([5, 5])
    """

    kind: ClassVar[str] = "concat"
    replaces: ClassVar[tuple[type[nn.Module], ...]] = (Concat,)
    keeps_grid: ClassVar[bool] = True

    def __init__(self, dim: int = 1, output_quantizer: Spec | None = None) -> None:
        super().__init__(output_quantizer)
        self.dim = _checked_dim(dim)

    def merged(self, inputs: Sequence[Tensor]) -> Tensor:
        """The tensors one after the other."""
        return torch.cat(tuple(inputs), self.dim)

    def refusal_of(self, shapes: Sequence[tuple[int, ...]]) -> str | None:
        """Operands may differ in length along the axis, and nowhere else."""
        axes = {len(shape) for shape in shapes}
        if len(axes) != 1 or not -max(axes) <= self.dim <= max(axes):
            return f"needs operands with axis {self.dim}, got samples of shape {listed(shapes)}"
        axis = self._axis(len(shapes[0]))
        others = {shape[:axis] + shape[axis + 1 :] for shape in shapes}
        if len(others) == 1:
            return None
        return f"needs operands that differ along axis {self.dim} only, got samples of shape {listed(shapes)}"

    def exact_format(self, sources: Sequence[TensorSpec]) -> Format | None:
        """The operands' format, or one for each place along the axis where they differ."""
        formats = [source.format for source in sources]
        if all(f == formats[0] for f in formats) and not _is_array(formats[0]):
            return formats[0]
        known = [f if isinstance(f, FixedPoint) else fixed(f) for f in formats]
        axis = self._axis(len(sources[0].shape))

        def joined(field: Callable[[FixedPoint], Any]) -> Any:
            parts = [
                np.broadcast_to(np.asarray(field(f)), source.shape)
                for f, source in zip(known, sources, strict=True)
                if f is not None
            ]
            return thin(np.concatenate(parts, axis))

        first = known[0]
        if first is None or any(f is None for f in known):
            return None
        return FixedPoint(
            joined(lambda f: f.width),
            joined(lambda f: f.integer),
            joined(lambda f: f.signed),
            first.rounding,
            first.overflow,
        )

    def _axis(self, axes: int) -> int:
        """The axis of a sample, counted from 0 without the batch axis."""
        return self.dim - 1 if self.dim > 0 else axes + self.dim

    @classmethod
    def from_float(
        cls, modules: Sequence[nn.Module], quantizers: Mapping[str, Spec | None], **options: Any
    ) -> Self:
        """The layer for one :class:`Concat`."""
        (module,) = modules
        return super().from_float(modules, quantizers, dim=module.dim, **options)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Along the first and the last axis, exact and quantized."""
        return (
            Example(lambda: (Concat(1),), {}, (3, 2), within=Itself),
            Example(lambda: (Concat(-1),), {"output": "quantized_bits(6,2,alpha=1)"}, (2, 3), within=thrice),
        )

    def extra_repr(self) -> str:
        """The axis and the quantizer."""
        return f"dim={self.dim}, {super().extra_repr()}"


def thin(values: Any) -> Any:
    """Axes along which nothing changes get length 1; a number where nothing changes at all.

    Example:
        >>> thin(np.array([[1, 2], [1, 2]])).tolist(), thin(np.array([3, 3]))
        ([[1, 2]], 3)
    """
    for axis in range(values.ndim):
        first = values.take([0], axis=axis) if values.shape[axis] else values
        if np.array_equal(np.broadcast_to(first, values.shape), values):
            values = first
    return values.item() if values.size == 1 else values


def _is_array(format: Format | None) -> bool:
    return isinstance(format, FixedPoint) and not format.is_scalar


def _checked_dim(dim: int) -> int:
    if dim == 0:
        raise TorchqError("dim 0 is the batch axis", hint="join tensors along an axis of the samples")
    return dim


def _concat(dim: int = 0, axis: int | None = None) -> nn.Module:
    return Concat(_checked_dim(dim if axis is None else axis))


CALLS.add(
    "concat",
    Function(module=_concat, functions=(torch.cat, torch.concat, torch.concatenate)),
)
