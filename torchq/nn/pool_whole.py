"""Average pools over the whole sample: adaptive ones, to sizes that divide the sample's, and global ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, cast

from torch import Tensor, nn

from torchq.nn.base import Example, Spec
from torchq.nn.pool import AveragePool
from torchq.nn.registry import LAYERS


class _WholePool(AveragePool):
    """Windows that cover the sample: their area follows from what comes in."""

    spatial: ClassVar[int]

    def windows(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The window's size along each axis."""
        return tuple(n // out for n, out in zip(shape[1:], self.outputs(shape), strict=True))

    def outputs(self, shape: tuple[int, ...]) -> tuple[int, ...]:  # noqa: ARG002
        """How many windows there are along each axis."""
        return (1,) * self.spatial

    def area(self, shape: tuple[int, ...]) -> int:
        """The product of the window's sizes."""
        return math.prod(self.windows(shape))

    def missing_slots(self) -> tuple[str, ...]:
        """None: whether the area is a power of two is not known before the samples' shape is."""
        return ()

    def misfit(self, shape: tuple[int, ...]) -> str | None:
        """Samples must have channels, and sizes that are multiples of the output's."""
        if len(shape) != 1 + self.spatial or 0 in shape:
            needed = "[channels, length]" if self.spatial == 1 else "[channels, rows, columns]"
            return f"needs samples of shape {needed}, got samples of shape {shape}"
        outputs = self.outputs(shape)
        if any(n % out for n, out in zip(shape[1:], outputs, strict=True)):
            wanted = " x ".join(map(str, outputs))
            return f"averages to {wanted} values, which must divide the size, got samples of shape {shape}"
        return None

    def refusal(self, shape: tuple[int, ...]) -> str | None:
        """As :meth:`misfit`; and the constant must be on a grid."""
        misfit = self.misfit(shape)
        if misfit is not None or self.average_quantizer is not None:
            return misfit
        area = self.area(shape)
        if area & (area - 1):
            return (
                f"needs an average_quantizer, since {area} is no power of two, "
                f"to average samples of shape {shape}"
            )
        return None

    def sums(self, input: Tensor) -> Tensor:
        """The sum of each window."""
        shape = tuple(input.shape[1:])
        parts: list[int] = []
        for out, size in zip(self.outputs(shape), self.windows(shape), strict=True):
            parts += [out, size]
        split = input.reshape(*input.shape[:2], *parts)
        return split.sum(dim=[3 + 2 * axis for axis in range(self.spatial)])


class _AdaptivePool(_WholePool):
    """A window whose size follows from the output's."""

    def __init__(
        self,
        output_size: Any,
        *,
        average_quantizer: Spec | None = None,
        output_quantizer: Spec | None = None,
    ) -> None:
        cast("Any", super()).__init__(output_size)
        self.set_quantizer("average", average_quantizer)
        self.set_quantizer("output", output_quantizer)

    @staticmethod
    def arguments(pool: Any) -> dict[str, Any]:
        """The size of the output."""
        return {"output_size": pool.output_size}

    def outputs(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """``output_size``; None there keeps the size of the sample."""
        size = cast("Any", self).output_size
        sizes = tuple(size) if isinstance(size, Sequence) else (size,) * self.spatial
        return tuple(n if out is None else out for n, out in zip(shape[1:], sizes, strict=True))


@LAYERS.register("QAdaptiveAvgPool1d")
class QAdaptiveAvgPool1d(_AdaptivePool, nn.AdaptiveAvgPool1d):
    """A drop-in ``nn.AdaptiveAvgPool1d`` for sizes that divide the sample's.

    Args:
        args: as in torch; ``average_quantizer`` and ``output_quantizer`` by name.

    Example:
        >>> import torch
        >>> QAdaptiveAvgPool1d(2)(torch.tensor([[[1.0, 2.0, 3.0, 6.0]]])).tolist()
        [[[1.5, 4.5]]]
    """

    replaces: ClassVar[tuple[type[nn.Module], ...]] = (nn.AdaptiveAvgPool1d,)
    spatial: ClassVar[int] = 1

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """A shift."""
        return (Example(lambda: (nn.AdaptiveAvgPool1d(2),), {}, (3, 8)),)


@LAYERS.register("QAdaptiveAvgPool2d")
class QAdaptiveAvgPool2d(_AdaptivePool, nn.AdaptiveAvgPool2d):
    """A drop-in ``nn.AdaptiveAvgPool2d`` for sizes that divide the sample's.

    Args:
        args: as in torch; ``average_quantizer`` and ``output_quantizer`` by name.

    Example:
        >>> import torch
        >>> QAdaptiveAvgPool2d((1, 2))(torch.tensor([[[[1.0, 2.0], [3.0, 6.0]]]])).tolist()
        [[[[2.0, 4.0]]]]
    """

    replaces: ClassVar[tuple[type[nn.Module], ...]] = (nn.AdaptiveAvgPool2d,)
    spatial: ClassVar[int] = 2

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """To one value and to several."""
        return (
            Example(
                lambda: (nn.AdaptiveAvgPool2d(1),), {"average": "quantized_bits(8,0,alpha=1)"}, (2, 3, 3)
            ),
            Example(
                lambda: (nn.AdaptiveAvgPool2d((2, None)),),
                {"output": "quantized_bits(6,2,alpha=1)"},
                (2, 4, 3),
            ),
        )


class _GlobalPool(_WholePool):
    """One window, and no axis left."""

    def __init__(
        self, *, average_quantizer: Spec | None = None, output_quantizer: Spec | None = None
    ) -> None:
        super().__init__()
        self.set_quantizer("average", average_quantizer)
        self.set_quantizer("output", output_quantizer)

    def sums(self, input: Tensor) -> Tensor:
        """The sum of each channel, shape ``[n, channels]``."""
        return input.sum(dim=list(range(2, input.ndim)))


@LAYERS.register("QGlobalAvgPool1d")
class QGlobalAvgPool1d(_GlobalPool):
    """The average of each channel: ``[n, channels, length]`` becomes ``[n, channels]``.

    Args:
        average_quantizer: of the constant ``1 / length``.
        output_quantizer: of the output.

    Example:
        >>> import torch
        >>> QGlobalAvgPool1d()(torch.tensor([[[1.0, 2.0]]])).tolist()
        [[1.5]]
    """

    spatial: ClassVar[int] = 1

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """A shift."""
        return (Example(tuple, {}, (3, 4)),)


@LAYERS.register("QGlobalAvgPool2d")
class QGlobalAvgPool2d(_GlobalPool):
    """The average of each channel: ``[n, channels, rows, columns]`` becomes ``[n, channels]``.

    QKeras's ``QGlobalAveragePooling2D``: ``q_output(sum * q_average(1 / (rows * columns)))``.

    Args:
        average_quantizer: of the constant ``1 / (rows * columns)``.
        output_quantizer: of the output.

    Example:
        >>> import torch
        >>> QGlobalAvgPool2d(average_quantizer="quantized_bits(8,0,alpha=1)")(torch.ones(1, 2, 2, 2)).tolist()
        [[1.0, 1.0]]
    """

    spatial: ClassVar[int] = 2

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """A constant and an output quantizer."""
        slots = {"average": "quantized_bits(8,0,alpha=1)", "output": "quantized_bits(6,2,alpha=1)"}
        return (Example(tuple, slots, (2, 3, 3)),)
