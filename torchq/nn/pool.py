"""Average pooling as hardware does it: the sum of a window, times a constant."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torchq.errors import TorchqError
from torchq.formats import FixedPoint, Format
from torchq.nn.base import Example, QLayer, Spec, quantized
from torchq.nn.operations import times, totalled
from torchq.nn.products import check_floats
from torchq.nn.registry import LAYERS
from torchq.nn.types import fixed, multiplied, summed_products
from torchq.quantizers import Quantizer
from torchq.workload import TensorSpec, Workload


class AveragePool(QLayer):
    """What the average pools have in common: ``q_output(sum of the window * q_average(1 / area))``.

    As in QKeras the sum is exact and the constant ``1 / area`` is quantized. Without ``average_quantizer`` it
    is as it is, which is on a grid where the area is a power of two: the product is a shift then. Without
    ``output_quantizer`` the exact product leaves.

    Args:
        average_quantizer: of the constant ``1 / area``; text, a quantizer (copied) or a ``FixedPoint``.
        output_quantizer: of the output.
    """

    slots: ClassVar[tuple[str, ...]] = ("average", "output")
    kind: ClassVar[str] = "average_pool"
    always_converted: ClassVar[bool] = True
    keeps_sign: ClassVar[bool] = True

    average_quantizer: Quantizer | None
    output_quantizer: Quantizer | None

    # ------------------------------------------------------------------ what a subclass says

    def area(self, shape: tuple[int, ...]) -> int:
        """How many values one window sums, for samples of this shape."""
        raise TypeError(f"{type(self).__name__} does not say its area for {shape}")

    def sums(self, input: Tensor) -> Tensor:
        """The sum of each window."""
        raise TypeError(f"{type(self).__name__} does not say what it sums of {input.dtype}")

    # ------------------------------------------------------------------ what it computes

    def average(self, shape: tuple[int, ...], like: Tensor | None = None) -> Tensor:
        """The constant that sums are multiplied with, shape ``[1]``.

        Args:
            shape: of one sample.
            like: in device and dtype of this tensor.
        """
        device, dtype = (None, torch.float64) if like is None else (like.device, like.dtype)
        constant = torch.full((1,), 1.0 / self.area(shape), device=device, dtype=dtype)
        return quantized(constant, self.average_quantizer)

    def forward(self, input: Tensor) -> Tensor:
        """The averages.

        Args:
            input: shape ``[n, channels, ...]``; the batch may be empty.

        Raises:
            TorchqError: a tensor of integers, or of a shape that it cannot read.
        """
        check_floats(self, input)
        shape = tuple(input.shape[1:])
        misfit = self.misfit(shape)
        if misfit is not None:
            raise TorchqError(f"{type(self).__name__} {misfit}")
        return quantized(self.sums(input) * self.average(shape, input), self.output_quantizer)

    def misfit(self, shape: tuple[int, ...]) -> str | None:  # noqa: ARG002
        """Why samples of this shape cannot be averaged; None if they can."""
        return None

    # ------------------------------------------------------------------ what graph, cost and export ask

    def refusal(self, shape: tuple[int, ...]) -> str | None:
        """Why hardware cannot average samples of this shape; None if it can."""
        return self.misfit(shape)

    def missing_slots(self) -> tuple[str, ...]:
        """``average`` is needed unless the area is a power of two whatever comes."""
        return () if self.average_quantizer is not None or self._shifts() else ("average",)

    def _shifts(self) -> bool:
        """Whether it is known that the area is a power of two."""
        return False

    def format_of(self, sources: Sequence[TensorSpec]) -> Format | None:
        """The output quantizer's format, or that of the exact product."""
        if self.output_quantizer is not None:
            return self.output_quantizer.format
        (source,) = sources
        return self._product(source)

    def workload(self, name: str, inputs: tuple[TensorSpec, ...], output: TensorSpec) -> Workload:
        """The sums of the windows, and a product for each; a shift without ``average_quantizer`` is free.

        As in QTools the constant is no parameter.
        """
        (source,) = inputs
        sums = totalled(output.count, self.values(source.shape), source.format)
        exact = self._product(source)
        operations = [sums]
        if self.average_quantizer is not None:
            operations.append(times(output.count, self.average_quantizer.format, sums.result))
        return Workload(name, self.kind, inputs, output, accumulator=exact, operations=tuple(operations))

    def values(self, shape: tuple[int, ...]) -> int:
        """How many values one window has: its area, unless the divisor is another number."""
        return self.area(shape)

    def _product(self, source: TensorSpec) -> FixedPoint | None:
        """The type of the sum of a window times the constant."""
        area = self.area(source.shape)
        total = summed_products(fixed(source.format), area)
        if self.average_quantizer is not None:
            with torch.no_grad():
                self.average(source.shape)
            return multiplied(self.average_quantizer.format, total)
        if total is None or area & (area - 1):
            return None
        shift = area.bit_length() - 1
        return FixedPoint(total.width, total.integer - shift, total.signed, total.rounding, total.overflow)

    # ------------------------------------------------------------------ made from float modules

    @classmethod
    def from_float(
        cls, modules: Sequence[nn.Module], quantizers: Mapping[str, Spec | None], **options: Any
    ) -> Self:
        """The quantized pool for one float pool; for none where the class stands for none."""
        arguments = cls.arguments(modules[0]) if modules else {}
        layer = cast("Self", cast("Any", cls)(**arguments, **options))
        for slot, spec in quantizers.items():
            layer.set_quantizer(slot, spec)
        return layer.train(all(module.training for module in modules))

    @staticmethod
    def arguments(pool: Any) -> dict[str, Any]:
        """The arguments that the float pool, or a quantized one, was made with."""
        raise TypeError(f"{type(pool).__name__} does not say its arguments")


class _WindowPool(AveragePool):
    """A window that slides: what :class:`QAvgPool1d` and :class:`QAvgPool2d` share."""

    spatial: ClassVar[int]

    def __init__(
        self,
        kernel_size: int | tuple[int, ...],
        stride: int | tuple[int, ...] | None = None,
        padding: int | tuple[int, ...] = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        *,
        average_quantizer: Spec | None = None,
        output_quantizer: Spec | None = None,
        **options: Any,
    ) -> None:
        cast("Any", super()).__init__(kernel_size, stride, padding, ceil_mode, count_include_pad, **options)
        self.set_quantizer("average", average_quantizer)
        self.set_quantizer("output", output_quantizer)
        if ceil_mode or (not count_include_pad and any(self._axes("padding"))):
            raise TorchqError(
                f"{type(self).__name__}: windows of different areas cannot be averaged with one constant",
                hint="use ceil_mode=False and count_include_pad=True",
            )

    def _axes(self, name: str) -> tuple[int, ...]:
        value = getattr(self, name)
        return (value,) * self.spatial if isinstance(value, int) else tuple(value)

    def area(self, shape: tuple[int, ...] = ()) -> int:  # noqa: ARG002
        """The product of the kernel's sizes, or ``divisor_override``."""
        return getattr(self, "divisor_override", None) or math.prod(self._axes("kernel_size"))

    def values(self, shape: tuple[int, ...] = ()) -> int:  # noqa: ARG002
        """The product of the kernel's sizes."""
        return math.prod(self._axes("kernel_size"))

    def _shifts(self) -> bool:
        return not self.area() & (self.area() - 1)

    def _product(self, source: TensorSpec) -> FixedPoint | None:
        """As for other pools, except that a divisor of one's own is not the number of values summed."""
        count = math.prod(self._axes("kernel_size"))
        if count <= self.area():
            return super()._product(source)
        widened = summed_products(fixed(source.format), -(-count // self.area()))
        return super()._product(TensorSpec(source.name, source.shape, widened))

    def misfit(self, shape: tuple[int, ...]) -> str | None:
        """Samples must have channels and be at least as large as the window."""
        kernel, padding = self._axes("kernel_size"), self._axes("padding")
        if len(shape) != 1 + self.spatial:
            needed = "[channels, length]" if self.spatial == 1 else "[channels, rows, columns]"
            return f"needs samples of shape {needed}, got samples of shape {shape}"
        if any(n + 2 * p < k for n, k, p in zip(shape[1:], kernel, padding, strict=True)):
            window = " x ".join(map(str, kernel))
            return f"has a window of {window} positions, got samples of shape {shape}"
        return None

    def sums(self, input: Tensor) -> Tensor:
        """The sum of each window."""
        kernel, padding = self._axes("kernel_size"), self._axes("padding")
        stride = self._axes("stride")
        if self.spatial == 1:
            wide = F.avg_pool2d(
                input.unsqueeze(-2), (1, *kernel), (1, *stride), (0, *padding), divisor_override=1
            )
            return wide.squeeze(-2)
        return F.avg_pool2d(input, kernel, stride, padding, divisor_override=1)


@LAYERS.register("QAvgPool1d")
class QAvgPool1d(_WindowPool, nn.AvgPool1d):
    """A drop-in ``nn.AvgPool1d``: ``q_output(sum * q_average(1 / kernel_size))``.

    Args:
        args: as in ``nn.AvgPool1d``; ``average_quantizer`` and ``output_quantizer`` by name.

    Raises:
        TorchqError: windows of different areas (``ceil_mode``, or padding that is not counted).

    Example:
        >>> pool = QAvgPool1d(3, average_quantizer="quantized_bits(8,0,alpha=1)")
        >>> pool(torch.ones(1, 1, 3)).item(), 3 * 43 / 128
        (1.0078125, 1.0078125)
    """

    replaces: ClassVar[tuple[type[nn.Module], ...]] = (nn.AvgPool1d,)
    spatial: ClassVar[int] = 1

    @staticmethod
    def arguments(pool: Any) -> dict[str, Any]:
        """All of torch's."""
        names = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad")
        return {name: getattr(pool, name) for name in names}

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """With a constant of any size, and with a shift."""
        average = "quantized_bits(8,0,alpha=1)"
        return (
            Example(lambda: (nn.AvgPool1d(3, 1, 1),), {"average": average}, (2, 5)),
            Example(lambda: (nn.AvgPool1d(2),), {"output": "quantized_bits(6,2,alpha=1)"}, (2, 5)),
        )


@LAYERS.register("QAvgPool2d")
class QAvgPool2d(_WindowPool, nn.AvgPool2d):
    """A drop-in ``nn.AvgPool2d``: ``q_output(sum * q_average(1 / area))``.

    Args:
        args: as in ``nn.AvgPool2d``; ``average_quantizer`` and ``output_quantizer`` by name.

    Raises:
        TorchqError: windows of different areas (``ceil_mode``, or padding that is not counted).

    Example:
        >>> QAvgPool2d(2)(torch.tensor([[[[0.25, 0.5], [0.5, 1.0]]]])).item()
        0.5625
    """

    replaces: ClassVar[tuple[type[nn.Module], ...]] = (nn.AvgPool2d,)
    spatial: ClassVar[int] = 2

    @staticmethod
    def arguments(pool: Any) -> dict[str, Any]:
        """All of torch's."""
        names = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")
        return {name: getattr(pool, name) for name in names}

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """With a constant of any size, and with a shift."""
        average = "quantized_bits(8,0,alpha=1)"
        return (
            Example(
                lambda: (nn.AvgPool2d((2, 3), 1),),
                {"average": average, "output": "quantized_bits(6,2,alpha=1)"},
                (2, 3, 4),
            ),
            Example(lambda: (nn.AvgPool2d(2),), {}, (2, 4, 5)),
        )
