"""``QAdd`` and ``QMul``, and what all layers have in common where tensors meet."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from functools import partial, reduce
from typing import Any, ClassVar, Self

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
            Example(lambda: (Add(),), {"output": "quantized_bits(6,2,alpha=1)"}, (4,), within=thrice),
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


def listed(shapes: Sequence[tuple[int, ...]]) -> str:
    """Shapes in a sentence."""
    return " and ".join(map(str, shapes))


def _without_constants(cls: type[nn.Module], *constants: Any, **options: Any) -> nn.Module:
    given = [*map(repr, constants), *(f"{key}={value!r}" for key, value in options.items())]
    if given:
        raise TorchqError(f"{', '.join(given)}; both operands must be tensors that quantizers made")
    return cls()


def thrice(layer: nn.Module) -> nn.Module:
    """A layer that reads one tensor three times: an example."""
    return Itself(layer, 3)


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
