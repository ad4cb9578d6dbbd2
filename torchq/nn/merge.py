"""``QAdd``, ``QMul`` and ``QConcat``: tensors that meet."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from functools import partial, reduce
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from torchq.errors import TorchqError
from torchq.formats import FixedPoint, Format
from torchq.formats.arithmetic import summed
from torchq.nn.base import Example, QLayer, Spec, quantized
from torchq.nn.operations import added
from torchq.nn.registry import CALLS, LAYERS, Function
from torchq.nn.types import fixed, holding, multiplied
from torchq.quantizers import Quantizer
from torchq.workload import TensorSpec, Workload


class Add(nn.Module):
    """``a + b + ...`` in float, as a module: what ``quantize`` sees in the place of ``+`` and ``torch.add``.

    Example:
        >>> Add()(torch.ones(1), torch.ones(1)).item()
        2.0
    """

    def forward(self, *inputs: Tensor) -> Tensor:
        """The sum of tensors whose shapes broadcast."""
        return reduce(operator.add, inputs)


class Mul(nn.Module):
    """``a * b`` in float, as a module: what ``quantize`` sees in the place of ``*`` and ``torch.mul``.

    Example:
        >>> Mul()(torch.full((1,), 3.0), torch.full((1,), 2.0)).item()
        6.0
    """

    def forward(self, *inputs: Tensor) -> Tensor:
        """The product of tensors whose shapes broadcast."""
        return reduce(operator.mul, inputs)


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


class Itself(nn.Module):
    """A module of one tensor that gives it to ``layer`` several times.

    Args:
        layer: the layer that reads several tensors.
        times: how many.
    """

    def __init__(self, layer: nn.Module, times: int = 2) -> None:
        super().__init__()
        self.layer = layer
        self.times = times

    def forward(self, x: Tensor) -> Tensor:
        """``layer(x, x)``."""
        result: Tensor = self.layer(*[x] * self.times)
        return result


class Merge(QLayer):
    """What the layers that read several tensors have in common; not a layer itself.

    Every operand must come from a quantizer. The result is exact; a quantizer of it is needed only where a
    layer with weights, or another sum, reads it.
    """

    slots: ClassVar[tuple[str, ...]] = ("output",)
    always_converted: ClassVar[bool] = True

    output_quantizer: Quantizer | None

    def __init__(self, output_quantizer: Spec | None = None) -> None:
        super().__init__()
        self.set_quantizer("output", output_quantizer)

    def forward(self, *inputs: Tensor) -> Tensor:
        """The merged tensors, through the output quantizer if there is one."""
        return quantized(self.merged(inputs), self.output_quantizer)

    def merged(self, inputs: Sequence[Tensor]) -> Tensor:  # noqa: ARG002
        """What it makes of its operands, before the quantizer."""
        raise TypeError(f"{type(self).__name__} does not say what it computes")

    def exact_format(self, sources: Sequence[TensorSpec]) -> Format | None:  # noqa: ARG002
        """The format that holds every value of :meth:`merged`."""
        raise TypeError(f"{type(self).__name__} does not say the format of its result")

    def missing_slots(self) -> tuple[str, ...]:
        """None: without a quantizer the result is exact."""
        return ()

    def refusal_of(self, shapes: Sequence[tuple[int, ...]]) -> str | None:
        """Operands need as many axes each, with lengths that are equal or 1."""
        if len(shapes) < 2:
            return f"needs at least 2 operands, got {len(shapes)}"
        lengths = {len(shape) for shape in shapes}
        broadcast = len(lengths) == 1 and all(
            len({length for length in along if length != 1}) < 2 for along in zip(*shapes, strict=True)
        )
        if broadcast:
            return None
        return f"needs operands of one shape, got samples of shape {' and '.join(map(str, shapes))}"

    def format_of(self, sources: Sequence[TensorSpec]) -> Format | None:
        """The output quantizer's format, or one that holds every result exactly."""
        if self.output_quantizer is not None:
            return self.output_quantizer.format
        return self.exact_format(sources)

    @classmethod
    def from_float(
        cls,
        modules: Sequence[nn.Module],
        quantizers: Mapping[str, Spec | None],
        **options: Any,
    ) -> Self:
        """The layer for one :class:`Add`, :class:`Mul` or :class:`Concat`."""
        (module,) = modules
        return cls(output_quantizer=quantizers.get("output"), **options).train(module.training)


@LAYERS.register("QAdd")
class QAdd(Merge):
    """``a + b + ...``: residual connections.

    Args:
        output_quantizer: of the sum; None leaves it exact.

    Example:
        >>> QAdd("quantized_bits(4,1,alpha=1)")(torch.tensor([0.3]), torch.tensor([0.25])).tolist()
        [0.5]
    """

    kind: ClassVar[str] = "add"
    replaces: ClassVar[tuple[type[nn.Module], ...]] = (Add,)

    def merged(self, inputs: Sequence[Tensor]) -> Tensor:
        """The sum."""
        return reduce(operator.add, inputs)

    def exact_format(self, sources: Sequence[TensorSpec]) -> FixedPoint | None:
        """A bit more than the widest operand for every addition."""
        formats = [fixed(source.format) for source in sources]
        known = [f for f in formats if f is not None]
        return reduce(summed, known) if len(known) == len(formats) else None

    def workload(self, name: str, inputs: tuple[TensorSpec, ...], output: TensorSpec) -> Workload:
        """An addition for each value and each operand after the first."""
        sums = added(output.count, *(source.format for source in inputs))
        exact = self.exact_format(inputs)
        return Workload(name, self.kind, inputs, output, accumulator=exact, operations=(sums,))

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Two and three operands, exact and quantized."""
        return (
            Example(lambda: (Add(),), {}, (3, 2), within=Itself),
            Example(lambda: (Add(),), {"output": "quantized_bits(6,2,alpha=1)"}, (4,), within=_thrice),
        )


@LAYERS.register("QMul")
class QMul(Merge):
    """``a * b``: gates and attention over channels.

    Args:
        output_quantizer: of the product; None leaves it exact.

    Example:
        >>> QMul()(torch.tensor([0.75]), torch.tensor([0.5])).tolist()
        [0.375]
    """

    kind: ClassVar[str] = "mul"
    replaces: ClassVar[tuple[type[nn.Module], ...]] = (Mul,)

    def merged(self, inputs: Sequence[Tensor]) -> Tensor:
        """The product."""
        return reduce(operator.mul, inputs)

    def refusal_of(self, shapes: Sequence[tuple[int, ...]]) -> str | None:
        """Two operands, of shapes that broadcast."""
        return super().refusal_of(shapes) or (
            None if len(shapes) == 2 else f"needs 2 operands, got {len(shapes)}"
        )

    def exact_format(self, sources: Sequence[TensorSpec]) -> FixedPoint | None:
        """The format of the product, the two most negative values included."""
        a, b = (source.format for source in sources)
        return holding(multiplied(a, b), a, b, 1)

    def workload(self, name: str, inputs: tuple[TensorSpec, ...], output: TensorSpec) -> Workload:
        """One multiplication for each value."""
        product = multiplied(*(source.format for source in inputs))
        return Workload(
            name,
            self.kind,
            inputs,
            output,
            macs=output.count,
            fan_in=1,
            product=product,
            accumulator=product,
        )

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Exact and quantized."""
        return (
            Example(lambda: (Mul(),), {}, (3,), within=Itself),
            Example(lambda: (Mul(),), {"output": "quantized_bits(6,2,alpha=1)"}, (2, 3), within=Itself),
        )


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
            return f"needs operands with axis {self.dim}, got samples of shape {_listed(shapes)}"
        axis = self._axis(len(shapes[0]))
        others = {shape[:axis] + shape[axis + 1 :] for shape in shapes}
        if len(others) == 1:
            return None
        return (
            f"needs operands that differ along axis {self.dim} only, got samples of shape {_listed(shapes)}"
        )

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
            Example(lambda: (Concat(-1),), {"output": "quantized_bits(6,2,alpha=1)"}, (2, 3), within=_thrice),
        )

    def extra_repr(self) -> str:
        """The axis and the quantizer."""
        return f"dim={self.dim}, {super().extra_repr()}"


def _thrice(layer: nn.Module) -> nn.Module:
    return Itself(layer, 3)


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


def _listed(shapes: Sequence[tuple[int, ...]]) -> str:
    return " and ".join(map(str, shapes))


def _checked_dim(dim: int) -> int:
    if dim == 0:
        raise TorchqError("dim 0 is the batch axis", hint="join tensors along an axis of the samples")
    return dim


def _without_constants(cls: type[nn.Module], *constants: Any, **options: Any) -> nn.Module:
    given = [*map(repr, constants), *(f"{key}={value!r}" for key, value in options.items())]
    if given:
        raise TorchqError(f"{', '.join(given)}; both operands must be tensors that quantizers made")
    return cls()


def _concat(dim: int = 0, axis: int | None = None) -> nn.Module:
    return Concat(_checked_dim(dim if axis is None else axis))


CALLS.add(
    "add",
    Function(
        module=partial(_without_constants, Add),
        functions=(operator.add, operator.iadd, torch.add),
        methods=("add", "add_"),
    ),
)
CALLS.add(
    "mul",
    Function(
        module=partial(_without_constants, Mul),
        functions=(operator.mul, operator.imul, torch.mul, torch.multiply),
        methods=("mul", "mul_", "multiply"),
    ),
)
CALLS.add(
    "concat",
    Function(module=_concat, functions=(torch.cat, torch.concat, torch.concatenate)),
)
